import CPUKernels
package import KVCache
import ModelFiles
import Threading

extension TransformerModel {
    /// ``forward(tokens:cache:meaning:logits:workspace:receive:isCancelled:)`` over any kind of attention.
    package func run(
        tokens: [Int32], attention: some AttentionStore, meaning: AttentionMeaning,
        logits: LogitRows, workspace: Workspace,
        receive: (_ row: Int, _ logits: UnsafeMutableBufferPointer<Float>) -> Void = { _, _ in },
        isCancelled: @Sendable () -> Bool = { false }
    ) throws(TransformerError) {
        guard !tokens.isEmpty else { throw .noTokens }
        for (index, token) in tokens.enumerated()
        where token < 0 || Int(token) >= configuration.vocabularySize {
            throw .tokenOutOfRange(
                token, index: index, vocabularySize: configuration.vocabularySize)
        }
        guard workspace.configuration == configuration,
            workspace.scratch.workers >= workers.threads
        else { throw .foreignWorkspace }
        workspace.scratch.splitsVectors = meaning == .prompt
        let longest = meaning == .prompt ? tokens.count : min(tokens.count, Workspace.chunk)
        workspace.reserve(span: longest)
        defer { workspace.shrink() }
        let firstWanted = logits.first(of: tokens.count)
        var start = 0
        while start < tokens.count {
            let span = start..<min(start + longest, tokens.count)
            let pass = SpanPass(
                model: self, workspace: workspace, attention: attention, meaning: meaning,
                position: attention.tokenCount, count: span.count)
            let wanted = min(max(firstWanted - span.lowerBound, 0), span.count)
            pass.embed(tokens[span])
            for layer in layers.indices {
                if isCancelled() || Task.isCancelled { throw .cancelled }
                // What follows the last layer's attention matters for wanted rows only.
                pass.run(layer: layer, firstRow: layer == layers.count - 1 ? wanted : 0)
            }
            pass.logits(from: wanted) { row, logits in receive(span.lowerBound + row, logits) }
            start = span.upperBound
        }
    }
}

/// One span of tokens on its way through the layers.
private struct SpanPass<Attention: AttentionStore> {
    let model: TransformerModel
    let workspace: Workspace
    let attention: Attention
    let meaning: AttentionMeaning
    /// Of the first token, in its sequence.
    let position: Int
    let count: Int

    private var configuration: ModelConfiguration { model.configuration }

    /// Rows from `first` on, cut into chunks.
    private func eachChunk(from first: Int = 0, _ body: (Range<Int>) -> Void) {
        var start = first
        while start < count {
            let end = min(start + Workspace.chunk, count)
            body(start..<end)
            start = end
        }
    }

    /// Fills the hidden rows with the tokens' embeddings, and the tables with their positions' angles.
    func embed(_ tokens: ArraySlice<Int32>) {
        let size = configuration.hiddenSize
        let scale = configuration.embeddingScale
        let hidden = workspace.hidden.pointer
        tokens.withUnsafeBufferPointer { tokens in
            Elementwise.eachRow(count, model.workers) { row in
                model.embedding.dequantizeRow(Int(tokens[row]), into: hidden + row * size)
                if scale != 1 { iq_scale(hidden + row * size, scale, size) }
            }
        }
        for (kind, frequencies) in model.rotary.enumerated() {
            let table = self.table(kind)
            Elementwise.eachRow(count, model.workers) { row in
                frequencies.fill(
                    position: position + row, table + row * configuration.headSize)
            }
        }
    }

    private func table(_ kind: Int) -> UnsafeMutablePointer<Float> {
        workspace.table.pointer + kind * count * configuration.headSize
    }

    /// One transformer block over the span. Hidden rows before `firstRow` are left without what follows attention.
    func run(layer: Int, firstRow: Int) {
        let weights = model.layers[layer]
        eachChunk { projectQueryKeyValue(weights, layer: layer, $0) }
        attention.attend(
            layer: layer, queries: workspace.queries.pointer, keys: workspace.keys.pointer,
            values: workspace.values.pointer, count: count, meaning: meaning,
            output: workspace.output.pointer)
        eachChunk(from: firstRow) {
            addAttention(weights, $0)
            addFeedForward(weights, $0)
        }
    }

    private func projectQueryKeyValue(_ weights: LayerWeights, layer: Int, _ rows: Range<Int>) {
        let hidden = workspace.hidden.pointer + rows.lowerBound * configuration.hiddenSize
        let normed = workspace.normed.pointer
        let wide = workspace.wide.pointer
        Elementwise.rmsNorm(
            hidden, weights.attentionNorm, epsilon: configuration.rmsEpsilon, count: rows.count,
            into: normed, model.workers)
        weights.queryKeyValue.multiply(
            activations: normed, count: rows.count, into: wide, workers: model.workers,
            scratch: workspace.scratch)
        if let bias = weights.queryKeyValueBias {
            Elementwise.add(bias, to: wide, count: rows.count, model.workers)
        }
        let kind = configuration.rotaryKind(layer: layer)
        let heads = HeadTurn(
            headSize: configuration.headSize, pairing: model.rotary[kind].pairing,
            epsilon: configuration.rmsEpsilon)
        let (querySize, kvSize) = (configuration.querySize, configuration.kvSize)
        let rowSize = weights.queryKeyValue.rows
        let queryNorm = weights.queryNorm?.pointer
        let keyNorm = weights.keyNorm?.pointer
        let queries = workspace.queries.pointer + rows.lowerBound * querySize
        let keys = workspace.keys.pointer + rows.lowerBound * kvSize
        let values = workspace.values.pointer + rows.lowerBound * kvSize
        let table = table(kind) + rows.lowerBound * configuration.headSize
        Elementwise.eachRow(rows.count, model.workers) { row in
            let source = wide + row * rowSize
            let angles = table + row * heads.headSize
            heads.turn(
                source, into: queries + row * querySize, heads: configuration.headCount,
                norm: queryNorm, angles: angles)
            heads.turn(
                source + querySize, into: keys + row * kvSize, heads: configuration.kvHeadCount,
                norm: keyNorm, angles: angles)
            (values + row * kvSize).update(from: source + querySize + kvSize, count: kvSize)
        }
        withExtendedLifetime(weights) {}
    }

    private func addAttention(_ weights: LayerWeights, _ rows: Range<Int>) {
        let output = workspace.output.pointer + rows.lowerBound * configuration.querySize
        addProduct(
            weights.attentionOutput, bias: weights.attentionOutputBias,
            norm: weights.postAttentionNorm, activations: output,
            activationStride: configuration.querySize, rows)
    }

    private func addFeedForward(_ weights: LayerWeights, _ rows: Range<Int>) {
        let hidden = workspace.hidden.pointer + rows.lowerBound * configuration.hiddenSize
        let wide = workspace.wide.pointer
        let size = configuration.feedForwardSize
        Elementwise.rmsNorm(
            hidden, weights.feedForwardNorm, epsilon: configuration.rmsEpsilon, count: rows.count,
            into: workspace.normed.pointer, model.workers)
        weights.gateUp.multiply(
            activations: workspace.normed.pointer, count: rows.count, into: wide,
            workers: model.workers, scratch: workspace.scratch)
        let activation = configuration.activation
        Elementwise.eachRow(rows.count, model.workers) { row in
            let gate = wide + row * 2 * size
            switch activation {
            case .silu: iq_silu_multiply(gate, gate + size, size)
            case .geluTanh: iq_gelu_tanh_multiply(gate, gate + size, size)
            }
        }
        addProduct(
            weights.down, bias: nil, norm: weights.postFeedForwardNorm, activations: wide,
            activationStride: 2 * size, rows)
    }

    /// hidden += norm(W · activations + bias), where bias and norm are there.
    private func addProduct(
        _ matrix: Matrix, bias: WeightVector?, norm: WeightVector?,
        activations: UnsafePointer<Float>, activationStride: Int, _ rows: Range<Int>
    ) {
        let size = configuration.hiddenSize
        let hidden = workspace.hidden.pointer + rows.lowerBound * size
        let target = norm == nil ? hidden : workspace.normed.pointer
        matrix.multiply(
            activations: activations, activationStride: activationStride, count: rows.count,
            into: target, accumulate: norm == nil, workers: model.workers,
            scratch: workspace.scratch)
        if let bias { Elementwise.add(bias, to: target, count: rows.count, model.workers) }
        guard let norm else { return }
        Elementwise.rmsNorm(
            target, norm, epsilon: configuration.rmsEpsilon, count: rows.count, into: target,
            model.workers)
        Elementwise.eachRow(rows.count, model.workers) { row in
            iq_add(hidden + row * size, target + row * size, size)
        }
    }

    /// Computes the logits of the rows from `first` on, a few rows at a time.
    func logits(
        from first: Int, _ receive: (Int, UnsafeMutableBufferPointer<Float>) -> Void
    ) {
        let vocabulary = configuration.vocabularySize
        let size = configuration.hiddenSize
        var row = first
        while row < count {
            let rows = min(count - row, Workspace.logitRows)
            workspace.logitBuffer.reserve(rows * vocabulary)
            let logits = workspace.logitBuffer.pointer
            Elementwise.rmsNorm(
                workspace.hidden.pointer + row * size, model.outputNorm,
                epsilon: configuration.rmsEpsilon, count: rows, into: workspace.normed.pointer,
                model.workers)
            model.output.multiply(
                activations: workspace.normed.pointer, count: rows, into: logits,
                workers: model.workers, scratch: workspace.scratch)
            for index in 0..<rows {
                receive(
                    row + index,
                    UnsafeMutableBufferPointer(
                        start: logits + index * vocabulary, count: vocabulary))
            }
            // The last row is what `Workspace.logits` shows.
            if rows > 1 {
                logits.update(from: logits + (rows - 1) * vocabulary, count: vocabulary)
            }
            workspace.lastLogits = vocabulary
            row += rows
        }
    }
}

/// Norms and turns the heads of one token's queries or keys.
private struct HeadTurn {
    let headSize: Int
    let pairing: RotaryConfiguration.Pairing
    let epsilon: Float

    /// - Parameters:
    ///   - source: `[heads][head size]`; overwritten if there is a norm.
    ///   - angles: `[cosine per pair][sine per pair]`.
    func turn(
        _ source: UnsafeMutablePointer<Float>, into output: UnsafeMutablePointer<Float>, heads: Int,
        norm: UnsafePointer<Float>?, angles: UnsafePointer<Float>
    ) {
        let pairs = headSize / 2
        for head in 0..<heads {
            let (x, y) = (source + head * headSize, output + head * headSize)
            if let norm { iq_rms_norm(x, norm, x, headSize, epsilon) }
            switch pairing {
            case .halfSplit: iq_rope_half_split(x, y, angles, angles + pairs, pairs)
            case .interleaved: iq_rope_interleaved(x, y, angles, angles + pairs, pairs)
            }
        }
    }
}
