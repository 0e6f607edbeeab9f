/// Random numbers that are the same on every machine for the same seed: SplitMix64 (Steele, Lea and Flood 2014).
///
/// The standard library's `random(in:using:)` and `shuffle(using:)` are not used with it: how they draw may change.
struct SeededNumbers {
    private var state: UInt64

    /// - Parameter path: What the numbers are for, such as a task, a length and a sample: another stream for each.
    init(seed: UInt64, _ path: String...) {
        // FNV-1a over the parts; the separator keeps ("ab", "c") from ("a", "bc").
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in path.joined(separator: "/").utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        state = hash
        state = next() ^ seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// A number from 0 to `bound - 1`. The high half of a product: its bias is below `bound` in 2⁶⁴.
    mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0)
        return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    mutating func within(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + below(range.count)
    }

    /// From 0 to just below 1.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    mutating func pick<Element>(_ list: [Element]) -> Element { list[below(list.count)] }

    mutating func shuffle<Element>(_ list: inout [Element]) {
        for last in stride(from: list.count - 1, to: 0, by: -1) {
            list.swapAt(last, below(last + 1))
        }
    }

    /// `count` different elements in random order.
    mutating func sample<Element>(_ list: [Element], _ count: Int) -> [Element] {
        var list = list
        shuffle(&list)
        return Array(list.prefix(count))
    }

    /// So many decimal digits, the first of which is not 0.
    mutating func number(digits: Int) -> String {
        var text = String(within(1...9))
        for _ in 1..<digits { text += String(below(10)) }
        return text
    }

    /// Version 4 of RFC 9562.
    mutating func uuid() -> String {
        let high = (next() & ~0xF000) | 0x4000
        let low = (next() & ~(3 << 62)) | (2 << 62)
        let digits = Self.hexadecimal(high) + Self.hexadecimal(low)
        let cuts = [0, 8, 12, 16, 20, 32]
        return zip(cuts, cuts.dropFirst()).map { String(digits[$0..<$1]) }.joined(separator: "-")
    }

    private static func hexadecimal(_ value: UInt64) -> [Character] {
        let text = String(value, radix: 16)
        return Array(String(repeating: "0", count: 16 - text.count) + text)
    }
}
