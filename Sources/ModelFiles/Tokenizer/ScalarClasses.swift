/// The character classes that pre-tokenizers are written in.
enum ScalarClass {
    /// Neither letter, number nor whitespace; also bytes that are not UTF-8.
    static let other: UInt8 = 0
    /// `\p{L}`: Lu, Ll, Lt, Lm, Lo.
    static let letter: UInt8 = 1
    /// `\p{N}`: Nd, Nl, No.
    static let number: UInt8 = 2
    /// `\s`: the property White_Space.
    static let space: UInt8 = 3
}

/// Classes of all scalars: a table of one byte each for the Basic Multilingual Plane, the standard
/// library's properties beyond it.
///
/// A property costs some ten nanoseconds, which alone would limit the speed to what a whole
/// tokenizer should reach; the table costs 64 KiB and about a millisecond, once.
final class ScalarClasses: @unchecked Sendable {
    static let shared = ScalarClasses()

    // Written in init only, never freed: the one instance lives as long as the process.
    private let table: UnsafeMutablePointer<UInt8>

    private init() {
        table = .allocate(capacity: 0x10000)
        for value in UInt32(0)..<0x10000 { table[Int(value)] = Self.lookUp(value) }
    }

    @inline(__always)
    subscript(scalar: UInt32) -> UInt8 {
        scalar < 0x10000 ? table[Int(scalar)] : Self.beyond(scalar)
    }

    @inline(never)
    private static func beyond(_ scalar: UInt32) -> UInt8 {
        // The two blocks that text is likely to hold: emoji and the CJK extension B.
        if scalar >= 0x1F300, scalar < 0x1FB00 { return ScalarClass.other }
        if scalar >= 0x20000, scalar < 0x2A6E0 { return ScalarClass.letter }
        return lookUp(scalar)
    }

    private static func lookUp(_ value: UInt32) -> UInt8 {
        guard let scalar = Unicode.Scalar(value) else { return ScalarClass.other }
        let properties = scalar.properties
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            return ScalarClass.letter
        case .decimalNumber, .letterNumber, .otherNumber:
            return ScalarClass.number
        default:
            return properties.isWhitespace ? ScalarClass.space : ScalarClass.other
        }
    }

    /// Whether a regular expression's `\w` matches: what a `single_word` token must not touch.
    static func isWordCharacter(_ value: UInt32) -> Bool {
        guard let scalar = Unicode.Scalar(value) else { return false }
        let properties = scalar.properties
        if properties.isAlphabetic || properties.isJoinControl { return true }
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
            return true
        default:
            return false
        }
    }
}
