/// The final answer of a mathematical solution, and whether two answers are the same.
///
/// Answers are LaTeX as in the MATH data set, or what a model writes instead. Equality is that of normalized text, else
/// part by part for tuples, sets, intervals and matrices, else of the values of expressions, to nine digits. It does not
/// solve equations, convert units or number bases, or take rounded decimals for exact answers.
public enum MathAnswer {
    /// The last `\boxed{…}` with balanced braces, or what follows the last "final answer is", whichever comes later.
    public static func extract(_ solution: String) -> String? {
        let bytes = Array(solution.utf8)
        let boxed = lastBoxed(bytes)
        let said = lastSaid(bytes)
        let start: Int
        switch (boxed, said) {
        case (let boxed?, let said?): start = max(boxed.lowerBound, said.lowerBound)
        case (let found?, nil), (nil, let found?): start = found.lowerBound
        case (nil, nil): return nil
        }
        let range = boxed?.lowerBound == start ? boxed : said
        return range.map { String(decoding: bytes[$0], as: UTF8.self) }
    }

    /// One spelling for what is written in many ways: `\dfrac12` and `1/2` become `\frac{1}{2}`, `\$10,\!080` becomes
    /// `10080`, `x = \left( 1, 2 \right)` becomes `(1,2)`, `\text{(C)}` becomes `c`. Text of more than 4096 bytes, which is
    /// no answer, is left as it is.
    public static func normalize(_ answer: String) -> String { tokens(of: answer).joined() }

    /// Whether two answers are the same.
    public static func equal(_ one: String, _ other: String) -> Bool {
        MathEquality.equal(tokens(of: one), tokens(of: other), depth: 0)
    }

    private static func tokens(of answer: String) -> [String] {
        answer.utf8.count > longest ? [answer] : MathNormalizer.tokens(of: answer)
    }

    private static let longest = 4096

    /// What stands in the braces of the last box that closes.
    private static func lastBoxed(_ bytes: [UInt8]) -> Range<Int>? {
        for mark in [Array("\\boxed".utf8), Array("\\fbox".utf8)] {
            for start in bytes.indices.reversed() where bytes[start...].starts(with: mark) {
                var open = start + mark.count
                while open < bytes.count, bytes[open] == 0x20 { open += 1 }
                if open < bytes.count, bytes[open] == UInt8(ascii: "{") {
                    if let close = closing(bytes, from: open) { return open + 1..<close }
                } else if open > start + mark.count {
                    // `\boxed 5`: up to the end of the formula.
                    let end = bytes[open...].firstIndex { $0 == 0x24 || $0 == 0x0A } ?? bytes.count
                    if end > open { return open..<end }
                }
            }
        }
        return nil
    }

    private static func closing(_ bytes: [UInt8], from open: Int) -> Int? {
        var depth = 0
        var index = open
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\\"): index += 1
            case UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "}"):
                depth -= 1
                if depth == 0 { return index }
            default: break
            }
            index += 1
        }
        return nil
    }

    /// What the last "final answer is" says: a formula between dollars, or the rest of its sentence.
    private static func lastSaid(_ bytes: [UInt8]) -> Range<Int>? {
        let mark = Array("final answer is".utf8)
        let lower = bytes.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        guard let found = lower.indices.last(where: { lower[$0...].starts(with: mark) }) else {
            return nil
        }
        var start = found + mark.count
        while start < bytes.count, bytes[start] == 0x20 || bytes[start] == UInt8(ascii: ":") {
            start += 1
        }
        let rest = bytes[start...]
        let line = rest.firstIndex(of: 0x0A) ?? bytes.count
        var end = line
        if rest.first == UInt8(ascii: "$") {
            let inner = rest.drop { $0 == UInt8(ascii: "$") }
            if let close = inner.firstIndex(of: UInt8(ascii: "$")), close <= line {
                return inner.startIndex..<close
            }
        }
        // A sentence ends with a period before white space; a period within a number does not.
        let period = (start..<line).first { index in
            bytes[index] == UInt8(ascii: ".") && (index + 1 == line || bytes[index + 1] == 0x20)
        }
        if let period { end = period }
        return end > start ? start..<end : nil
    }
}
