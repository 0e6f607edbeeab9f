import Foundation

/// The scalar quantizer of 2^bits levels that has the least mean square error for a standard normal variable (Lloyd 1957,
/// Max 1960): levels are the means of their cells, and cells end halfway between levels.
///
/// Computed, not tabled: Lloyd's iteration in float64 until nothing moves. Levels are symmetric, so half of them are
/// iterated and the other half mirrored.
package struct LloydMax: Sendable {
    /// 2^bits levels, rising.
    package let levels: [Double]
    /// 2^bits − 1 ends of cells, rising: a value has the code that is the number of boundaries below it.
    package let boundaries: [Double]
    /// Mean square error for a standard normal variable.
    package let distortion: Double

    /// The quantizer of 1 to 4 bits, made once.
    package static func normal(bits: Int) -> LloydMax { made[bits - 1] }

    private static let made = (1...4).map(LloydMax.init(bits:))

    private init(bits: Int) {
        let half = 1 << (bits - 1)
        var positive = (0..<half).map { (Double($0) + 0.5) * 2 / Double(half) }
        var ends = [Double](repeating: 0, count: half + 1)
        ends[half] = .infinity
        // Converges by a constant factor a step, which is nearest to 1 with the most levels: 16 need about 800 steps.
        for _ in 0..<20_000 {
            for i in 1..<max(half, 1) { ends[i] = (positive[i - 1] + positive[i]) / 2 }
            var moved = 0.0
            for i in 0..<half {
                let mean = Self.mean(from: ends[i], to: ends[i + 1])
                moved = max(moved, abs(mean - positive[i]))
                positive[i] = mean
            }
            if moved < 1e-15 { break }
        }
        levels = positive.reversed().map { -$0 } + positive
        boundaries = ends[1..<half].reversed().map { -$0 } + [0] + ends[1..<half]
        // E[(x − level)²] = 1 − Σ P(cell) · level², as levels are the means of their cells.
        var energy = 0.0
        for i in 0..<half {
            energy += 2 * Self.mass(from: ends[i], to: ends[i + 1]) * positive[i] * positive[i]
        }
        distortion = 1 - energy
    }

    /// Mean of a standard normal variable within [a, b], 0 ≤ a < b.
    private static func mean(from a: Double, to b: Double) -> Double {
        (density(a) - density(b)) / mass(from: a, to: b)
    }

    /// Probability of [a, b]; by erfc, which keeps its digits in the tail.
    private static func mass(from a: Double, to b: Double) -> Double {
        (erfc(a / 2.0.squareRoot()) - erfc(b / 2.0.squareRoot())) / 2
    }

    private static func density(_ x: Double) -> Double {
        exp(-x * x / 2) / (2 * Double.pi).squareRoot()
    }
}
