import Foundation

/// Attention over some tokens, before it is divided by the sum of weights: for each row (a query of one head) the
/// largest score, the sum of exponentials relative to it, and the weighted sum of values.
///
/// Partials of disjoint tokens merge in any order to the same result up to rounding. An empty one has maximum −∞,
/// and merging two empty ones stays empty (−∞ − (−∞) must not become NaN).
struct Partial {
    let maximum: UnsafeMutablePointer<Float>
    let sum: UnsafeMutablePointer<Float>
    /// `[row][width]`: the sum of values; of rotated formats also what was summed in turned spaces.
    let output: UnsafeMutablePointer<Float>
    let width: Int

    /// Floats that a partial of `rows` rows takes.
    static func count(rows: Int, width: Int) -> Int { rows * (width + 2) }

    init(_ memory: UnsafeMutablePointer<Float>, rows: Int, width: Int) {
        output = memory
        maximum = memory + rows * width
        sum = maximum + rows
        self.width = width
    }

    func reset(rows: Int) {
        for i in 0..<rows * width { output[i] = 0 }
        for row in 0..<rows {
            maximum[row] = -.infinity
            sum[row] = 0
        }
    }

    /// Makes `newMaximum` the reference of a row, if it is larger, and rescales what was summed.
    @inline(__always)
    func raise(row: Int, to newMaximum: Float) {
        guard newMaximum > maximum[row] else { return }
        if sum[row] != 0 {
            let factor = exp(maximum[row] - newMaximum)
            sum[row] *= factor
            let values = output + row * width
            for i in 0..<width { values[i] *= factor }
        }
        maximum[row] = newMaximum
    }

    /// Adds another partial over other tokens.
    func merge(_ other: Partial, rows: Int) {
        for row in 0..<rows where other.sum[row] != 0 {
            raise(row: row, to: other.maximum[row])
            let factor = exp(other.maximum[row] - maximum[row])
            sum[row] += factor * other.sum[row]
            let values = output + row * width
            let added = other.output + row * width
            for i in 0..<width { values[i] += factor * added[i] }
        }
    }

    /// Writes the attention of one row, its first `count` numbers: zeros if it saw no token.
    func finish(row: Int, count: Int, into target: UnsafeMutablePointer<Float>) {
        let inverse = sum[row] > 0 ? 1 / sum[row] : 0
        let values = output + row * width
        for i in 0..<count { target[i] = values[i] * inverse }
    }
}
