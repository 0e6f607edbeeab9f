public import Threading

/// The cache of one sequence: what a model appends to and attends over. It does not know the model, and the model
/// does not know the formats inside.
///
/// Not thread-safe: one pass at a time.
public final class SequenceCache {
    public let shape: CacheShape
    public let policy: CachePolicy
    package let layers: [LayerCache]
    private let attention: LayerAttention

    /// - Throws: ``PolicyError`` if the policy does not fit the shape.
    public init(
        shape: CacheShape, policy: CachePolicy, workers: WorkerPool
    ) throws(PolicyError) {
        try policy.validate(for: shape)
        self.shape = shape
        self.policy = policy
        layers = shape.layers.enumerated().map { index, layer in
            LayerCache(shape: layer, policy: policy.layer(index, of: shape.layers.count))
        }
        attention = LayerAttention(workers: workers)
    }

    /// Tokens that every layer has. During a pass the first layers have more.
    public var tokenCount: Int { layers.map(\.tokenCount).min() ?? 0 }

    /// Whether all layers have the same tokens; false after a pass that was cancelled half-way, when the cache can
    /// only be thrown away.
    public var isConsistent: Bool { Set(layers.map(\.tokenCount)).count <= 1 }

    /// Bytes now allocated for keys, values and normalizers.
    public var allocatedBytes: Int { layers.reduce(0) { $0 + $1.allocatedBytes } }

    /// The same, counted from the policy.
    public var byteCount: CacheByteCount { policy.byteCount(shape: shape, tokens: tokenCount) }

    /// Appends `count` tokens to one layer and computes their attention; see ``AttentionMeaning`` for what they see.
    ///
    /// - Parameters:
    ///   - queries: `[count][query heads][head size]`, after RoPE; not multiplied by the attention scale.
    ///   - keys: `[count][KV heads][head size]`, after RoPE.
    ///   - values: `[count][KV heads][head size]`.
    ///   - output: `[count][query heads][head size]`.
    public func attend(
        layer: Int, queries: UnsafePointer<Float>, keys: UnsafePointer<Float>,
        values: UnsafePointer<Float>, count: Int, meaning: AttentionMeaning,
        output: UnsafeMutablePointer<Float>
    ) {
        attention.attend(
            layers[layer], queries: queries, keys: keys, values: values, count: count,
            meaning: meaning, output: output)
    }
}
