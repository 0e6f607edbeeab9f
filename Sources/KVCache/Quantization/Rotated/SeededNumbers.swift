import Foundation
internal import Synchronization

/// The numbers that rotations are made of. Stored caches depend on every one of them: do not change.
///
/// Integers are ``SplitMix64``'s. Normals are Box and Muller's pairs, in float64:
///
///     u = (⌊n₁ / 2¹¹⌋ + 1) / 2⁵³,  v = ⌊n₂ / 2¹¹⌋ / 2⁵³        √(−2 ln u) · cos 2πv,  √(−2 ln u) · sin 2πv
///
/// in that order. Mathematical libraries may differ in the last bit of a float64, which float32 hides but for one number
/// in about 10⁸.
struct SeededNumbers {
    private var integers: SplitMix64
    private var second: Double?

    init(seed: UInt64) { integers = SplitMix64(seed: seed) }

    mutating func next() -> UInt64 { integers.next() }

    /// Standard normal.
    mutating func normal() -> Double {
        if let value = second {
            second = nil
            return value
        }
        let u = (Double(next() >> 11) + 1) * 0x1p-53
        let v = Double(next() >> 11) * 0x1p-53
        let radius = (-2 * log(u)).squareRoot()
        second = radius * sin(2 * .pi * v)
        return radius * cos(2 * .pi * v)
    }
}

/// What was made from a seed for a head size, shared by all caches of the process.
final class MadeFromSeed<Value: Sendable>: Sendable {
    private struct Key: Hashable {
        var headSize: Int
        var seed: UInt64
    }

    private let made = Mutex<[Key: Value]>([:])

    func value(headSize: Int, seed: UInt64, make: () -> Value) -> Value {
        let key = Key(headSize: headSize, seed: seed)
        if let value = made.withLock({ $0[key] }) { return value }
        // Made outside of the lock; who comes second takes what came first.
        let value = make()
        return made.withLock { all in
            if let earlier = all[key] { return earlier }
            all[key] = value
            return value
        }
    }
}
