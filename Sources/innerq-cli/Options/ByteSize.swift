import ArgumentParser

/// A number of bytes as people write it: "8GiB", "500MB", "1.5g", "1048576".
///
/// KB, MB, GB and TB are powers of 1000; KiB, MiB, GiB, TiB, and the letters alone, powers of 1024.
struct ByteSize: ExpressibleByArgument {
    let bytes: Int

    init?(argument: String) {
        let text = argument.filter { $0 != " " && $0 != "_" }.lowercased()
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let value = Double(number), value.isFinite,
            let factor = Self.factors[String(text.dropFirst(number.count))]
        else { return nil }
        let product = (value * factor).rounded()
        guard product >= 0, product < 0x1p62 else { return nil }
        bytes = Int(product)
    }

    private static let factors: [String: Double] = {
        var factors: [String: Double] = ["": 1, "b": 1]
        for (power, letter) in ["k", "m", "g", "t"].enumerated() {
            var decimal = 1.0
            var binary = 1.0
            for _ in 0...power {
                decimal *= 1000
                binary *= 1024
            }
            factors[letter] = binary
            factors[letter + "b"] = decimal
            factors[letter + "ib"] = binary
        }
        return factors
    }()
}

extension ByteSize: CustomStringConvertible {
    var description: String { Format.bytes(bytes) }

    static let help = "such as 8GiB, 500MB or plain bytes"
}
