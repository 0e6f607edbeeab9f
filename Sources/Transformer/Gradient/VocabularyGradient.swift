internal import CPUKernels
internal import Foundation
internal import KVCache
internal import ModelFiles
internal import Threading

/// The loss, and its gradient with respect to the last hidden rows, a block of logit rows at a time.
///
///     L = Σₜ ln Σᵥ exp(zₜᵥ) − zₜ[tokenₜ₊₁]      dz = softmax(z) − onehot      z = W n(x)
struct VocabularyGradient {
    let pass: GradientPass

    /// Fills the pass's gradient. Returns L.
    func run(
        _ tokens: [Int32], _ heedCancellation: () throws(TransformerError) -> Void
    ) throws(TransformerError) -> Double {
        let (model, sizes) = (pass.model, pass.buffers.sizes)
        let kernels = AttentionKernels.best.table
        let (hidden, vocabulary) = (sizes.hidden, sizes.vocabulary)
        let logits = FloatBuffer(count: sizes.logitRows * vocabulary)
        let normed = FloatBuffer(count: 2 * sizes.logitRows * hidden)
        let normedGradient = normed.pointer + sizes.logitRows * hidden
        let epsilon = model.configuration.rmsEpsilon
        let predicting = tokens.count - 1
        let last = pass.input(layer: model.layers.count)
        let gradient = pass.buffers.gradient.pointer
        var losses = [Double](repeating: 0, count: predicting)
        var start = 0
        while start < predicting {
            try heedCancellation()
            let rows = min(sizes.logitRows, predicting - start)
            Elementwise.rmsNorm(
                last + start * hidden, model.outputNorm, epsilon: epsilon, count: rows,
                into: normed.pointer, model.workers)
            model.output.multiply(
                activations: normed.pointer, count: rows, into: logits.pointer,
                workers: model.workers, scratch: pass.buffers.scratch)
            let block = logits.pointer
            losses.withUnsafeMutableBufferPointer { losses in
                // One writer an element.
                nonisolated(unsafe) let losses = losses
                model.workers.run(count: rows) { row, _ in
                    let line = block + row * vocabulary
                    let target = Int(tokens[start + row + 1])
                    let wanted = line[target]
                    let top = kernels.pointee.maximum(line, vocabulary)
                    let total = kernels.pointee.exponentials(line, vocabulary, top)
                    losses[start + row] = log(Double(total)) + Double(top) - Double(wanted)
                    iq_scale(line, 1 / total, vocabulary)
                    line[target] -= 1
                }
            }
            model.output.multiplyTransposed(
                gradients: logits.pointer, count: rows, into: normedGradient,
                workers: model.workers, scratch: pass.buffers.transposed)
            let weight = model.outputNorm.pointer
            let first = start
            Elementwise.eachRow(rows, model.workers) { row in
                let offset = (first + row) * hidden
                ElementwiseGradient.rmsNorm(
                    last + offset, weight, normedGradient + row * hidden,
                    into: gradient + offset, count: hidden, epsilon: epsilon, accumulate: false)
            }
            start += rows
        }
        // Nothing is predicted from the last token.
        (gradient + predicting * hidden).update(repeating: 0, count: hidden)
        return losses.reduce(0, +)
    }
}
