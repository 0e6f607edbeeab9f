import Foundation

/// Numbers as people read them.
package enum Numbers {
    /// Stands for what was not measured.
    package static let missing = "–"

    /// With thousands apart and a true minus; `–` for what is no number.
    package static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite else { return value.isNaN ? missing : value < 0 ? "−∞" : "∞" }
        guard abs(value) < 1e15 else { return scientific(value) }
        let text = String(format: "%.\(digits)f", abs(value))
        let parts = text.split(separator: ".")
        let whole = grouped(String(parts[0]))
        let isZero = !text.contains { $0 != "0" && $0 != "." }
        return (value < 0 && !isZero ? "−" : "") + whole + (parts.count > 1 ? "." + parts[1] : "")
    }

    package static func count(_ value: Int) -> String {
        (value < 0 ? "−" : "") + grouped(String(value.magnitude))
    }

    private static func grouped(_ digits: String) -> String {
        var result = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { result += "," }
            result.append(digit)
        }
        return result
    }

    /// With that many significant digits at least.
    package static func significant(_ value: Double, _ digits: Int = 3) -> String {
        guard value.isFinite else { return fixed(value, 0) }
        guard value != 0 else { return "0" }
        let size = Int(log10(abs(value)).rounded(.down))
        if size < -4 { return scientific(value) }
        return fixed(value, max(0, digits - 1 - size))
    }

    /// `3.1 × 10⁻⁵`.
    private static func scientific(_ value: Double) -> String {
        let parts = String(format: "%.1e", abs(value)).split(separator: "e")
        let raised: [Character: Character] = [
            "0": "⁰", "1": "¹", "2": "²", "3": "³", "4": "⁴", "5": "⁵", "6": "⁶", "7": "⁷",
            "8": "⁸", "9": "⁹", "-": "⁻",
        ]
        let exponent = String(String(Int(parts.last ?? "0") ?? 0).map { raised[$0] ?? $0 })
        return (value < 0 ? "−" : "") + (parts.first ?? "0") + " × 10" + exponent
    }

    /// A share, as `12.3 %`.
    package static func percent(_ share: Double, _ digits: Int = 1) -> String {
        share.isFinite ? fixed(100 * share, digits) + " %" : fixed(share, 0)
    }

    /// A change, as `+2.71 %`; large ones with fewer digits.
    package static func change(_ share: Double) -> String {
        let text = percent(share, digits(share))
        return share > 0 && share.isFinite ? "+" + text : text
    }

    /// `+2.71 % ± 0.38`.
    package static func change(_ estimate: Estimate) -> String {
        change(estimate.value) + plusMinus(100 * estimate.error, digits(estimate.value))
    }

    private static func digits(_ share: Double) -> Int {
        abs(share) < 0.1 ? 2 : abs(share) < 10 ? 1 : 0
    }

    /// `± 0.4`, or nothing where there is no error.
    package static func plusMinus(_ error: Double, _ digits: Int) -> String {
        error.isFinite ? " ± " + fixed(error, digits) : ""
    }

    package static func bytes(_ bytes: Int) -> String {
        var value = Double(bytes)
        for unit in ["bytes", "KiB", "MiB", "GiB"] {
            if abs(value) < 1024 || unit == "GiB" {
                let digits = unit == "bytes" || value >= 100 ? 0 : value >= 10 ? 1 : 2
                return fixed(value, digits) + " " + unit
            }
            value /= 1024
        }
        return missing
    }

    /// Of an axis with ticks at powers of two.
    package static func bytesTick(_ bytes: Double) -> String {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
        let power = bytes >= 1 ? min(units.count - 1, Int(log2(bytes) / 10)) : 0
        return tick(bytes / exp2(Double(10 * power))) + " " + units[power]
    }

    package static func exactBytes(_ bytes: Int) -> String { count(bytes) + " bytes" }

    package static func pValue(_ value: Double) -> String {
        guard value.isFinite else { return missing }
        return value < 0.001 ? "< 0.001" : value < 0.1 ? fixed(value, 3) : fixed(value, 2)
    }

    /// Tokens as people name context lengths: `4K`, and `1,000` where it is no power of two's multiple.
    package static func context(_ tokens: Int) -> String {
        if tokens >= 1 << 20, tokens % (1 << 20) == 0 { return count(tokens >> 20) + "M" }
        if tokens >= 1024, tokens % 1024 == 0 { return count(tokens >> 10) + "K" }
        return count(tokens)
    }

    /// Of an axis: no more digits than it needs.
    package static func tick(_ value: Double) -> String {
        guard value.isFinite else { return fixed(value, 0) }
        guard value != 0 else { return "0" }
        let size = abs(value)
        if size >= 1e7 || size < 1e-4 {
            // `10⁻⁶` rather than `1.0 × 10⁻⁶`.
            let text = scientific(size).replacingOccurrences(of: ".0 ×", with: " ×")
            return (value < 0 ? "−" : "")
                + (text.hasPrefix("1 × ") ? String(text.dropFirst(4)) : text)
        }
        let digits = (0...6).first {
            abs((size * pow(10, Double($0))).rounded() / pow(10, Double($0)) - size) < size * 1e-6
        }
        return fixed(value, digits ?? 6)
    }
}

extension Double {
    /// Without the last digits, which arithmetic blurs.
    func rounded(toSignificant digits: Int) -> Double {
        guard isFinite, self != 0 else { return self }
        let factor = pow(10, Double(digits - 1) - log10(abs(self)).rounded(.down))
        return factor.isFinite && factor > 0 ? (self * factor).rounded() / factor : self
    }
}

extension Int {
    /// The nearest whole number that there is; 0 for NaN.
    init(clamping value: Double) {
        self = value.isNaN ? 0 : value >= 9e18 ? .max : value <= -9e18 ? .min : Int(value.rounded())
    }
}
