/// What is stored of a vector beside its codes.
package struct RotatedNorms: Sendable, Equatable {
    /// γ, the vector's norm, at most 65504.
    package var norm: Float16
    /// ε, the residual's norm, at most 65504; 0 without a residual.
    package var error: Float16

    package init(norm: Float16, error: Float16) {
        self.norm = norm
        self.error = error
    }

    package static let zero = RotatedNorms(norm: 0, error: 0)
}

/// The oracle and the implementation of TurboQuant (arXiv 2504.19874): one vector of a head at a time.
///
/// All arithmetic is float32 with each product and sum rounded by itself (no fused multiply-add); sums run over rising
/// channels from 0. What is computed, to the last bit:
///
///     x'_i = x_i within ±65504; NaN is 0
///     γ    = float16(min(√(Σ x'_i · x'_i), 65504))          as stored; 0 makes all codes, signs and norms 0
///     y    = Π x'                                            (``Rotation``)
///     code_j = number of boundaries b with y_j > γ · b
///     turned value_j = γ · decoded[code_j]
///
/// with `decoded` the float32 of level/√d and the boundaries `(decoded[i] + decoded[i + 1]) · 0.5` in float32. Thresholds
/// come from the stored γ, so that the decoder's levels are those that codes were chosen for.
///
/// With a residual (`hasResidual`):
///
///     r = x' − Πᵀ (turned values),   sign_j = 1 where (S r)_j ≥ 0, else 0,   ε = float16(min(√(Σ r_i · r_i), 65504))
///     x̂ = Πᵀ (turned values) + factor · ε · Sᵀ (2 sign − 1)                 factor = √(π/2)/d
package struct RotatedQuantizer: Sendable {
    package let format: RotatedFormat
    package let headSize: Int
    package let rotation: Rotation
    /// S; `nil` without a residual.
    package let projection: ResidualProjection?
    /// 2^bits − 1 boundaries between the levels of ``decoded``, rising.
    package let boundaries: [Float]
    /// level/√d of each code, followed by zeros: 16 numbers, as kernels take tables.
    package let decoded: [Float]
    /// What the residual's signs stand for, as a table of 16 numbers.
    package static let signs: [Float] = [-1, 1] + [Float](repeating: 0, count: 14)

    package init(_ format: RotatedFormat, headSize: Int) {
        self.format = format
        self.headSize = headSize
        rotation = .shared(headSize: headSize, seed: format.seed)
        projection =
            format.hasResidual ? .shared(headSize: headSize, seed: format.seed) : nil
        let root = Double(headSize).squareRoot()
        let levels = LloydMax.normal(bits: format.levelBits).levels.map { Float($0 / root) }
        boundaries = zip(levels, levels.dropFirst()).map { ($0 + $1) * 0.5 }
        decoded = levels + [Float](repeating: 0, count: 16 - levels.count)
    }

    /// A number as it is encoded: finite and within float16.
    @inline(__always)
    static func bounded(_ value: Float) -> Float {
        value.isNaN ? 0 : min(max(value, -65504), 65504)
    }

    /// A norm as it is stored.
    @inline(__always)
    static func stored(squared: Float) -> Float16 { Float16(min(squared.squareRoot(), 65504)) }

    /// Encodes headSize numbers into as many codes and, with a residual, as many signs (0 or 1); `signs` is not touched
    /// without one.
    package func encode(
        _ x: UnsafePointer<Float>, codes: UnsafeMutablePointer<UInt8>,
        signs: UnsafeMutablePointer<UInt8>?
    ) -> RotatedNorms {
        let d = headSize
        return withUnsafeTemporaryAllocation(of: Float.self, capacity: 3 * d) { scratch in
            let bounded = scratch.baseAddress!
            let turned = bounded + d
            let back = turned + d
            var square: Float = 0
            for i in 0..<d {
                bounded[i] = Self.bounded(x[i])
                square += bounded[i] * bounded[i]
            }
            let norm = Self.stored(squared: square)
            guard norm != 0 else {
                for i in 0..<d {
                    codes[i] = 0
                    signs?[i] = 0
                }
                return .zero
            }
            rotation.apply(bounded, into: turned)
            for j in 0..<d {
                var code: UInt8 = 0
                for boundary in boundaries where turned[j] > Float(norm) * boundary { code += 1 }
                codes[j] = code
            }
            guard let projection, let signs else { return RotatedNorms(norm: norm, error: 0) }
            for j in 0..<d { turned[j] = Float(norm) * decoded[Int(codes[j])] }
            rotation.applyTranspose(turned, into: back)
            var residual: Float = 0
            for i in 0..<d {
                back[i] = bounded[i] - back[i]
                residual += back[i] * back[i]
            }
            projection.project(back, into: turned)
            for j in 0..<d { signs[j] = turned[j] >= 0 ? 1 : 0 }
            return RotatedNorms(norm: norm, error: Self.stored(squared: residual))
        }
    }

    /// The vector that codes and norms stand for, turned back.
    package func decode(
        _ norms: RotatedNorms, codes: UnsafePointer<UInt8>, signs: UnsafePointer<UInt8>?,
        into out: UnsafeMutablePointer<Float>
    ) {
        let d = headSize
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * d) { scratch in
            let turned = scratch.baseAddress!
            let back = turned + d
            for j in 0..<d { turned[j] = Float(norms.norm) * decoded[Int(codes[j])] }
            rotation.applyTranspose(turned, into: out)
            guard let projection, let signs else { return }
            for j in 0..<d { turned[j] = signs[j] == 0 ? -1 : 1 }
            projection.projectTranspose(turned, into: back)
            let factor = projection.factor * Float(norms.error)
            for i in 0..<d { out[i] += factor * back[i] }
        }
    }

    /// ``encode`` for 32 vectors side by side, `[channel][32]`, without a residual: the same bits, a vector a lane.
    /// `values` are bounded in place.
    func encode32(
        _ values: UnsafeMutablePointer<Float>, codes: UnsafeMutablePointer<UInt32>,
        norms: UnsafeMutablePointer<Float16>
    ) {
        let d = headSize
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 32 * d + 64) { scratch in
            let turned = scratch.baseAddress!
            let squares = turned + 32 * d
            let ends = squares + 32
            squares.update(repeating: 0, count: 32)
            for i in 0..<d {
                let row = values + 32 * i
                for lane in 0..<32 {
                    let value = Self.bounded(row[lane])
                    row[lane] = value
                    squares[lane] += value * value
                }
            }
            rotation.apply32(values, into: turned)
            for lane in 0..<32 {
                norms[lane] = Self.stored(squared: squares[lane])
                // From here on the stored norm, as float32.
                squares[lane] = Float(norms[lane])
            }
            codes.update(repeating: 0, count: 32 * d)
            for boundary in boundaries {
                for lane in 0..<32 {
                    ends[lane] = squares[lane] == 0 ? .infinity : squares[lane] * boundary
                }
                for j in 0..<d {
                    let row = turned + 32 * j
                    let target = codes + 32 * j
                    for lane in 0..<32 { target[lane] &+= row[lane] > ends[lane] ? 1 : 0 }
                }
            }
        }
    }
}
