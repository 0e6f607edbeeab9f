/// Equality of normalized answers: as text, part by part, or by value.
enum MathEquality {
    static func equal(_ one: [String], _ other: [String], depth: Int) -> Bool {
        if one == other { return true }
        if one.isEmpty || other.isEmpty || depth > 8 { return false }
        if let parts = unionParts(one), let others = unionParts(other) {
            return sameInAnyOrder(parts, others, depth: depth)
        }
        if let matrix = matrixRows(one), let others = matrixRows(other) {
            return sameInOrder(matrix, others, depth: depth)
        }
        if let (open, close, parts) = bracketed(one), let other = bracketed(other) {
            guard open == other.open, close == other.close else { return false }
            return open == "\\{"
                ? sameInAnyOrder(signed(parts), signed(other.parts), depth: depth)
                : sameInOrder(parts, other.parts, depth: depth)
        }
        let (list, others) = (signed(split(one, at: ",")), signed(split(other, at: ",")))
        if list.count > 1 || others.count > 1 {
            return sameInAnyOrder(list, others, depth: depth)
        }
        guard let value = MathValue.values(of: one), let second = MathValue.values(of: other) else {
            return false
        }
        return zip(value, second).allSatisfy(near)
    }

    /// To nine digits: answers are exact, and only rounding in their evaluation is forgiven.
    private static func near(_ one: Double, _ other: Double) -> Bool {
        abs(one - other) <= 1e-9 * max(1e-9, max(abs(one), abs(other)))
    }

    private static func sameInOrder(_ one: [[String]], _ other: [[String]], depth: Int) -> Bool {
        one.count == other.count && zip(one, other).allSatisfy { equal($0, $1, depth: depth + 1) }
    }

    private static func sameInAnyOrder(_ one: [[String]], _ other: [[String]], depth: Int) -> Bool {
        guard one.count == other.count, one.count <= 64 else { return false }
        var left = other
        for part in one {
            guard let index = left.firstIndex(where: { equal(part, $0, depth: depth + 1) }) else {
                return false
            }
            left.remove(at: index)
        }
        return true
    }

    /// Two parts for one with `\pm`: of several such signs in a part, all are plus or all minus.
    private static func signed(_ parts: [[String]]) -> [[String]] {
        parts.flatMap { part in
            guard part.contains("\\pm") else { return [part] }
            return ["+", "-"].map { sign in part.map { $0 == "\\pm" ? sign : $0 } }
        }
    }

    /// The parts of `A \cup B`; `nil` for anything else.
    private static func unionParts(_ tokens: [String]) -> [[String]]? {
        let parts = split(tokens, at: "\\cup")
        return parts.count > 1 ? parts : nil
    }

    /// The entries of a matrix, row by row, with the number of columns before them.
    private static func matrixRows(_ tokens: [String]) -> [[String]]? {
        for name in ["pmatrix", "bmatrix", "matrix"] {
            let letters = name.map(String.init)
            let head = ["\\begin", "{"] + letters + ["}"]
            let tail = ["\\end", "{"] + letters + ["}"]
            guard tokens.starts(with: head), tokens.count > head.count + tail.count,
                tokens.suffix(tail.count).elementsEqual(tail)
            else { continue }
            let rows = split(Array(tokens[head.count..<tokens.count - tail.count]), at: "\\\\")
                .map { split($0, at: "&") }
            return [["\(rows.map(\.count))"]] + rows.joined()
        }
        return nil
    }

    /// The parts of a tuple, interval or set: brackets around all, and a comma.
    private static func bracketed(
        _ tokens: [String]
    ) -> (open: String, close: String, parts: [[String]])? {
        guard let open = tokens.first, let close = tokens.last, tokens.count > 2,
            opening.contains(open), closing.contains(close)
        else { return nil }
        var depth = 0
        for (index, token) in tokens.enumerated() {
            if opening.contains(token) { depth += 1 }
            if closing.contains(token) { depth -= 1 }
            if depth == 0, index < tokens.count - 1 { return nil }
        }
        let parts = split(Array(tokens.dropFirst().dropLast()), at: ",")
        return parts.count > 1 || open == "\\{" ? (open, close, parts) : nil
    }

    /// Cuts where a separator stands outside brackets.
    private static func split(_ tokens: [String], at separator: String) -> [[String]] {
        var parts: [[String]] = [[]]
        var depth = 0
        for token in tokens {
            if opening.contains(token) || token == "{" { depth += 1 }
            if closing.contains(token) || token == "}" { depth -= 1 }
            if token == separator, depth == 0 {
                parts.append([])
            } else {
                parts[parts.count - 1].append(token)
            }
        }
        return parts
    }

    private static let opening: Set<String> = ["(", "[", "\\{"]
    private static let closing: Set<String> = [")", "]", "\\}"]
}
