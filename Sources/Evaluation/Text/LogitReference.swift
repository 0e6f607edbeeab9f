import CPUKernels
import Generation
import Reports

/// The reference's distributions over the vocabulary for the tokens of a chunk, kept to compare others with.
///
/// KL(p ‖ q) = (Σ e^z·z − Σ e^z·y) / Σ e^z + ln Σ e^y − ln Σ e^z for logits z of p and y of q: one pass of exponentials and one dot
/// product a comparison. Logits are taken less their largest, so nothing overflows; equal logits give exactly 0.
package final class LogitReference {
    private struct Row {
        var sum: Double
        /// Σ e^z · z.
        var product: Double
        var choice: Int
        var loss: Double
    }

    private let vocabulary: Int
    private let weights: UnsafeMutablePointer<Float>
    private let shifted: UnsafeMutablePointer<Float>
    private var rows: [Row] = []

    /// Rows whose distributions take 256 MiB at most, and at least one.
    static func capacity(vocabulary: Int, most: Int) -> Int {
        min(most, max(1, (256 << 20) / (4 * max(vocabulary, 1))))
    }

    init(vocabulary: Int, capacity: Int) {
        self.vocabulary = vocabulary
        weights = .allocate(capacity: vocabulary * capacity)
        shifted = .allocate(capacity: vocabulary)
    }

    deinit {
        weights.deallocate()
        shifted.deallocate()
    }

    func removeAll() { rows.removeAll(keepingCapacity: true) }

    /// Keeps a row of logits.
    /// - Returns: −ln p of the token that came.
    @discardableResult
    func keep(_ logits: UnsafeMutableBufferPointer<Float>, next token: Int32) -> Double {
        let own = weights + rows.count * vocabulary
        let largest = shift(logits)
        let sum = iq_exponential_sum(shifted, 0, own, vocabulary)
        let loss = Math.log(sum) - Double(shifted[Int(token)])
        rows.append(
            Row(
                sum: sum, product: iq_dot(own, shifted, vocabulary),
                choice: choice(logits, largest), loss: loss))
        return loss
    }

    struct Comparison {
        var loss: Double
        /// Less the reference's loss.
        var difference: Double
        var divergence: Double
        var agrees: Bool
    }

    /// Compares another cache's logits for the token of row `index`.
    func compare(
        _ index: Int, _ logits: UnsafeMutableBufferPointer<Float>, next token: Int32
    ) -> Comparison {
        let row = rows[index]
        let largest = shift(logits)
        let sum = iq_exponential_sum(shifted, 0, nil, vocabulary)
        let loss = Math.log(sum) - Double(shifted[Int(token)])
        let cross = iq_dot(weights + index * vocabulary, shifted, vocabulary)
        let divergence = (row.product - cross) / row.sum + Math.log(sum) - Math.log(row.sum)
        return Comparison(
            loss: loss, difference: loss - row.loss,
            // Rounding may leave −1e-7 of nothing; NaN stays.
            divergence: divergence < 0 ? 0 : divergence,
            agrees: choice(logits, largest) == row.choice)
    }

    /// −ln p of a token, of logits that need not be kept.
    package static func loss(
        _ logits: UnsafeMutableBufferPointer<Float>, next token: Int32
    ) -> Double {
        let largest = iq_largest(logits.baseAddress, logits.count)
        let sum = iq_exponential_sum(logits.baseAddress, largest, nil, logits.count)
        return Math.log(sum) - Double(logits[Int(token)] - largest)
    }

    /// Logits less their largest, in `shifted`.
    private func shift(_ logits: UnsafeMutableBufferPointer<Float>) -> Float {
        let largest = iq_largest(logits.baseAddress, vocabulary)
        for i in 0..<vocabulary { shifted[i] = logits[i] - largest }
        return largest
    }

    private func choice(_ logits: UnsafeMutableBufferPointer<Float>, _ largest: Float) -> Int {
        for i in 0..<vocabulary where logits[i] == largest { return i }
        return -1
    }
}
