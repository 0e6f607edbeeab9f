import Foundation

/// The numbers that kernels are checked with: the same in every run.
struct SplitMix64 {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Standard normal.
    mutating func normal() -> Float {
        let u = max(Float(next() >> 40) / Float(1 << 24), 1e-7)
        let angle = 2 * Float.pi * Float(next() >> 40) / Float(1 << 24)
        return (-2 * log(u)).squareRoot() * cos(angle)
    }
}

enum Oracle {
    static func exp(_ value: Double) -> Double { Foundation.exp(value) }
}
