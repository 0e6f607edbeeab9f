internal import CPUKernels
internal import ModelFiles
internal import Threading

/// One sample on its way through the layers, and its gradient on the way back.
///
/// The way forward keeps each layer's input rows only; the way back computes the rest of a layer again when it comes to
/// it, rows that do not see each other in chunks.
struct GradientPass {
    let model: TransformerModel
    let buffers: GradientBuffers
    /// Tokens.
    let count: Int

    var configuration: ModelConfiguration { model.configuration }

    /// The hidden rows that a layer starts from; of the number of layers: those that the last one leaves.
    func input(layer: Int) -> UnsafeMutablePointer<Float> {
        buffers.inputs.pointer + layer * count * configuration.hiddenSize
    }

    func embed(_ tokens: [Int32]) {
        let size = configuration.hiddenSize
        let scale = configuration.embeddingScale
        let hidden = input(layer: 0)
        Elementwise.eachRow(count, model.workers) { row in
            model.embedding.dequantizeRow(Int(tokens[row]), into: hidden + row * size)
            if scale != 1 { iq_scale(hidden + row * size, scale, size) }
        }
        for (kind, frequencies) in model.rotary.enumerated() {
            let table = table(kind)
            Elementwise.eachRow(count, model.workers) { row in
                frequencies.fill(position: row, table + row * configuration.headSize)
            }
        }
    }

    func table(_ kind: Int) -> UnsafeMutablePointer<Float> {
        buffers.table.pointer + kind * count * configuration.headSize
    }

    func eachChunk(_ body: (Range<Int>) -> Void) {
        var start = 0
        while start < count {
            let end = min(start + buffers.sizes.chunk, count)
            body(start..<end)
            start = end
        }
    }

    // MARK: - Forward

    /// From the input of a layer to that of the next.
    func forward(layer: Int) {
        attend(layer: layer)
        let weights = model.layers[layer]
        let size = configuration.hiddenSize
        let next = input(layer: layer + 1)
        eachChunk { rows in
            addAttention(layer: layer, rows)
            let summed = buffers.summed.pointer
            expand(weights, rows.count)
            activate(rows.count)
            let target = next + rows.lowerBound * size
            target.update(from: summed, count: rows.count * size)
            if let norm = weights.postFeedForwardNorm {
                project(weights.down, bias: nil, from: buffers.inner.pointer, rows.count)
                addNormed(buffers.projected.pointer, norm, to: target, rows.count)
            } else {
                weights.down.multiply(
                    activations: buffers.inner.pointer, count: rows.count, into: target,
                    accumulate: true, workers: model.workers, scratch: buffers.scratch)
            }
        }
    }

    /// Queries, keys and values of all rows, and their attention.
    func attend(layer: Int) {
        eachChunk { projectQueryKeyValue(layer: layer, $0) }
        model.causalAttention(layer: layer, tokens: count).forward(
            queries: buffers.queries.pointer, keys: buffers.turnedKeys.pointer,
            values: buffers.values.pointer, packed: buffers.packed.pointer,
            output: buffers.output.pointer, logSums: buffers.logSums.pointer,
            workers: model.workers, scratch: buffers.attentionScratch.pointer)
    }

    private func projectQueryKeyValue(layer: Int, _ rows: Range<Int>) {
        let weights = model.layers[layer]
        let wide = buffers.wide.pointer
        let epsilon = configuration.rmsEpsilon
        Elementwise.rmsNorm(
            input(layer: layer) + rows.lowerBound * configuration.hiddenSize,
            weights.attentionNorm, epsilon: epsilon, count: rows.count,
            into: buffers.normed.pointer, model.workers)
        weights.queryKeyValue.multiply(
            activations: buffers.normed.pointer, count: rows.count, into: wide,
            workers: model.workers, scratch: buffers.scratch)
        if let bias = weights.queryKeyValueBias {
            Elementwise.add(bias, to: wide, count: rows.count, model.workers)
        }
        let turn = rowTurn(layer: layer)
        let (querySize, kvSize) = (configuration.querySize, configuration.kvSize)
        let rowSize = querySize + 2 * kvSize
        let size = configuration.headSize
        let (queryNorm, keyNorm) = (weights.queryNorm?.pointer, weights.keyNorm?.pointer)
        let table = table(model.configuration.rotaryKind(layer: layer))
        let first = rows.lowerBound
        Elementwise.eachRow(rows.count, model.workers) { row in
            let source = wide + row * rowSize
            let token = first + row
            if let queryNorm, let keyNorm {
                let raw = buffers.raw.pointer + token * (querySize + kvSize)
                raw.update(from: source, count: querySize + kvSize)
                for head in 0..<configuration.headCount {
                    let x = source + head * size
                    iq_rms_norm(x, queryNorm, x, size, epsilon)
                }
                for head in 0..<configuration.kvHeadCount {
                    let x = source + querySize + head * size
                    iq_rms_norm(x, keyNorm, x, size, epsilon)
                }
            }
            let angles = table + token * size
            turn.turn(
                source, into: buffers.queries.pointer + token * querySize,
                heads: configuration.headCount, angles: angles)
            turn.turn(
                source + querySize, into: buffers.turnedKeys.pointer + token * kvSize,
                heads: configuration.kvHeadCount, angles: angles)
            (buffers.keys.pointer + token * kvSize).update(from: source + querySize, count: kvSize)
            (buffers.values.pointer + token * kvSize).update(
                from: source + querySize + kvSize, count: kvSize)
        }
        withExtendedLifetime(weights) {}
    }

    func rowTurn(layer: Int) -> RowTurn {
        RowTurn(
            headSize: configuration.headSize,
            pairing: model.rotary[model.configuration.rotaryKind(layer: layer)].pairing)
    }

    /// `summed` = input + attention's contribution; `projected` = that before its norm.
    func addAttention(layer: Int, _ rows: Range<Int>) {
        let weights = model.layers[layer]
        let size = configuration.hiddenSize
        let summed = buffers.summed.pointer
        project(
            weights.attentionOutput, bias: weights.attentionOutputBias,
            from: buffers.output.pointer + rows.lowerBound * configuration.querySize, rows.count)
        summed.update(
            from: input(layer: layer) + rows.lowerBound * size, count: rows.count * size)
        if let norm = weights.postAttentionNorm {
            addNormed(buffers.projected.pointer, norm, to: summed, rows.count)
        } else {
            let projected = buffers.projected.pointer
            Elementwise.eachRow(rows.count, model.workers) { row in
                iq_add(summed + row * size, projected + row * size, size)
            }
        }
    }

    /// `projected` = W · activations + bias.
    private func project(
        _ matrix: Matrix, bias: WeightVector?, from activations: UnsafePointer<Float>, _ rows: Int
    ) {
        matrix.multiply(
            activations: activations, count: rows, into: buffers.projected.pointer,
            workers: model.workers, scratch: buffers.scratch)
        if let bias {
            Elementwise.add(bias, to: buffers.projected.pointer, count: rows, model.workers)
        }
    }

    /// target += norm(x), by way of `delta`.
    private func addNormed(
        _ x: UnsafePointer<Float>, _ norm: WeightVector, to target: UnsafeMutablePointer<Float>,
        _ rows: Int
    ) {
        let size = configuration.hiddenSize
        let delta = buffers.delta.pointer
        let epsilon = configuration.rmsEpsilon
        let factors = norm.pointer
        Elementwise.eachRow(rows, model.workers) { row in
            iq_rms_norm(x + row * size, factors, delta + row * size, size, epsilon)
            iq_add(target + row * size, delta + row * size, size)
        }
        withExtendedLifetime(norm) {}
    }

    /// `wide` = gate and up of the norm of `summed`.
    func expand(_ weights: LayerWeights, _ rows: Int) {
        Elementwise.rmsNorm(
            buffers.summed.pointer, weights.feedForwardNorm, epsilon: configuration.rmsEpsilon,
            count: rows, into: buffers.normed.pointer, model.workers)
        weights.gateUp.multiply(
            activations: buffers.normed.pointer, count: rows, into: buffers.wide.pointer,
            workers: model.workers, scratch: buffers.scratch)
    }

    /// `inner` = act(gate) ∘ up; `wide` stays.
    func activate(_ rows: Int) {
        let size = configuration.feedForwardSize
        let (wide, inner) = (buffers.wide.pointer, buffers.inner.pointer)
        let activation = configuration.activation
        Elementwise.eachRow(rows, model.workers) { row in
            let gate = inner + row * size
            gate.update(from: wide + row * 2 * size, count: size)
            let up = wide + row * 2 * size + size
            switch activation {
            case .silu: iq_silu_multiply(gate, up, size)
            case .geluTanh: iq_gelu_tanh_multiply(gate, up, size)
            }
        }
    }
}
