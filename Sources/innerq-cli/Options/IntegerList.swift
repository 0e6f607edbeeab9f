import ArgumentParser

/// "0,8192".
struct IntegerList: Sendable, CustomStringConvertible {
    let values: [Int]

    init(_ values: [Int]) { self.values = values }

    var description: String { values.map(String.init).joined(separator: ",") }

    init(_ argument: String) throws {
        values = try argument.split(separator: ",", omittingEmptySubsequences: false).map {
            guard let value = Int($0), value >= 0 else {
                throw ValidationError(
                    "“\(argument)” is not a list of whole numbers such as 0,8192.")
            }
            return value
        }
    }
}
