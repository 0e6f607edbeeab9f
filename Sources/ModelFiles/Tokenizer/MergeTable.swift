/// Merge rules keyed on pairs of ids: `left << 32 | right` to `rank << 32 | result`.
///
///     slots  [ key, value, key, value, … ]   a power of two of pairs, at most half full
final class MergeTable: @unchecked Sendable {
    /// No rule for this pair. As a priority, its upper half is below every rank.
    static let none = UInt64.max

    // Written in init only; freed in deinit.
    private let slots: UnsafeMutablePointer<UInt64>
    private let mask: Int
    private let seed = UInt64.random(in: .min ... .max)

    /// - Parameter rules: `(left, right, result)`, best first. Of two rules for one pair the later
    ///   counts, as in Hugging Face's reader.
    init(_ rules: [(left: Int32, right: Int32, result: Int32)]) {
        var slotCount = 16
        while slotCount < rules.count * 2 { slotCount *= 2 }
        mask = slotCount - 1
        slots = .allocate(capacity: slotCount * 2)
        slots.initialize(repeating: Self.none, count: slotCount * 2)
        for (rank, rule) in rules.enumerated() where rule.result >= 0 {
            let key = Self.key(rule.left, rule.right)
            var slot = Int(truncatingIfNeeded: mixBits(key ^ seed)) & mask
            while slots[slot * 2] != Self.none, slots[slot * 2] != key { slot = (slot + 1) & mask }
            slots[slot * 2] = key
            slots[slot * 2 + 1] = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: rule.result))
        }
    }

    deinit { slots.deallocate() }

    @inline(__always)
    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// `rank << 32 | result`, or ``none``.
    @inline(__always)
    func find(_ left: Int32, _ right: Int32) -> UInt64 {
        let key = Self.key(left, right)
        var slot = Int(truncatingIfNeeded: mixBits(key ^ seed)) & mask
        while true {
            let found = slots[slot * 2]
            if found == key { return slots[slot * 2 + 1] }
            if found == Self.none { return Self.none }
            slot = (slot + 1) & mask
        }
    }
}
