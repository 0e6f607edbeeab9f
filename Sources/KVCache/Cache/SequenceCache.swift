public import Threading

/// The cache of one sequence: what a model appends to and attends over. It does not know the model, and the model
/// does not know the formats inside.
///
/// Not thread-safe: one pass at a time.
public final class SequenceCache {
    public let shape: CacheShape
    public let policy: CachePolicy
    /// What codebooks were taken from; `nil` if the policy needs none, or they came from a saved cache.
    public let calibration: CacheCalibration?
    package let layers: [LayerCache]
    private let attention: LayerAttention

    /// - Parameter calibration: of the model, for policies with codebooks fitted to it; others ignore it.
    /// - Throws: ``PolicyError`` if the policy does not fit the shape, or the calibration neither.
    public convenience init(
        shape: CacheShape, policy: CachePolicy, calibration: CacheCalibration? = nil,
        workers: WorkerPool
    ) throws(PolicyError) {
        try policy.validate(for: shape)
        try policy.check(calibration, for: shape)
        try self.init(shape: shape, policy: policy, calibration: calibration, workers: workers) {
            layer, layerPolicy in
            CodebookState(
                policy: layerPolicy, shape: shape.layers[layer],
                tables: calibration?.layers[layer])
        }
    }

    /// A cache whose codebooks come from elsewhere.
    package init(
        shape: CacheShape, policy: CachePolicy, calibration: CacheCalibration?,
        workers: WorkerPool, codebooks: (_ layer: Int, LayerPolicy) -> CodebookState?
    ) throws(PolicyError) {
        try policy.validate(for: shape)
        try policy.checkRotary(for: shape)
        self.shape = shape
        self.policy = policy
        self.calibration = calibration
        var shared: [RotaryTurns] = []
        var sinks: [Int] = []
        layers = shape.layers.enumerated().map { index, layer in
            let layerPolicy = policy.layer(index, of: shape.layers.count)
            let sink = layerPolicy.windows.sink
            var turns: RotaryTurns?
            if layerPolicy.keys.codebook?.preRotary == true, let rotary = layer.rotary {
                turns = zip(shared, sinks).first { $0.rotary == rotary && $1 == sink }?.0
                if turns == nil {
                    shared.append(RotaryTurns(rotary, sink: sink))
                    sinks.append(sink)
                    turns = shared.last
                }
            }
            return LayerCache(
                shape: layer, policy: layerPolicy, codebooks: codebooks(index, layerPolicy),
                turns: turns)
        }
        attention = LayerAttention(workers: workers)
    }

    /// How codes are multiplied; nothing that the cache holds depends on it.
    public var arithmetic: ProductArithmetic {
        get { attention.arithmetic }
        set { attention.arithmetic = newValue }
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

    /// Elements sealed with static ranges and how many lay beyond them: on text like the calibration's, the share of
    /// outliers; more where the text differs.
    public var rangeStatistics: RangeStatistics {
        layers.reduce(into: RangeStatistics()) {
            $0.elements += $1.rangeStatistics.elements
            $0.beyond += $1.rangeStatistics.beyond
        }
    }
}

/// How well static ranges fit what was sealed.
public struct RangeStatistics: Sendable, Codable, Hashable {
    public var elements = 0
    public var beyond = 0

    public init() {}

    /// `nil` if nothing was sealed with static ranges.
    public var share: Double? { elements == 0 ? nil : Double(beyond) / Double(elements) }
}
