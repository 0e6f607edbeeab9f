/// Bytes of a cache of one sequence, counted exactly.
public struct MemoryRecord: Sendable, Hashable, Codable {
    public var cache: String
    /// Tokens in it.
    public var context: Int
    public var bytes: Int
    /// Mean bits an element, windows included.
    public var bitsPerElement: Double

    public init(cache: String, context: Int, bytes: Int, bitsPerElement: Double) {
        self.cache = cache
        self.context = context
        self.bytes = bytes
        self.bitsPerElement = bitsPerElement
    }
}

/// One window of text through a cache, every scored token compared with what the reference made of it.
public struct TextRecord: Sendable, Hashable, Codable {
    public var cache: String
    /// Name of the text.
    public var text: String
    /// First token of the window in the text.
    public var offset: Int
    /// Tokens of the window, and of its prompt.
    public var context: Int
    public var prefill: Int
    /// First position whose token is scored; `nil`: all after the prompt.
    public var scoredFrom: Int?
    /// −ln p of the tokens, in nats.
    public var loss: Moments
    /// The same less the reference's, token by token; absent for the reference.
    public var difference: Moments?
    /// KL(reference ‖ cache) over the vocabulary, in nats.
    public var divergence: Moments?
    public var divergences: LogHistogram?
    /// Tokens at which both would choose the same next token.
    public var agreements: Int?
    /// The cache at the window's end.
    public var cacheBytes: Int
    public var bitsPerElement: Double
    public var seconds: Double

    public init(
        cache: String, text: String, offset: Int, context: Int, prefill: Int,
        scoredFrom: Int? = nil, loss: Moments,
        difference: Moments? = nil, divergence: Moments? = nil, divergences: LogHistogram? = nil,
        agreements: Int? = nil, cacheBytes: Int, bitsPerElement: Double, seconds: Double
    ) {
        self.cache = cache
        self.text = text
        self.offset = offset
        self.context = context
        self.prefill = prefill
        self.scoredFrom = scoredFrom
        self.loss = loss
        self.difference = difference
        self.divergence = divergence
        self.divergences = divergences
        self.agreements = agreements
        self.cacheBytes = cacheBytes
        self.bitsPerElement = bitsPerElement
        self.seconds = seconds
    }
}

/// Errors of one layer that is given what the float16 model gives it: they do not add up over layers.
public struct LayerRecord: Sendable, Hashable, Codable {
    public var cache: String
    public var layer: Int
    /// Tokens that the errors are taken over.
    public var tokens: Int
    /// Root of Σ‖x̂ − x‖² / Σ‖x‖² over all tokens and heads: 0 is exact, 1 as bad as zeros.
    public var keys: Double
    public var values: Double
    /// Of attention's output, over the queries after the first seal.
    public var output: Double

    public init(
        cache: String, layer: Int, tokens: Int, keys: Double, values: Double, output: Double
    ) {
        self.cache = cache
        self.layer = layer
        self.tokens = tokens
        self.keys = keys
        self.values = values
        self.output = output
    }
}

/// Speed at one depth of the cache.
public struct SpeedRecord: Sendable, Hashable, Codable {
    public var cache: String
    /// Tokens in the cache.
    public var depth: Int
    /// Tokens a second of each repeat.
    public var decode: [Double]
    public var prefill: [Double]
    public var cacheBytes: Int

    public init(cache: String, depth: Int, decode: [Double], prefill: [Double], cacheBytes: Int) {
        self.cache = cache
        self.depth = depth
        self.decode = decode
        self.prefill = prefill
        self.cacheBytes = cacheBytes
    }
}

/// One question of one task, answered through one cache.
public struct SampleRecord: Sendable, Hashable, Codable {
    public var cache: String
    public var task: String
    /// The question, the same in every run.
    public var id: String
    /// What results are split by, such as `["length": 4096, "depth": 50]`.
    public var tags: [String: Double]
    /// Judgements from 0 to 1.
    public var scores: [String: Double]
    /// Which of them is the task's.
    public var mainMetric: String
    /// What the model wrote; of a multiple choice, the index that it chose.
    public var answer: String
    public var promptTokens: Int
    public var answerTokens: Int
    /// Tokens of the prompt and answer that were sealed in the end: without any, nothing was tested.
    public var sealedTokens: Int
    public var seconds: Double

    public init(
        cache: String, task: String, id: String, tags: [String: Double], scores: [String: Double],
        mainMetric: String, answer: String, promptTokens: Int, answerTokens: Int,
        sealedTokens: Int, seconds: Double
    ) {
        self.cache = cache
        self.task = task
        self.id = id
        self.tags = tags
        self.scores = scores
        self.mainMetric = mainMetric
        self.answer = answer
        self.promptTokens = promptTokens
        self.answerTokens = answerTokens
        self.sealedTokens = sealedTokens
        self.seconds = seconds
    }
}
