/// Brings an answer to one spelling.
enum MathNormalizer {
    /// The answer's tokens. Those of words are their letters in lower case.
    static func tokens(of answer: String) -> [String] {
        var tokens = LaTeXTokens.cut(answer).map { synonyms[$0] ?? $0 }
        unwrap(&tokens)
        if let words = text(of: tokens) { return words }
        joinThousands(&tokens)
        replaceTexts(&tokens)
        dropUnits(&tokens)
        tokens.removeAll { ignored.contains($0) }
        dropDegrees(&tokens)
        dropName(&tokens)
        tokens = braced(tokens)
        trimEnd(&tokens)
        fractions(&tokens)
        return tokens.map { $0.isNumber ? number($0) : $0 }
    }

    /// Takes away what encloses the whole: dollars, `\(…\)`, a box.
    private static func unwrap(_ tokens: inout [String]) {
        tokens.removeAll { ["$", "\\(", "\\)", "\\[", "\\]"].contains($0) }
        trim(&tokens)
        while tokens.count > 2, ["\\boxed", "\\fbox"].contains(tokens[0]), tokens[1] == "{",
            LaTeXTokens.closing(tokens, from: 1) == tokens.count - 1
        {
            tokens = Array(tokens[2..<tokens.count - 1])
            trim(&tokens)
        }
    }

    private static func trim(_ tokens: inout [String]) {
        while tokens.last == " " || tokens.last == "." { tokens.removeLast() }
        while tokens.first == " " { tokens.removeFirst() }
    }

    /// An answer in words, such as `\text{east}` or "(C)": its letters in lower case, without brackets around one letter.
    private static func text(of tokens: [String]) -> [String]? {
        var inner = tokens
        if inner.first == "\\text", inner.count > 2, inner[1] == "{",
            LaTeXTokens.closing(inner, from: 1) == inner.count - 1
        {
            inner = Array(inner[2..<inner.count - 1])
        }
        trim(&inner)
        if inner.count == 3, ["(", "["].contains(inner[0]), [")", "]"].contains(inner[2]),
            inner[1].isLetter
        {
            inner = [inner[1]]
        }
        guard inner.contains(where: \.isLetter),
            inner.allSatisfy({ $0.isLetter || [" ", "-", "'", "’"].contains($0) }),
            // `a - b` is an expression.
            inner.count == 1
                || zip(inner, inner.dropFirst()).contains(where: { $0.isLetter && $1.isLetter })
        else { return nil }
        return inner.map { $0.lowercased() }
    }

    /// `10,\!080` and `58,500` become one number; `(100,200)` does not.
    private static func joinThousands(_ tokens: inout [String]) {
        var joined: [String] = []
        var depth = 0
        var index = 0
        while index < tokens.count {
            let token = tokens[index]
            if ["(", "[", "\\{"].contains(token) { depth += 1 }
            if [")", "]", "\\}"].contains(token) { depth -= 1 }
            if token == ",", let last = joined.last, last.isWholeNumber {
                // `,\!` is always within a number; a bare comma only where no space follows.
                var next = index + 1
                while next < tokens.count, ["\\!", " "].contains(tokens[next]) { next += 1 }
                let isTight = next == index + 1 && depth <= 0
                let isMarked = next > index + 1 && tokens[index + 1] == "\\!"
                if isTight || isMarked, next < tokens.count {
                    let group = tokens[next].prefix { $0 != "." }
                    if group.count == 3, String(group).isWholeNumber {
                        joined[joined.count - 1] = last + tokens[next]
                        index = next + 1
                        continue
                    }
                }
            }
            joined.append(token)
            index += 1
        }
        tokens = joined
    }

    /// `\text{ and }` separates answers as a comma does; other text beside an answer is a unit, with its exponent.
    private static func replaceTexts(_ tokens: inout [String]) {
        while let start = tokens.firstIndex(of: "\\text") {
            var end = start + 1
            var words = ""
            if end < tokens.count, tokens[end] == "{",
                let close = LaTeXTokens.closing(tokens, from: end)
            {
                words = tokens[end + 1..<close].joined().trimming(" ")
                end = close + 1
            }
            if words == "and" || words == "or" {
                tokens.replaceSubrange(start..<end, with: [","])
                continue
            }
            if end < tokens.count, tokens[end] == "^" {
                end += 1
                if end < tokens.count, tokens[end] == "{",
                    let close = LaTeXTokens.closing(tokens, from: end)
                {
                    end = close + 1
                } else if end < tokens.count {
                    end += 1
                }
            }
            tokens.removeSubrange(start..<end)
        }
    }

    /// Takes away plain words of measure after a number, such as `5 cm^2` or `12 square units`.
    private static func dropUnits(_ tokens: inout [String]) {
        trim(&tokens)
        while let space = tokens.lastIndex(of: " "), space > 0 {
            var word = tokens[(space + 1)...].joined().lowercased()
            for power in ["^2", "^3", "^{2}", "^{3}"] where word.hasSuffix(power) {
                word.removeLast(power.count)
            }
            let head = tokens[..<space]
            guard units.contains(word), head.contains(where: \.isNumber) else { return }
            tokens.removeSubrange(space...)
            trim(&tokens)
        }
    }

    /// `90^\circ` and `90^{\circ}`.
    private static func dropDegrees(_ tokens: inout [String]) {
        var kept: [String] = []
        var index = 0
        while index < tokens.count {
            if tokens[index] == "^", tokens[(index + 1)...].starts(with: ["\\circ"]) {
                index += 2
            } else if tokens[index] == "^",
                tokens[(index + 1)...].starts(with: ["{", "\\circ", "}"])
            {
                index += 4
            } else {
                kept.append(tokens[index])
                index += 1
            }
        }
        tokens = kept
    }

    /// `x = 5` and `x \in [1,2]` name what the answer is; `x + y = 5` is itself the answer.
    private static func dropName(_ tokens: inout [String]) {
        guard tokens.count > 2, tokens[0].isLetter || greek.contains(tokens[0]),
            tokens[1] == "=" || tokens[1] == "\\in", !tokens[2...].contains("=")
        else { return }
        tokens.removeFirst(2)
    }

    private static func trimEnd(_ tokens: inout [String]) {
        while let last = tokens.last, [".", ",", ";"].contains(last) { tokens.removeLast() }
    }

    /// Puts each argument in braces: `\frac12`, `\frac{1}2`, `\sqrt3`, `x^2`, `a_1`. Two digits after `\frac` are two
    /// arguments.
    private static func braced(_ tokens: [String], depth: Int = 0) -> [String] {
        if depth > 32 { return tokens }
        var result: [String] = []
        var queue = Array(tokens.reversed())
        // How many arguments may still come without braces.
        var pending = 0
        while let token = queue.popLast() {
            if pending > 0, token != "{" {
                if token == "[" && result.last == "\\sqrt" {
                    // The degree of a root.
                    result.append(token)
                    while let next = queue.popLast() {
                        result.append(next)
                        if next == "]" { break }
                    }
                    continue
                }
                if token == "\\frac" || token == "\\sqrt" || token == "-" || token == "\\left" {
                    // Not a single token: it is left as it stands.
                    pending = arguments[token] ?? 0
                    result.append(token)
                    continue
                }
                pending -= 1
                if token.isNumber, token.count > 1, token.isWholeNumber {
                    result += ["{", String(token.prefix(1)), "}"]
                    queue.append(String(token.dropFirst()))
                } else {
                    result += ["{", token, "}"]
                }
                continue
            }
            if pending > 0, token == "{" {
                // A braced argument is taken whole, and its inside braced likewise.
                pending -= 1
                var depth = 1
                var inside: [String] = []
                while depth > 0, let next = queue.popLast() {
                    if next == "{" { depth += 1 }
                    if next == "}" { depth -= 1 }
                    if depth > 0 { inside.append(next) }
                }
                result += ["{"] + braced(inside, depth: depth + 1) + ["}"]
                continue
            }
            result.append(token)
            pending = arguments[token] ?? 0
        }
        return result
    }

    private static let arguments = ["\\frac": 2, "\\sqrt": 1, "^": 1, "_": 1]

    /// `-1/3` and `\frac{-1}{3}` become `-\frac{1}{3}`.
    private static func fractions(_ tokens: inout [String]) {
        var index = 0
        while index < tokens.count {
            let rest = tokens[index...]
            if rest.count >= 3, tokens[index].isWholeNumber, tokens[index + 1] == "/",
                tokens[index + 2].isWholeNumber
            {
                let parts = ["\\frac", "{", tokens[index], "}", "{", tokens[index + 2], "}"]
                tokens.replaceSubrange(index..<index + 3, with: parts)
            } else if rest.starts(with: ["\\frac", "{", "-"]), rest.count > 4,
                rest[index + 3].isNumber,
                rest[index + 4] == "}"
            {
                tokens.remove(at: index + 2)
                tokens.insert("-", at: index)
            }
            index += 1
        }
    }

    /// Without needless zeros: `.50` becomes `0.5`.
    private static func number(_ token: String) -> String {
        var whole = String(token.prefix { $0 != "." })
        var part = String(token.dropFirst(whole.count + 1))
        while whole.count > 1, whole.hasPrefix("0") { whole.removeFirst() }
        while part.hasSuffix("0") { part.removeLast() }
        if whole.isEmpty { whole = "0" }
        return part.isEmpty ? whole : whole + "." + part
    }

    private static let ignored: Set<String> = [
        " ", "\\!", "\\,", "\\;", "\\:", "\\ ", "~", "\\quad", "\\qquad", "\\left", "\\right",
        "\\big",
        "\\Big", "\\bigg", "\\Bigg", "\\bigl", "\\bigr", "\\displaystyle", "\\limits", "\\$", "\\%",
        "%", "\\degree", "°", "€", "£",
    ]

    private static let synonyms: [String: String] = [
        "\\dfrac": "\\frac", "\\tfrac": "\\frac", "\\cfrac": "\\frac", "\\mbox": "\\text",
        "\\textbf": "\\text", "\\textit": "\\text", "\\textrm": "\\text", "\\mathrm": "\\text",
        "\\hbox": "\\text", "\\operatorname": "\\text", "\\leq": "\\le", "\\geq": "\\ge",
        "\\leqslant": "\\le", "\\geqslant": "\\ge", "\\neq": "\\ne", "\\lbrace": "\\{",
        "\\rbrace": "\\}", "\\times": "*", "\\cdot": "*", "×": "*", "·": "*", "−": "-", "–": "-",
        "π": "\\pi", "∞": "\\infty", "√": "\\sqrt", "≤": "\\le", "≥": "\\ge", "≠": "\\ne",
        "∪": "\\cup", "∈": "\\in", "±": "\\pm", "θ": "\\theta", "\\iff": "\\Leftrightarrow",
    ]

    private static let greek: Set<String> = [
        "\\alpha", "\\beta", "\\gamma", "\\theta", "\\lambda", "\\mu", "\\phi", "\\omega",
    ]

    private static let units: Set<String> = [
        "degree", "degrees", "cm", "mm", "km", "m", "inch", "inches", "in", "ft", "foot", "feet",
        "yard", "yards", "meter", "meters", "centimeters", "mile", "miles", "mph", "unit", "units",
        "square", "cubic", "sq", "second", "seconds", "minute", "minutes", "hour", "hours", "day",
        "days", "week", "weeks", "month", "months", "year", "years", "cent", "cents", "dollar",
        "dollars", "percent", "point", "points", "pound", "pounds", "gram", "grams", "kg", "liters",
        "gallons", "people", "students", "ways",
    ]
}

extension String {
    fileprivate func trimming(_ character: Character) -> String {
        var text = self[...]
        while text.first == character { text.removeFirst() }
        while text.last == character { text.removeLast() }
        return String(text)
    }
}
