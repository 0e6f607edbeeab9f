/// The families of model that InnerQ runs.
public enum ModelArchitecture: String, Sendable, Hashable, CaseIterable, Codable {
    case llama
    case mistral
    case qwen2
    case gemma3

    /// All names, for error texts.
    static var supportedNames: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

/// The function between the feed-forward gate and its product with the up projection.
public enum ModelActivation: String, Sendable, Hashable, Codable {
    /// x · σ(x)
    case silu
    /// GELU by its tanh approximation.
    case geluTanh
}

/// The numbers that define a decoder-only transformer of the Llama family, from GGUF metadata or `config.json`.
///
/// A value of this type has been validated: sizes are positive and bounded, heads divide, the head size is supported.
public struct ModelConfiguration: Sendable, Hashable, Codable {
    public var architecture: ModelArchitecture
    /// The file's own name for the model, possibly empty.
    public var name: String
    /// Transformer blocks.
    public var layerCount: Int
    /// Channels of the residual stream.
    public var hiddenSize: Int
    /// Query heads per layer.
    public var headCount: Int
    /// Key and value heads per layer; divides ``headCount``.
    public var kvHeadCount: Int
    /// Channels of a head; ``headCount`` × this need not be ``hiddenSize``.
    public var headSize: Int
    /// Channels inside the feed-forward network.
    public var feedForwardSize: Int
    /// Rows of the embedding and of the output.
    public var vocabularySize: Int
    /// Tokens that the model was trained for.
    public var contextLength: Int
    /// Added to the mean square inside RMSNorm.
    public var rmsEpsilon: Float
    /// Per layer, how many tokens a query sees, itself included; `nil` sees all.
    public var slidingWindows: [Int?]
    /// RoPE of layers without a window, and of all layers if ``localRotary`` is `nil`.
    public var rotary: RotaryConfiguration
    /// RoPE of layers with a window, where it differs (Gemma 3).
    public var localRotary: RotaryConfiguration?
    /// Multiplies query · key before softmax.
    public var attentionScale: Float
    /// Whether the output projection is the embedding.
    public var hasTiedEmbeddings: Bool
    public var activation: ModelActivation
    /// Whether Q, K and V have biases.
    public var hasQKVBias: Bool
    /// Whether the attention's output projection has a bias.
    public var hasAttentionOutputBias: Bool
    /// Whether each head of Q and K goes through RMSNorm before RoPE (Gemma 3).
    public var hasQKNorm: Bool
    /// Whether attention and feed-forward outputs are normed before they are added (Gemma 3).
    public var hasPostNorms: Bool
    /// Whether the file stores norm weights less one (Gemma's Hugging Face checkpoints).
    public var normWeightsLackOne: Bool
    /// Multiplies embeddings; 1 except for Gemma (√``hiddenSize``).
    public var embeddingScale: Float

    /// The RoPE of one layer.
    public func rotary(layer: Int) -> RotaryConfiguration {
        slidingWindows[layer] == nil ? rotary : localRotary ?? rotary
    }

    /// Channels of all query heads.
    public var querySize: Int { headCount * headSize }
    /// Channels of all key heads, and of all value heads.
    public var kvSize: Int { kvHeadCount * headSize }
    /// Query heads that share a key and value head.
    public var headsPerKVHead: Int { headCount / kvHeadCount }
}

extension ModelConfiguration {
    /// Head sizes with tuned kernels; every other multiple of 16 up to 256 works too.
    public static let supportedHeadSizes = [64, 80, 96, 128, 256]

    /// Refuses numbers that would overflow, divide by zero or allocate without bound further on.
    func validate(path: String) throws(ModelFileError) {
        func require(
            _ condition: Bool, _ detail: @autoclosure () -> String
        ) throws(ModelFileError) {
            guard condition else {
                throw ModelFileError(
                    .malformed, path: path,
                    detail() + " Check that the file is an undamaged model that InnerQ supports.")
            }
        }
        let sizes: [(String, Int, Int)] = [
            ("number of layers", layerCount, 1 << 10), ("hidden size", hiddenSize, 1 << 17),
            ("number of heads", headCount, 1 << 10),
            ("number of key and value heads", kvHeadCount, 1 << 10),
            ("feed-forward size", feedForwardSize, 1 << 20),
            ("vocabulary size", vocabularySize, 1 << 22),
            ("context length", contextLength, 1 << 30),
        ]
        for (what, size, limit) in sizes {
            try require(
                size >= 1 && size <= limit, "The \(what) is \(size), not in 1 ... \(limit).")
        }
        try require(
            headCount % kvHeadCount == 0,
            "The \(headCount) heads cannot share \(kvHeadCount) key and value heads evenly.")
        guard headSize >= 16, headSize <= 256, headSize % 16 == 0 else {
            let sizes = Self.supportedHeadSizes.map { String($0) }.joined(separator: ", ")
            throw ModelFileError(
                .unsupported, path: path,
                "The head size \(headSize) is not supported. Use a model with head size \(sizes), or another "
                    + "multiple of 16 up to 256.")
        }
        try require(
            slidingWindows.count == layerCount,
            "There are \(slidingWindows.count) sliding windows for \(layerCount) layers.")
        for case let window? in slidingWindows {
            try require(
                window >= 1 && window <= 1 << 30, "The sliding window is \(window) tokens.")
        }
        try require(
            rmsEpsilon > 0 && rmsEpsilon < 1, "The norm's epsilon is \(rmsEpsilon).")
        try require(
            attentionScale > 0 && attentionScale.isFinite,
            "The attention scale is \(attentionScale).")
        for rotary in [rotary, localRotary].compactMap({ $0 }) {
            try require(
                rotary.theta >= 1 && rotary.theta <= 1e15, "RoPE's theta is \(rotary.theta).")
            switch rotary.scaling {
            case .none, .tensor: break
            case .linear(let factor):
                try require(factor > 0 && factor <= 1e6, "RoPE's scaling factor is \(factor).")
            case .llama3(let factor, let low, let high, let original):
                try require(
                    factor > 0 && factor <= 1e6 && low > 0 && high > low && high <= 1e6
                        && original >= 1 && original <= 1 << 30,
                    "RoPE's llama3 scaling has wrong numbers.")
            }
        }
    }

    /// Gemma's rule: every `pattern`-th layer sees everything, the others a window.
    static func windows(layers: Int, window: Int, pattern: Int) -> [Int?] {
        (0..<layers).map { ($0 + 1) % pattern == 0 ? nil : window }
    }
}
