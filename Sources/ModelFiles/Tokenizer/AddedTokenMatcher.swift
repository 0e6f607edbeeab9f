/// Finds added tokens in text: the leftmost one, and of those the longest.
///
/// A trie over bytes. The first byte goes through a table, so that ordinary text costs one load a
/// byte; further edges live in a dictionary keyed on `node << 8 | byte`.
struct AddedTokenMatcher: Sendable {
    struct Match {
        var start: Int
        var end: Int
        /// Index into ``tokens``.
        var token: Int
    }

    let tokens: [TokenizerRules.AddedToken]
    private var roots = [Int32](repeating: -1, count: 256)
    private var edges: [UInt64: Int32] = [:]
    /// For each node, the token that ends there, or -1.
    private var ends: [Int32] = []

    var isEmpty: Bool { ends.isEmpty }

    /// - Parameter patterns: the bytes to look for, parallel to `tokens`; empty ones are left out
    ///   and of equal ones the later counts.
    init(_ tokens: [TokenizerRules.AddedToken], patterns: [[UInt8]]) {
        self.tokens = tokens
        for (index, pattern) in patterns.enumerated() where !pattern.isEmpty {
            var node = roots[Int(pattern[0])]
            if node < 0 {
                node = Int32(ends.count)
                ends.append(-1)
                roots[Int(pattern[0])] = node
            }
            for byte in pattern.dropFirst() {
                let key = UInt64(UInt32(bitPattern: node)) << 8 | UInt64(byte)
                if let next = edges[key] {
                    node = next
                } else {
                    let next = Int32(ends.count)
                    ends.append(-1)
                    edges[key] = next
                    node = next
                }
            }
            ends[Int(node)] = Int32(index)
        }
    }

    init(_ tokens: [TokenizerRules.AddedToken]) {
        self.init(tokens, patterns: tokens.map(\.content))
    }

    /// The first match that begins in `from ..< end`.
    func next(in text: UnsafePointer<UInt8>, from: Int, end: Int) -> Match? {
        if isEmpty { return nil }
        return roots.withUnsafeBufferPointer { roots in
            var start = from
            while start < end {
                var node = roots[Int(text[start])]
                if node < 0 {
                    start += 1
                    continue
                }
                var best: Match?
                var index = start + 1
                while true {
                    let token = ends[Int(node)]
                    if token >= 0 { best = Match(start: start, end: index, token: Int(token)) }
                    guard index < end,
                        let next = edges[
                            UInt64(UInt32(bitPattern: node)) << 8 | UInt64(text[index])]
                    else { break }
                    node = next
                    index += 1
                }
                if let best { return best }
                start += 1
            }
            return nil
        }
    }
}
