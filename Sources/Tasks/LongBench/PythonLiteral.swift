/// A value as Python prints it: lists, tuples, dictionaries with text for keys, text, numbers, `None`, `True`, `False`.
///
/// Files written from Python often hold lists as such text. Nothing is evaluated.
enum PythonLiteral: Equatable {
    case text(String)
    /// A number, or `None`, `True`, `False`, as it is written.
    case word(String)
    case list([PythonLiteral])
    case dictionary([String: PythonLiteral])

    /// `nil` for text that is anything else, or nests more than 32 deep.
    init?(_ text: String) {
        var parser = Parser(scalars: Scalars(text))
        guard let value = parser.value(depth: 0) else { return nil }
        parser.skipSpace()
        guard parser.isAtEnd else { return nil }
        self = value
    }
}

private struct Parser {
    let scalars: Scalars
    var index = 0

    init(scalars: Scalars) { self.scalars = scalars }

    var isAtEnd: Bool { index >= scalars.count }
    private var next: Unicode.Scalar? { isAtEnd ? nil : scalars[index] }

    mutating func skipSpace() {
        while let next, next.isPythonSpace { index += 1 }
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        skipSpace()
        guard next == scalar else { return false }
        index += 1
        return true
    }

    mutating func value(depth: Int) -> PythonLiteral? {
        guard depth < 32 else { return nil }
        skipSpace()
        switch next {
        case "[":
            index += 1
            return list(until: "]", depth: depth)
        case "(":
            index += 1
            return list(until: ")", depth: depth)
        case "{":
            index += 1
            return dictionary(depth: depth)
        case "'", "\"": return text().map(PythonLiteral.text)
        default: return word()
        }
    }

    private mutating func list(until end: Unicode.Scalar, depth: Int) -> PythonLiteral? {
        var values: [PythonLiteral] = []
        while !take(end) {
            if !values.isEmpty {
                guard take(",") else { return nil }
                // A comma may stand before the end.
                if take(end) { break }
            }
            guard let value = value(depth: depth + 1) else { return nil }
            values.append(value)
        }
        return .list(values)
    }

    private mutating func dictionary(depth: Int) -> PythonLiteral? {
        var values: [String: PythonLiteral] = [:]
        while !take("}") {
            if !values.isEmpty {
                guard take(",") else { return nil }
                if take("}") { break }
            }
            skipSpace()
            guard let key = text(), take(":"), let value = value(depth: depth + 1) else {
                return nil
            }
            values[key] = value
        }
        return .dictionary(values)
    }

    private mutating func text() -> String? {
        guard let quote = next, quote == "'" || quote == "\"" else { return nil }
        index += 1
        var result: Scalars = []
        while let scalar = next {
            index += 1
            if scalar == quote { return result.text }
            if scalar != "\\" {
                result.append(scalar)
                continue
            }
            guard let escape = next else { return nil }
            index += 1
            switch escape {
            case "n": result.append("\n")
            case "t": result.append("\t")
            case "r": result.append("\r")
            case "\\", "'", "\"": result.append(escape)
            case "x", "u", "U":
                let count = escape == "x" ? 2 : escape == "u" ? 4 : 8
                guard let scalar = code(digits: count) else { return nil }
                result.append(scalar)
            default:
                // Python keeps the backslash before what it does not know.
                result += ["\\", escape]
            }
        }
        return nil
    }

    private mutating func code(digits: Int) -> Unicode.Scalar? {
        guard index + digits <= scalars.count else { return nil }
        let text = Array(scalars[index..<index + digits]).text
        guard let value = UInt32(text, radix: 16) else { return nil }
        index += digits
        return Unicode.Scalar(value)
    }

    private mutating func word() -> PythonLiteral? {
        let start = index
        while let next, next.isPythonWord || "+-.".unicodeScalars.contains(next) { index += 1 }
        let text = Array(scalars[start..<index]).text
        let isConstant = ["None", "True", "False"].contains(text)
        return isConstant || Double(text) != nil ? .word(text) : nil
    }
}
