import Foundation
import KVCache

/// The numbers that kernels are checked with: the same in every run.
extension SplitMix64 {
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
