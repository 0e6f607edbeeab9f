internal import CPUKernels
internal import ModelFiles
internal import Threading

extension GradientPass {
    /// From the gradient of a layer's output rows to that of its keys and values, and of its rows between attention and
    /// feed-forward, which stays in `gradient`.
    func backward(layer: Int) -> KeyValueGradients {
        attend(layer: layer)
        eachChunk { rows in
            addAttention(layer: layer, rows)
            feedForward(layer: layer, rows)
            attentionOutput(layer: layer, rows)
        }
        model.causalAttention(layer: layer, tokens: count).backward(
            queries: buffers.queries.pointer, output: buffers.output.pointer,
            outputGradient: buffers.outputGradient.pointer, logSums: buffers.logSums.pointer,
            packed: buffers.packed.pointer, partial: buffers.partial.pointer,
            keyGradients: buffers.keyGradients.pointer,
            valueGradients: buffers.valueGradients.pointer, workers: model.workers,
            scratch: buffers.attentionScratch.pointer)
        let turn = rowTurn(layer: layer)
        let (querySize, kvSize) = (configuration.querySize, configuration.kvSize)
        let table = table(model.configuration.rotaryKind(layer: layer))
        Elementwise.eachRow(count, model.workers) { token in
            let angles = table + token * turn.headSize
            turn.turnBack(
                buffers.outputGradient.pointer + token * querySize,
                heads: configuration.headCount, angles: angles)
            turn.turnBack(
                buffers.keyGradients.pointer + token * kvSize, heads: configuration.kvHeadCount,
                angles: angles)
        }
        func buffer(_ pointer: UnsafeMutablePointer<Float>) -> UnsafeBufferPointer<Float> {
            UnsafeBufferPointer(start: pointer, count: count * kvSize)
        }
        return KeyValueGradients(
            layer: layer, tokens: count, rowSize: kvSize, keys: buffer(buffers.keys.pointer),
            keyGradients: buffer(buffers.keyGradients.pointer),
            values: buffer(buffers.values.pointer),
            valueGradients: buffer(buffers.valueGradients.pointer))
    }

    /// gradient += what comes through norm, gate, up and down.
    private func feedForward(layer: Int, _ rows: Range<Int>) {
        let weights = model.layers[layer]
        let (size, inner) = (configuration.hiddenSize, configuration.feedForwardSize)
        let gradient = buffers.gradient.pointer + rows.lowerBound * size
        let epsilon = configuration.rmsEpsilon
        // `projected` still serves attention's norm, `delta` what goes into down.
        expand(weights, rows.count)
        var outputGradient = UnsafePointer(gradient)
        if let norm = weights.postFeedForwardNorm {
            activate(rows.count)
            let unnormed = buffers.normed.pointer
            weights.down.multiply(
                activations: buffers.inner.pointer, count: rows.count, into: unnormed,
                workers: model.workers, scratch: buffers.scratch)
            let delta = buffers.delta.pointer
            let factors = norm.pointer
            Elementwise.eachRow(rows.count, model.workers) { row in
                ElementwiseGradient.rmsNorm(
                    unnormed + row * size, factors, gradient + row * size,
                    into: delta + row * size, count: size, epsilon: epsilon, accumulate: false)
            }
            outputGradient = UnsafePointer(delta)
            withExtendedLifetime(norm) {}
        }
        weights.down.multiplyTransposed(
            gradients: outputGradient, count: rows.count, into: buffers.inner.pointer,
            workers: model.workers, scratch: buffers.transposed)
        let (wide, activated) = (buffers.wide.pointer, buffers.inner.pointer)
        let activation = configuration.activation
        Elementwise.eachRow(rows.count, model.workers) { row in
            let gate = wide + row * 2 * inner
            ElementwiseGradient.gated(
                gate, gate + inner, activated + row * inner, count: inner, activation: activation)
        }
        multiplyTransposed(
            weights.gateUp, gradients: wide, rows.count, into: buffers.normed.pointer)
        let (summed, normed) = (buffers.summed.pointer, buffers.normed.pointer)
        let factors = weights.feedForwardNorm.pointer
        Elementwise.eachRow(rows.count, model.workers) { row in
            ElementwiseGradient.rmsNorm(
                summed + row * size, factors, normed + row * size, into: gradient + row * size,
                count: size, epsilon: epsilon, accumulate: true)
        }
        withExtendedLifetime(weights) {}
    }

    /// outputGradient = what comes through attention's output projection.
    private func attentionOutput(layer: Int, _ rows: Range<Int>) {
        let weights = model.layers[layer]
        let size = configuration.hiddenSize
        var gradient = UnsafePointer(buffers.gradient.pointer + rows.lowerBound * size)
        if let norm = weights.postAttentionNorm {
            let (delta, projected) = (buffers.delta.pointer, buffers.projected.pointer)
            let (factors, epsilon) = (norm.pointer, configuration.rmsEpsilon)
            let source = gradient
            Elementwise.eachRow(rows.count, model.workers) { row in
                ElementwiseGradient.rmsNorm(
                    projected + row * size, factors, source + row * size,
                    into: delta + row * size, count: size, epsilon: epsilon, accumulate: false)
            }
            gradient = UnsafePointer(delta)
            withExtendedLifetime(norm) {}
        }
        weights.attentionOutput.multiplyTransposed(
            gradients: gradient, count: rows.count,
            into: buffers.outputGradient.pointer + rows.lowerBound * configuration.querySize,
            workers: model.workers, scratch: buffers.transposed)
    }

    /// After ``backward(layer:)``: gradient += what comes through queries, keys and values, so that it is that of the
    /// layer's input.
    func passOn(layer: Int) {
        let weights = model.layers[layer]
        let size = configuration.hiddenSize
        let (querySize, kvSize) = (configuration.querySize, configuration.kvSize)
        let rowSize = querySize + 2 * kvSize
        let epsilon = configuration.rmsEpsilon
        let wide = buffers.wide.pointer
        let (queryNorm, keyNorm) = (weights.queryNorm?.pointer, weights.keyNorm?.pointer)
        eachChunk { rows in
            Elementwise.eachRow(rows.count, model.workers) { row in
                let token = rows.lowerBound + row
                let target = wide + row * rowSize
                target.update(
                    from: buffers.outputGradient.pointer + token * querySize, count: querySize)
                (target + querySize).update(
                    from: buffers.keyGradients.pointer + token * kvSize, count: kvSize)
                (target + querySize + kvSize).update(
                    from: buffers.valueGradients.pointer + token * kvSize, count: kvSize)
                if let queryNorm, let keyNorm {
                    let raw = buffers.raw.pointer + token * (querySize + kvSize)
                    let head = configuration.headSize
                    for index in 0..<configuration.headCount + configuration.kvHeadCount {
                        let offset = index * head
                        ElementwiseGradient.rmsNorm(
                            raw + offset, index < configuration.headCount ? queryNorm : keyNorm,
                            target + offset, into: target + offset, count: head,
                            epsilon: epsilon, accumulate: false)
                    }
                }
            }
            let normed = buffers.normed.pointer
            multiplyTransposed(weights.queryKeyValue, gradients: wide, rows.count, into: normed)
            let source = input(layer: layer) + rows.lowerBound * size
            let gradient = buffers.gradient.pointer + rows.lowerBound * size
            let factors = weights.attentionNorm.pointer
            Elementwise.eachRow(rows.count, model.workers) { row in
                ElementwiseGradient.rmsNorm(
                    source + row * size, factors, normed + row * size,
                    into: gradient + row * size, count: size, epsilon: epsilon, accumulate: true)
            }
        }
        withExtendedLifetime(weights) {}
    }

    /// output = Σᵢ gradientsᵢ · Wᵢ over the matrices of a stack.
    private func multiplyTransposed(
        _ stack: MatrixStack, gradients: UnsafePointer<Float>, _ rows: Int,
        into output: UnsafeMutablePointer<Float>
    ) {
        for (index, matrix) in stack.matrices.enumerated() {
            matrix.multiplyTransposed(
                gradients: gradients + stack.offsets[index], gradientStride: stack.rows,
                count: rows, into: output, accumulate: index > 0, workers: model.workers,
                scratch: buffers.transposed)
        }
    }
}
