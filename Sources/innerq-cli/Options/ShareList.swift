import ArgumentParser

/// "0.01,0".
struct ShareList: Sendable, CustomStringConvertible {
    let values: [Double]

    init(_ values: [Double]) { self.values = values }

    var description: String {
        values.map { $0 == 0 ? "0" : "\($0)" }.joined(separator: ",")
    }

    init(_ argument: String) throws {
        values = try argument.split(separator: ",", omittingEmptySubsequences: false).map {
            guard let value = Double($0), value >= 0, value <= 1 else {
                throw ValidationError("“\(argument)” is not a list of shares such as 0.01,0.")
            }
            return value
        }
    }
}
