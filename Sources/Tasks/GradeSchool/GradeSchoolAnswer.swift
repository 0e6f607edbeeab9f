/// The number that an answer to a word problem gives, found and compared as lm-eval does for `gsm8k`.
public enum GradeSchoolAnswer {
    /// The last number anywhere: lm-eval's filter `flexible-extract`, the regular expression
    /// `(-?[$0-9.,]{2,})|(-?[0-9]+)`, of which the last match counts.
    public static func flexible(_ answer: String) -> String? {
        let bytes = Array(answer.utf8)
        var found: Range<Int>?
        var start = 0
        while start < bytes.count {
            let first = bytes[start] == minus ? start + 1 : start
            let wide = end(of: isNumberLike, bytes, from: first)
            let digits = end(of: isDigit, bytes, from: first)
            if wide - first >= 2 {
                found = start..<wide
                start = wide
            } else if digits > first {
                found = start..<digits
                start = digits
            } else {
                start += 1
            }
        }
        return found.map { String(decoding: bytes[$0], as: UTF8.self) }
    }

    /// What follows the first `#### `: lm-eval's filter `strict-match`, the regular expression
    /// `#### (\-?[0-9\.\,]+)`.
    public static func strict(_ answer: String) -> String? {
        let bytes = Array(answer.utf8)
        for start in bytes.indices where bytes[start...].starts(with: mark) {
            let number = start + mark.count
            let first = number < bytes.count && bytes[number] == minus ? number + 1 : number
            let end = end(of: { isNumberLike($0) && $0 != dollar }, bytes, from: first)
            if end > first { return String(decoding: bytes[number..<end], as: UTF8.self) }
        }
        return nil
    }

    /// Whether two are the same once commas, dollars, all up to the last `#### ` and a last period are taken away, in
    /// lower case: lm-eval's `exact_match` with `regexes_to_ignore`.
    public static func equal(_ one: String, _ other: String) -> Bool { bare(one) == bare(other) }

    static func bare(_ text: String) -> String {
        var bytes = text.lowercased().utf8.filter { $0 != comma && $0 != dollar }
        if let last = bytes.indices.last(where: { bytes[$0...].starts(with: mark) }) {
            bytes.removeSubrange(..<(last + mark.count))
        }
        // `\.$` also matches before a last line break.
        if bytes.last == period {
            bytes.removeLast()
        } else if bytes.last == newline, bytes.dropLast().last == period {
            bytes.remove(at: bytes.count - 2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static let mark = Array("#### ".utf8)
    private static let minus = UInt8(ascii: "-")
    private static let comma = UInt8(ascii: ",")
    private static let dollar = UInt8(ascii: "$")
    private static let period = UInt8(ascii: ".")
    private static let newline = UInt8(ascii: "\n")

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isNumberLike(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte == dollar || byte == period || byte == comma
    }

    private static func end(
        of isIn: (UInt8) -> Bool, _ bytes: [UInt8], from start: Int
    ) -> Int {
        bytes[start...].firstIndex { !isIn($0) } ?? bytes.count
    }
}
