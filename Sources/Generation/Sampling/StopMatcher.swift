/// Finds stop strings in text that arrives in pieces, and holds back what may be the beginning of one.
public struct StopMatcher: Sendable {
    private let stops: [[UInt8]]
    private var held: [UInt8] = []
    /// Whether a stop string was found; nothing is let through after it.
    public private(set) var isStopped = false

    public init(_ stops: [String]) {
        self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
    }

    /// Takes the next piece and returns the text that is certain not to belong to a stop string.
    public mutating func append(_ text: String) -> String {
        guard !isStopped else { return "" }
        guard !stops.isEmpty else { return text }
        held += text.utf8
        if let start = firstStop() {
            isStopped = true
            let before = String(decoding: held[..<start], as: UTF8.self)
            held = []
            return before
        }
        let kept = longestBeginning()
        let certain = String(decoding: held[..<(held.count - kept)], as: UTF8.self)
        held.removeFirst(held.count - kept)
        return certain
    }

    /// The text still held back, when no more comes.
    public mutating func flush() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    private func firstStop() -> Int? {
        for start in held.indices {
            for stop in stops where held[start...].starts(with: stop) { return start }
        }
        return nil
    }

    /// Length of the longest end of `held` with which a stop string begins.
    private func longestBeginning() -> Int {
        for length in stride(from: held.count, to: 0, by: -1) {
            let end = held.suffix(length)
            if stops.contains(where: { $0.starts(with: end) }) { return length }
        }
        return 0
    }
}
