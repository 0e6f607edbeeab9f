/// The Gaussian matrix S of a residual's signs (QJL, arXiv 2406.03482): d × d standard normal numbers, float32.
///
/// For any q and r, the mean over S of `√(π/2) / d · ‖r‖ · Σ_j (S q)_j · sign (S r)_j` is q·r.
package final class ResidualProjection: Sendable {
    package let headSize: Int
    package let seed: UInt64
    /// S, `[row][channel]`.
    package let matrix: [Float]
    /// Sᵀ, `[channel][row]`.
    package let transposed: [Float]
    /// √(π/2) / d, rounded from float64.
    package let factor: Float

    private static let shared = MadeFromSeed<ResidualProjection>()

    /// The matrix that belongs to the rotation of the same seed; made once.
    package static func shared(headSize: Int, seed: UInt64) -> ResidualProjection {
        shared.value(headSize: headSize, seed: seed) {
            ResidualProjection(headSize: headSize, seed: seed)
        }
    }

    package init(headSize d: Int, seed: UInt64) {
        headSize = d
        self.seed = seed
        factor = Float((Double.pi / 2).squareRoot() / Double(d))
        // Numbers of their own, as those of the seed itself are the rotation's.
        var numbers = SeededNumbers(seed: seed ^ 0xD1B5_4A32_D192_ED03)
        let values = (0..<d * d).map { _ in Float(numbers.normal()) }
        matrix = values
        transposed = (0..<d * d).map { values[$0 % d * d + $0 / d] }
    }

    /// `out = S x`; both of headSize, not overlapping. Sums run over rising channels, each product and sum rounded.
    package func project(_ x: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>) {
        Rotation.multiply(transposed, x, headSize, out)
    }

    /// `out = Sᵀ y`; both of headSize, not overlapping.
    package func projectTranspose(
        _ y: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>
    ) {
        Rotation.multiply(matrix, y, headSize, out)
    }
}
