import Foundation

/// A small seeded generator (SplitMix64), the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A standard normal number (Box–Muller).
    mutating func normal() -> Double {
        let radius = (-2 * log(Double.random(in: 1e-12..<1, using: &self))).squareRoot()
        return radius * cos(2 * .pi * Double.random(in: 0..<1, using: &self))
    }
}

/// The quantile function of the standard normal distribution, by Newton's method on erfc.
func normalQuantile(_ share: Double) -> Double {
    var x = 0.0
    for _ in 0..<60 {
        let error = 0.5 * erfc(-x / 2.0.squareRoot()) - share
        let step = error / (exp(-x * x / 2) / (2 * Double.pi).squareRoot())
        x -= min(max(step, -0.5), 0.5)
        if abs(step) < 1e-14 { break }
    }
    return x
}

/// A path of its own, removed by the caller.
func temporaryPath() -> String {
    FileManager.default.temporaryDirectory.path + "/innerq-calibration-\(UUID().uuidString)"
}
