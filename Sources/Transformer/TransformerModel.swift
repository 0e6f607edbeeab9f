public import KVCache
public import ModelFiles
public import Threading

/// The rows of a pass whose logits are wanted.
public enum LogitRows: Sendable, Hashable {
    /// No row: the tokens only go into the cache.
    case none
    /// The last token's, to choose the next token.
    case last
    /// From the token of that index on, `from(0)` being all.
    case from(Int)

    /// Every token's.
    public static var all: LogitRows { .from(0) }

    /// Index of the first wanted row of `count`.
    func first(of count: Int) -> Int {
        switch self {
        case .none: count
        case .last: count - 1
        case .from(let index): min(max(index, 0), count)
        }
    }
}

/// A model of the Llama family on the CPU: immutable weights, shared by any number of sequences.
///
/// ```swift
/// let model = try TransformerModel(checkpoint: .open(path: path), workers: WorkerPool(threads: 2))
/// let cache = try SequenceCache(shape: model.cacheShape, policy: .innerQBase, workers: model.workers)
/// let workspace = model.makeWorkspace()
/// try model.forward(tokens: prompt, cache: cache, meaning: .prompt, workspace: workspace)
/// // workspace.logits: the distribution of the next token
/// ```
///
/// Mathematics (per layer, x the residual stream):
///
///     q, k, v = W_Q n(x) + b_Q, …        n: RMSNorm; Gemma norms the heads of q and k too
///     x += W_O attention(rope(q), rope(k), v)
///     x += W_down (act(W_gate n(x)) · W_up n(x))      Gemma norms both sums' right sides
public final class TransformerModel: Sendable {
    public let configuration: ModelConfiguration
    /// The threads that products and attention run on.
    public let workers: WorkerPool
    let embedding: Matrix
    let output: Matrix
    let outputNorm: WeightVector
    let layers: [LayerWeights]
    /// Kinds of RoPE: the global one, and the local one if it differs.
    let rotary: [RotaryFrequencies]

    /// Takes the weights of a checkpoint.
    ///
    /// - Parameters:
    ///   - storage: where they are read from.
    ///   - progress: called with the share that is loaded, 0 to 1, after each layer.
    /// - Throws: ``ModelFileError`` if a tensor is missing or cannot be used.
    public init(
        checkpoint: Checkpoint, workers: WorkerPool, storage: WeightStorage = .interleaved,
        progress: (Double) -> Void = { _ in }
    ) throws(ModelFileError) {
        let configuration = checkpoint.configuration
        var loader = WeightLoader(checkpoint: checkpoint, workers: workers, storage: storage)
        self.configuration = configuration
        self.workers = workers
        embedding = try loader.matrix(
            .tokenEmbedding, isMultiplied: configuration.hasTiedEmbeddings)
        output = configuration.hasTiedEmbeddings ? embedding : try loader.matrix(.output)
        outputNorm = try loader.norm(.outputNorm)
        var layers: [LayerWeights] = []
        for layer in 0..<configuration.layerCount {
            layers.append(try LayerWeights(&loader, layer: layer))
            progress(Double(layer + 1) / Double(configuration.layerCount))
        }
        self.layers = layers
        defer { loader.finish() }
        let factors =
            configuration.rotary.scaling == .tensor ? try loader.floats(.ropeFactors) : nil
        if let bad = factors?.first(where: { !($0 > 0 && $0.isFinite) }) {
            throw ModelFileError(
                .malformed, path: checkpoint.path,
                "A RoPE factor is \(bad). The file is damaged; download it again.")
        }
        var rotary = [
            RotaryFrequencies(
                configuration.rotary, headSize: configuration.headSize, factors: factors)
        ]
        if let local = configuration.localRotary {
            rotary.append(
                RotaryFrequencies(local, headSize: configuration.headSize, factors: nil))
        }
        self.rotary = rotary
        var shape = configuration.cacheShape
        for layer in shape.layers.indices {
            shape.layers[layer].rotary = rotary[configuration.rotaryKind(layer: layer)].shape
        }
        cacheShape = shape
    }

    /// What a cache for this model must be made for, with the RoPE of each layer.
    public let cacheShape: CacheShape

    /// Bytes of weights that decoding one token reads: all matrices once, of the embedding one row.
    public var weightBytesPerToken: Int {
        func bytes(_ matrix: Matrix) -> Int { matrix.part.rowBytes * matrix.rows }
        return layers.reduce(bytes(output)) { sum, layer in
            (layer.queryKeyValue.matrices + layer.gateUp.matrices).reduce(sum) { $0 + bytes($1) }
                + bytes(layer.attentionOutput) + bytes(layer.down)
        }
    }

    /// Memory for passes over this model; each sequence that runs at the same time needs its own.
    public func makeWorkspace() -> Workspace {
        Workspace(configuration, workers: workers.threads)
    }

    /// Runs tokens through the model, after those that the cache holds.
    ///
    /// - Parameters:
    ///   - tokens: at least one.
    ///   - cache: made with ``cacheShape``.
    ///   - meaning: what the tokens see of each other. A `prompt` goes through each layer as a whole, and its
    ///     activations take (hidden + 2 · query + 2 · KV size) floats a token; otherwise tokens go in chunks of 512 at most.
    ///   - logits: the rows to compute.
    ///   - workspace: of ``makeWorkspace()``.
    ///   - receive: called for each wanted row, in order, with its index in `tokens` and its `vocabularySize` logits,
    ///     which it may change and must not keep.
    ///   - isCancelled: asked before each layer; the task's own cancellation is heeded too.
    /// - Throws: ``TransformerError``. After `cancelled` the cache must be thrown away; after the others nothing has
    ///   happened.
    public func forward(
        tokens: [Int32], cache: SequenceCache, meaning: AttentionMeaning, logits: LogitRows = .last,
        workspace: Workspace,
        receive: (_ row: Int, _ logits: UnsafeMutableBufferPointer<Float>) -> Void = { _, _ in },
        isCancelled: @Sendable () -> Bool = { false }
    ) throws(TransformerError) {
        guard cache.shape == cacheShape else { throw .foreignCache }
        guard cache.isConsistent else { throw .brokenCache }
        try run(
            tokens: tokens, attention: cache, meaning: meaning, logits: logits,
            workspace: workspace, receive: receive, isCancelled: isCancelled)
    }
}
