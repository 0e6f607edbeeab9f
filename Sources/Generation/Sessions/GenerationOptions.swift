/// What to generate, besides the prompt.
public struct GenerationOptions: Sendable, Codable, Hashable {
    public var sampling: SamplingParameters
    /// Most tokens to generate; `nil` until the model ends or its context is full. 0 only fills the cache.
    public var maxTokens: Int?
    /// Generation ends before the first of these; they are not part of the text.
    public var stopStrings: [String]
    /// Tokens that end generation besides those that the vocabulary says end it; not part of the text.
    public var stopTokens: [Int32]
    /// Go on where the model would end.
    public var ignoresEndOfGeneration: Bool

    public init(
        sampling: SamplingParameters = SamplingParameters(), maxTokens: Int? = 256,
        stopStrings: [String] = [], stopTokens: [Int32] = [], ignoresEndOfGeneration: Bool = false
    ) {
        self.sampling = sampling
        self.maxTokens = maxTokens
        self.stopStrings = stopStrings
        self.stopTokens = stopTokens
        self.ignoresEndOfGeneration = ignoresEndOfGeneration
    }

    /// - Throws: ``GenerationError/parameterOutOfRange(_:)`` naming the first option that is out of range.
    public func validate() throws(GenerationError) {
        try sampling.validate()
        guard maxTokens ?? 0 >= 0 else {
            throw .parameterOutOfRange("max tokens must be 0 or more")
        }
    }
}

/// One generated token.
public struct GeneratedToken: Sendable, Hashable {
    /// `nil` for text that was held back until the end: a possible stop string, or a character cut short.
    public var id: Int32?
    /// Text that became certain with this token: empty while a character or a possible stop string is incomplete,
    /// more than the token's own when it ends one. All texts together are the generated text.
    public var text: String
}

/// Why generation ended.
public enum StopReason: String, Sendable, Codable {
    /// The model ended its text or its turn.
    case endOfGeneration
    case maxTokens
    case stopString
    case contextFull
    case cancelled
}

/// What a run cost and what its cache saved.
public struct GenerationStatistics: Sendable, Codable {
    /// Tokens run before the first new one: the prompt, and what earlier runs left to be run.
    public var promptTokens = 0
    /// Seconds until the first token's logits.
    public var prefillSeconds = 0.0
    /// Generated tokens, the one that ended the text included.
    public var generatedTokens = 0
    public var decodeSeconds = 0.0
    public var stopReason: StopReason?
    /// Tokens in the cache.
    public var cachedTokens = 0
    /// Bytes allocated for the cache.
    public var cacheBytes = 0
    /// What the same tokens take as float16.
    public var float16Bytes = 0
    /// Mean bits an element, windows included.
    public var bitsPerElement = 0.0

    public init() {}

    /// Prompt tokens a second.
    public var prefillRate: Double {
        prefillSeconds > 0 ? Double(promptTokens) / prefillSeconds : 0
    }
    /// Generated tokens a second; the first comes from the prompt's own logits.
    public var decodeRate: Double {
        decodeSeconds > 0 ? Double(max(generatedTokens - 1, 0)) / decodeSeconds : 0
    }
    /// How many times smaller than float16 the cache is.
    public var compression: Double {
        cacheBytes > 0 ? Double(float16Bytes) / Double(cacheBytes) : 0
    }
}
