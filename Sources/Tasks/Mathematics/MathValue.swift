import Foundation

/// The value of an expression of numbers, letters, `\pi`, sums, products, fractions, powers, roots and functions.
enum MathValue {
    /// Values with each letter standing for one of three numbers, so that expressions that are equal for all of these are
    /// taken to be equal: `2k+2` and `2(k+1)`. `nil` for what is no such expression or has no finite value.
    static func values(of tokens: [String]) -> [Double]? {
        guard tokens.count <= 512 else { return nil }
        // A word is not a product of its letters.
        if tokens.count > 1, tokens.allSatisfy({ $0.isLetter || $0 == " " }) { return nil }
        var values: [Double] = []
        for point in [0.8731, 1.7219, 2.3907] {
            var parser = ExpressionParser(tokens: tokens, point: point)
            guard let value = parser.sum(depth: 0), parser.isAtEnd, value.isFinite else {
                return nil
            }
            values.append(value)
        }
        return values
    }
}

private struct ExpressionParser {
    let tokens: [String]
    /// From which the value of each letter follows.
    let point: Double
    var index = 0

    init(tokens: [String], point: Double) {
        self.tokens = tokens
        self.point = point
    }

    var isAtEnd: Bool { index >= tokens.count }
    private var next: String? { isAtEnd ? nil : tokens[index] }

    private mutating func take(_ token: String) -> Bool {
        guard next == token else { return false }
        index += 1
        return true
    }

    mutating func sum(depth: Int) -> Double? {
        guard depth < 32, var total = product(depth: depth) else { return nil }
        while let sign = next, sign == "+" || sign == "-" {
            index += 1
            guard let value = product(depth: depth) else { return nil }
            total += sign == "+" ? value : -value
        }
        return total
    }

    private mutating func product(depth: Int) -> Double? {
        if take("-") { return product(depth: depth).map(-) }
        if take("+") { return product(depth: depth) }
        guard var total = mixedNumber() ?? power(depth: depth) else { return nil }
        while let token = next {
            if token == "*" || token == "/" || token == "\\div" {
                index += 1
                let isNegative = take("-")
                guard let value = power(depth: depth) else { return nil }
                let factor = isNegative ? -value : value
                total = token == "*" ? total * factor : total / factor
            } else if startsFactor(token) {
                guard let value = power(depth: depth) else { return nil }
                total *= value
            } else {
                break
            }
        }
        return total
    }

    /// `1\frac{4}{5}`, which is a sum.
    private mutating func mixedNumber() -> Double? {
        let rest = tokens[index...]
        guard rest.count >= 8, tokens[index].isWholeNumber, tokens[index + 1] == "\\frac",
            tokens[index + 2] == "{", tokens[index + 3].isWholeNumber, tokens[index + 4] == "}",
            tokens[index + 5] == "{", tokens[index + 6].isWholeNumber, tokens[index + 7] == "}",
            let whole = Double(tokens[index]), let top = Double(tokens[index + 3]),
            let bottom = Double(tokens[index + 6]), top < bottom
        else { return nil }
        index += 8
        return whole + top / bottom
    }

    private func startsFactor(_ token: String) -> Bool {
        token.isNumber || token.isLetter || token == "(" || token == "{" || token == "\\frac"
            || token == "\\sqrt" || Self.constants[token] != nil || Self.functions[token] != nil
    }

    private mutating func power(depth: Int) -> Double? {
        guard let base = atom(depth: depth) else { return nil }
        guard take("^") else { return base }
        guard let exponent = atom(depth: depth + 1) else { return nil }
        return pow(base, exponent)
    }

    private mutating func atom(depth: Int) -> Double? {
        guard depth < 32, let token = next else { return nil }
        index += 1
        if token.isNumber { return Double(token) }
        if let constant = Self.constants[token] { return constant }
        if token.isLetter { return letter(token) }
        switch token {
        case "(":
            guard let value = sum(depth: depth + 1), take(")") else { return nil }
            return value
        case "{":
            guard let value = sum(depth: depth + 1), take("}") else { return nil }
            return value
        case "\\frac":
            guard next == "{", let top = atom(depth: depth + 1), next == "{",
                let bottom = atom(depth: depth + 1)
            else { return nil }
            return top / bottom
        case "\\sqrt":
            var degree = 2.0
            if take("[") {
                guard let value = sum(depth: depth + 1), take("]") else { return nil }
                degree = value
            }
            guard next == "{", let value = atom(depth: depth + 1) else { return nil }
            return degree == 2 ? value.squareRoot() : pow(value, 1 / degree)
        default:
            guard let function = Self.functions[token] else { return nil }
            let exponent = take("^") ? atom(depth: depth + 1) : 1
            guard let exponent, let value = power(depth: depth + 1) else { return nil }
            return pow(function(value), exponent)
        }
    }

    /// A positive number for each letter, no two related in a way that answers are.
    private func letter(_ token: String) -> Double {
        let code = Double(token.unicodeScalars.first?.value ?? 0)
        return 0.5 + (code * 0.618_033_988_7 + point).truncatingRemainder(dividingBy: 1.9)
    }

    private static let constants: [String: Double] = ["\\pi": .pi]

    private static let functions: [String: @Sendable (Double) -> Double] = [
        "\\sin": { sin($0) }, "\\cos": { cos($0) }, "\\tan": { tan($0) }, "\\cot": { 1 / tan($0) },
        "\\sec": { 1 / cos($0) }, "\\csc": { 1 / sin($0) }, "\\ln": { log($0) },
        "\\log": { log($0) }, "\\exp": { exp($0) }, "\\arcsin": { asin($0) },
        "\\arccos": { acos($0) }, "\\arctan": { atan($0) },
    ]
}
