/// LaTeX cut into commands, numbers and single characters.
enum LaTeXTokens {
    /// Commands keep their backslash; digits with a decimal point form one token; runs of white space are one space.
    static func cut(_ text: String) -> [String] {
        let scalars = Scalars(text)
        var tokens: [String] = []
        var index = 0
        func run(_ start: Int, _ isIn: (Unicode.Scalar) -> Bool) -> Int {
            scalars[start...].firstIndex { !isIn($0) } ?? scalars.count
        }
        while index < scalars.count {
            let scalar = scalars[index]
            var end = index + 1
            if scalar.isPythonSpace {
                index = run(index, \.isPythonSpace)
                tokens.append(" ")
                continue
            }
            if scalar == "\\", end < scalars.count {
                end = max(end + 1, run(end) { $0.isASCIILetter })
            } else if scalar.isASCIIDigit || (scalar == "." && startsNumber(scalars, end)) {
                end = run(index) { $0.isASCIIDigit }
                if end + 1 <= scalars.count, end < scalars.count, scalars[end] == ".",
                    startsNumber(scalars, end + 1)
                {
                    end = run(end + 1) { $0.isASCIIDigit }
                }
            }
            tokens.append(Array(scalars[index..<end]).text)
            index = end
        }
        return tokens
    }

    private static func startsNumber(_ scalars: Scalars, _ index: Int) -> Bool {
        index < scalars.count && scalars[index].isASCIIDigit
    }

    /// Where the brace at `open` closes.
    static func closing(_ tokens: [String], from open: Int) -> Int? {
        var depth = 0
        for index in open..<tokens.count {
            if tokens[index] == "{" { depth += 1 }
            if tokens[index] == "}" {
                depth -= 1
                if depth == 0 { return index }
            }
        }
        return nil
    }
}

extension Unicode.Scalar {
    var isASCIIDigit: Bool { (0x30...0x39).contains(value) }
    var isASCIILetter: Bool { (0x41...0x5A).contains(value) || (0x61...0x7A).contains(value) }
}

extension String {
    /// A token that is a number.
    var isNumber: Bool {
        unicodeScalars.first.map { $0.isASCIIDigit || $0 == "." } == true && self != "."
    }
    var isWholeNumber: Bool { !isEmpty && unicodeScalars.allSatisfy(\.isASCIIDigit) }
    /// A token that is a letter of any script.
    var isLetter: Bool { count == 1 && first?.isLetter == true }
}
