import Foundation

/// SplitMix64: the tests' only source of randomness.
struct Random: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    mutating func uniform() -> Float { Float(next() >> 40) / Float(1 << 24) }

    /// Standard normal.
    mutating func normal() -> Float {
        let u = max(uniform(), 1e-7)
        return (-2 * log(u)).squareRoot() * cos(2 * .pi * uniform())
    }

    mutating func normals(_ count: Int) -> [Float] { (0..<count).map { _ in normal() } }
}
