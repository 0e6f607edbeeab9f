/// The random rotation Π of a head's vectors.
///
/// Head sizes that are powers of two: Π = H·D. D multiplies channels by random signs, H is the Walsh–Hadamard matrix
/// divided by √d, in butterflies: d·log₂ d additions.
///
/// Others: the orthogonal factor of a Gaussian matrix, which is any rotation with equal chance: d² multiplications.
///
/// Everything is float32 with each product and sum rounded by itself, in the order that is given here, so that another
/// processor can repeat it to the bit.
package final class Rotation: Sendable {
    package let headSize: Int
    package let seed: UInt64
    /// The diagonal of D: headSize times ±1. Empty with a matrix.
    package let signs: [Float]
    /// Π, `[row][channel]`. Empty with signs.
    package let matrix: [Float]
    /// Πᵀ, `[channel][row]`. Empty with signs.
    package let transposed: [Float]
    /// 1/√d, rounded from float64.
    package let scale: Float

    private static let shared = MadeFromSeed<Rotation>()

    /// The rotation of `headSize` channels that `seed` stands for; made once.
    package static func shared(headSize: Int, seed: UInt64) -> Rotation {
        shared.value(headSize: headSize, seed: seed) { Rotation(headSize: headSize, seed: seed) }
    }

    package init(headSize d: Int, seed: UInt64) {
        headSize = d
        self.seed = seed
        scale = Float(1 / Double(d).squareRoot())
        var numbers = SeededNumbers(seed: seed)
        if d > 0, d & (d - 1) == 0 {
            // A channel's sign is the top bit of its number: set is minus.
            signs = (0..<d).map { _ in numbers.next() >> 63 == 1 ? -1 : 1 }
            matrix = []
            transposed = []
        } else {
            signs = []
            let rows = Self.orthonormalRows(d, &numbers)
            matrix = rows.flatMap { $0.map { Float($0) } }
            transposed = (0..<d).flatMap { channel in rows.map { Float($0[channel]) } }
        }
    }

    /// Gram–Schmidt in float64 over rows of normal numbers, each row twice against those before it. Lengths are positive,
    /// so the signs are those of the numbers and every rotation is equally likely.
    private static func orthonormalRows(_ d: Int, _ numbers: inout SeededNumbers) -> [[Double]] {
        var rows: [[Double]] = []
        for _ in 0..<d {
            var row = (0..<d).map { _ in numbers.normal() }
            for _ in 0..<2 {
                for other in rows {
                    var product = 0.0
                    for i in 0..<d { product += row[i] * other[i] }
                    for i in 0..<d { row[i] -= product * other[i] }
                }
            }
            var square = 0.0
            for value in row { square += value * value }
            let length = square.squareRoot()
            rows.append(row.map { $0 / length })
        }
        return rows
    }

    /// `out = Π x`; both of headSize, not overlapping.
    package func apply(_ x: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>) {
        if signs.isEmpty {
            Self.multiply(transposed, x, headSize, out)
        } else {
            signs.withUnsafeBufferPointer { signs in
                for i in 0..<headSize { out[i] = signs[i] * x[i] }
            }
            Self.hadamard(out, headSize, stride: 1)
            for i in 0..<headSize { out[i] *= scale }
        }
    }

    /// `out = Πᵀ y`; both of headSize, not overlapping.
    package func applyTranspose(_ y: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>) {
        if signs.isEmpty {
            Self.multiply(matrix, y, headSize, out)
        } else {
            out.update(from: y, count: headSize)
            Self.hadamard(out, headSize, stride: 1)
            signs.withUnsafeBufferPointer { signs in
                for i in 0..<headSize { out[i] = signs[i] * (out[i] * scale) }
            }
        }
    }

    /// ``apply`` to 32 vectors side by side, `[channel][32]`: the same bits, a vector a lane.
    package func apply32(_ x: UnsafePointer<Float>, into out: UnsafeMutablePointer<Float>) {
        if signs.isEmpty {
            out.update(repeating: 0, count: 32 * headSize)
            matrix.withUnsafeBufferPointer { matrix in
                for row in 0..<headSize {
                    let target = out + 32 * row
                    for channel in 0..<headSize {
                        let factor = matrix[row * headSize + channel]
                        for lane in 0..<32 { target[lane] += factor * x[32 * channel + lane] }
                    }
                }
            }
        } else {
            signs.withUnsafeBufferPointer { signs in
                for channel in 0..<headSize {
                    let sign = signs[channel]
                    for lane in 0..<32 { out[32 * channel + lane] = sign * x[32 * channel + lane] }
                }
            }
            Self.hadamard(out, headSize, stride: 32)
            for i in 0..<32 * headSize { out[i] *= scale }
        }
    }

    /// Butterflies of 1, 2, 4 … channels: (a, b) → (a + b, a − b). A channel is `stride` numbers.
    @inline(__always)
    private static func hadamard(
        _ values: UnsafeMutablePointer<Float>, _ channels: Int, stride: Int
    ) {
        var half = stride
        while half < channels * stride {
            var start = 0
            while start < channels * stride {
                let low = values + start
                let high = low + half
                for i in 0..<half {
                    let a = low[i]
                    let b = high[i]
                    low[i] = a + b
                    high[i] = a - b
                }
                start += 2 * half
            }
            half *= 2
        }
    }

    /// `out[j] = Σ columns[i][j] · x[i]`, i rising from 0.
    static func multiply(
        _ columns: [Float], _ x: UnsafePointer<Float>, _ d: Int, _ out: UnsafeMutablePointer<Float>
    ) {
        out.update(repeating: 0, count: d)
        columns.withUnsafeBufferPointer { columns in
            for i in 0..<d {
                let factor = x[i]
                let column = columns.baseAddress! + i * d
                for j in 0..<d { out[j] += factor * column[j] }
            }
        }
    }
}
