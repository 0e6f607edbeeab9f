/// Text as code points, classed and cut as Python does it: the reference implementations of the metrics are Python's,
/// and Swift's characters would compare composed and decomposed letters as equal.
typealias Scalars = [Unicode.Scalar]

extension Unicode.Scalar {
    /// What `str.split()` cuts at: white space, and the separators of ASCII.
    var isPythonSpace: Bool {
        switch value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F,
            0x205F, 0x3000:
            true
        default: false
        }
    }

    /// What `\w` matches in a Python regular expression: letters and numbers of any script, and the underscore.
    var isPythonWord: Bool {
        if isASCII {
            return switch value {
            case 0x30...0x39, 0x41...0x5A, 0x5F, 0x61...0x7A: true
            default: false
            }
        }
        return switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            true
        default: properties.numericType != nil
        }
    }

    /// What `\d` matches: decimal digits of any script.
    var isPythonDigit: Bool {
        isASCII ? (0x30...0x39).contains(value) : properties.generalCategory == .decimalNumber
    }

    /// The characters of Python's `string.punctuation`.
    var isASCIIPunctuation: Bool {
        switch value {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
        default: false
        }
    }
}

extension [Unicode.Scalar] {
    init(_ text: String) { self = Array(text.unicodeScalars) }

    var text: String {
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: self)
        return String(scalars)
    }

    /// `str.split()`.
    var words: [ArraySlice<Unicode.Scalar>] { split(whereSeparator: \.isPythonSpace) }

    /// `str.lstrip('\n').split('\n')`.
    var lines: [ArraySlice<Unicode.Scalar>] {
        drop { $0 == "\n" }.split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// `re.findall(r"\d+")`.
    var digitRuns: [ArraySlice<Unicode.Scalar>] { split { !$0.isPythonDigit } }
}

extension String {
    /// Whether `other` occurs in it, code point by code point.
    func holds(_ other: String) -> Bool {
        let (all, part) = (Array(utf8), Array(other.utf8))
        guard let first = part.first else { return true }
        guard part.count <= all.count else { return false }
        return (0...all.count - part.count).contains { start in
            all[start] == first && all[start..<start + part.count].elementsEqual(part)
        }
    }
}

extension String {
    /// Whether it holds white space alone, or nothing.
    var isBlank: Bool { unicodeScalars.allSatisfy(\.isPythonSpace) }
}
