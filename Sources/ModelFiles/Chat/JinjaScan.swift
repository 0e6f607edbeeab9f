/// The parts of a Jinja template, as far as recognizing known templates needs them.
///
/// Nothing is evaluated. `{{ … }}` expressions that add strings are taken apart into their terms.
struct JinjaScan {
    enum Term: Equatable {
        /// A string in quotes, with its escapes resolved.
        case literal(String)
        /// Anything else, with blanks taken out (`message['content']|trim`).
        case code(String)
    }

    struct Expression {
        var terms: [Term]
        /// The `{% … %}` before it, without blanks at its ends.
        var statement: String

        var literals: [String] {
            terms.compactMap { if case .literal(let string) = $0 { string } else { nil } }
        }

        var codes: [String] {
            terms.compactMap { if case .code(let string) = $0 { string } else { nil } }
        }

        /// The first literal that contains a string.
        func literal(containing string: String) -> String? {
            literals.first { $0.contains(string) }
        }
    }

    private(set) var expressions: [Expression] = []
    /// All strings in quotes, in expressions and statements alike, and the text outside of them.
    private(set) var strings: [String] = []
    /// The statements, without blanks at their ends.
    private(set) var statements: [String] = []

    init(_ source: String) {
        let scalars = Array(source.unicodeScalars)
        var index = 0
        var outside = String.UnicodeScalarView()
        while index < scalars.count {
            let next = index + 1 < scalars.count ? scalars[index + 1] : " "
            guard scalars[index] == "{", next == "{" || next == "%" || next == "#" else {
                outside.append(scalars[index])
                index += 1
                continue
            }
            strings.append(String(outside))
            outside = .init()
            let (body, end) = Self.tag(scalars, index + 2, closer: next == "{" ? "}" : next)
            index = end
            if next == "#" { continue }
            let terms = Self.terms(body)
            if next == "{" {
                expressions.append(Expression(terms: terms, statement: statements.last ?? ""))
            } else {
                statements.append(String(String.UnicodeScalarView(body)).strippedLikePython())
            }
            strings += terms.compactMap {
                if case .literal(let string) = $0 { string } else { nil }
            }
        }
        strings.append(String(outside))
    }

    /// The inside of a tag from `start` on, and where the text goes on after it.
    private static func tag(
        _ scalars: [Unicode.Scalar], _ start: Int, closer: Unicode.Scalar
    ) -> (body: ArraySlice<Unicode.Scalar>, end: Int) {
        var quote: Unicode.Scalar?
        var index = start
        while index < scalars.count {
            let scalar = scalars[index]
            if closer != "#" {
                if let open = quote {
                    if scalar == "\\" { index += 1 } else if scalar == open { quote = nil }
                    index += 1
                    continue
                }
                if scalar == "'" || scalar == "\"" { quote = scalar }
            }
            if scalar == closer, index + 1 < scalars.count, scalars[index + 1] == "}" {
                var (first, last) = (start, index)
                // {%- and -%} take away blanks around the tag.
                if first < last, scalars[first] == "-" || scalars[first] == "+" { first += 1 }
                if first < last, scalars[last - 1] == "-" || scalars[last - 1] == "+" { last -= 1 }
                return (scalars[first..<last], index + 2)
            }
            index += 1
        }
        return (scalars[min(start, scalars.count)...], scalars.count)
    }

    /// Takes an expression apart at quotes and at `+` outside of them.
    private static func terms(_ body: ArraySlice<Unicode.Scalar>) -> [Term] {
        var terms: [Term] = []
        var code = String.UnicodeScalarView()
        var depth = 0
        var index = body.startIndex

        func flush() {
            if !code.isEmpty { terms.append(.code(String(code))) }
            code = .init()
        }

        while index < body.endIndex {
            let scalar = body[index]
            index += 1
            switch scalar {
            case "'", "\"":
                let (string, end) = literal(body, index, quote: scalar)
                // Inside of brackets a string is a name: message['content'].
                if depth > 0 {
                    code.append(contentsOf: "'\(string)'".unicodeScalars)
                } else {
                    flush()
                    terms.append(.literal(string))
                }
                index = end
            case "[", "(":
                depth += 1
                code.append(scalar)
            case "]", ")":
                depth -= 1
                code.append(scalar)
            case "+" where depth == 0:
                flush()
            case _ where scalar.properties.isWhitespace:
                continue
            default:
                code.append(scalar)
            }
        }
        flush()
        return terms
    }

    private static func literal(
        _ body: ArraySlice<Unicode.Scalar>, _ start: Int, quote: Unicode.Scalar
    ) -> (string: String, end: Int) {
        var result = String.UnicodeScalarView()
        var index = start
        while index < body.endIndex, body[index] != quote {
            if body[index] == "\\", index + 1 < body.endIndex {
                index += 1
                switch body[index] {
                case "n": result.append("\n")
                case "t": result.append("\t")
                case "r": result.append("\r")
                default: result.append(body[index])
                }
            } else {
                result.append(body[index])
            }
            index += 1
        }
        return (String(result), min(index + 1, body.endIndex))
    }
}
