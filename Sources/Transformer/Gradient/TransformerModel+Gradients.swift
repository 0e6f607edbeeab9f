package import KVCache
internal import ModelFiles
internal import Threading

/// Keys and values of one layer over a sample, and the gradient of the sample's loss with respect to each. All are
/// `[token][KV head][channel]`, valid only while they are received.
public struct KeyValueGradients {
    public let layer: Int
    /// Tokens of the sample.
    public let tokens: Int
    /// Floats of a token: KV heads × head size.
    public let rowSize: Int
    /// What RoPE is applied to: the projection with its bias, after the norm of heads where the model has one.
    public let keys: UnsafeBufferPointer<Float>
    public let keyGradients: UnsafeBufferPointer<Float>
    public let values: UnsafeBufferPointer<Float>
    public let valueGradients: UnsafeBufferPointer<Float>

    package init(
        layer: Int, tokens: Int, rowSize: Int, keys: UnsafeBufferPointer<Float>,
        keyGradients: UnsafeBufferPointer<Float>, values: UnsafeBufferPointer<Float>,
        valueGradients: UnsafeBufferPointer<Float>
    ) {
        self.layer = layer
        self.tokens = tokens
        self.rowSize = rowSize
        self.keys = keys
        self.keyGradients = keyGradients
        self.values = values
        self.valueGradients = valueGradients
    }
}

extension TransformerModel {
    /// Runs a sample through the model and back in float32: the loss, and its gradient with respect to every key and
    /// value.
    ///
    /// The loss L is the sum of −ln p(tokenₜ₊₁ | token₀ … tokenₜ) over t = 0 … T − 2, so gradients do not shrink with the
    /// sample's length. Attention is dense and causal (with the layers' windows). No weight gradients are computed.
    ///
    /// Costs about three forward passes: one to keep each layer's input rows, one again layer by layer on the way back, and
    /// the transposed products. See ``keyValueGradientBytes(tokens:)`` for the memory.
    ///
    /// - Parameters:
    ///   - tokens: at least 2, from position 0 on.
    ///   - isCancelled: asked before each layer, forward and back, and before each block of logits; the task's own
    ///     cancellation is heeded too.
    ///   - receive: called once for each layer, from the last to the first.
    /// - Returns: L, in nats.
    /// - Throws: ``TransformerError`` `noTokens`, `tokenOutOfRange` or `cancelled`.
    public func keyValueGradients(
        tokens: [Int32], isCancelled: () -> Bool = { false },
        receive: (KeyValueGradients) -> Void
    ) throws(TransformerError) -> Double {
        guard tokens.count >= 2 else { throw .noTokens }
        for (index, token) in tokens.enumerated()
        where token < 0 || Int(token) >= configuration.vocabularySize {
            throw .tokenOutOfRange(
                token, index: index, vocabularySize: configuration.vocabularySize)
        }
        func heedCancellation() throws(TransformerError) {
            if isCancelled() || Task.isCancelled { throw .cancelled }
        }
        let pass = GradientPass(
            model: self, buffers: GradientBuffers(self, tokens: tokens.count), count: tokens.count)
        pass.embed(tokens)
        for layer in layers.indices {
            try heedCancellation()
            pass.forward(layer: layer)
        }
        let loss = try VocabularyGradient(pass: pass).run(tokens, heedCancellation)
        for layer in layers.indices.reversed() {
            try heedCancellation()
            receive(pass.backward(layer: layer))
            // What lies below the first layer is nobody's business.
            if layer > 0 { pass.passOn(layer: layer) }
        }
        return loss
    }

    /// Bytes that ``keyValueGradients(tokens:isCancelled:receive:)`` allocates, weights not counted.
    public func keyValueGradientBytes(tokens: Int) -> Int {
        GradientSizes(self, tokens: tokens).floats * MemoryLayout<Float>.stride
    }

    /// How a layer's RoPE turns keys.
    package func rotaryShape(layer: Int) -> RotaryShape {
        rotary[configuration.rotaryKind(layer: layer)].shape
    }

    /// Attention of one layer over a sample.
    func causalAttention(layer: Int, tokens: Int) -> CausalAttention {
        CausalAttention(
            tokens: tokens, queryHeads: configuration.headCount,
            kvHeads: configuration.kvHeadCount, headSize: configuration.headSize,
            window: configuration.slidingWindows[layer], scale: configuration.attentionScale)
    }
}
