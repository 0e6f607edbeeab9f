/// What a run's records say about one cache.
public struct CacheSummary: Sendable, Codable {
    public var cache: String
    public var keys: String
    public var values: String
    public var sealedBits: Double
    public var isReference: Bool
    public var isControl: Bool
    public var memory: [MemoryRecord] = []
    public var text: TextSummary?
    public var passkey: [PasskeyCell] = []
    public var tasks: [TaskSummary] = []
    public var speed: [SpeedSummary] = []
    public var layers: [LayerRecord] = []
    /// How good the cache is, by all that was measured.
    public var grade: Grade?
    /// The same in one sentence, with the figures.
    public var verdict = ""
    /// No other cache is both smaller and closer to float16.
    public var isPareto = false

    /// Bits an element, windows included, counted for 32,768 tokens or the nearest context that was counted; those of sealed tokens
    /// where none was.
    public var bits: Double {
        func distance(_ record: MemoryRecord) -> Double { abs(Double(record.context) - 32_768) }
        return memory.min { distance($0) < distance($1) }?.bitsPerElement ?? sealedBits
    }
}

/// Quality on text.
public struct TextSummary: Sendable, Codable {
    public var scoredTokens: Int
    public var windows: Int
    /// exp of the mean loss, and its standard error.
    public var perplexity: Estimate
    /// Perplexity over the reference's, less 1; `nil` for the reference.
    public var increase: Estimate?
    /// Probability of such a difference by chance.
    public var pValue: Double?
    /// KL(reference ‖ cache) in nats.
    public var divergence: Estimate?
    /// 99 % of tokens diverge less (within 9 %).
    public var divergence99: Double?
    public var largestDivergence: Double?
    /// Share of tokens at which both would choose the same next one.
    public var agreement: Estimate?
    /// Bits an element at the end of the windows that were measured.
    public var bitsPerElement: Double
}

/// Passkeys found at one length and depth.
public struct PasskeyCell: Sendable, Codable, Hashable {
    /// Tokens of the prompt.
    public var length: Int
    /// Place of the key in the text, per cent.
    public var depth: Double
    public var found: Int
    public var asked: Int

    public var share: Double { asked == 0 ? 0 : Double(found) / Double(asked) }
}

/// One task, one metric.
public struct TaskSummary: Sendable, Codable {
    public var task: String
    public var metric: String
    public var isMain: Bool
    /// Mean score, from 0 to 1.
    public var score: Estimate
    /// Against the reference on the same questions; `nil` for the reference or without questions in common.
    public var comparison: PairedTest?
    /// Mean share of the tokens that were sealed when the answer was complete.
    public var sealedShare: Double
}

/// Speed at one depth.
public struct SpeedSummary: Sendable, Codable {
    public var depth: Int
    /// Tokens a second: median, slowest, fastest.
    public var decode: Spread
    public var prefill: Spread?
    /// Median over the reference's median at that depth.
    public var decodeRatio: Double?
}
