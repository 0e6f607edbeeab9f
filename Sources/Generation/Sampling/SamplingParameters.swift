/// How the next token is chosen from its logits.
///
/// In this order: repetition penalty, top-k, min-p, top-p, temperature. Top-p counts the probability of what top-k and
/// min-p leave, before temperature.
public struct SamplingParameters: Sendable, Codable, Hashable {
    /// Divides the logits; 0 takes the most likely token always.
    public var temperature: Float
    /// Keeps the `topK` most likely tokens; 0 keeps all.
    public var topK: Int
    /// Keeps the smallest set of most likely tokens whose probabilities sum to `topP`; 1 keeps all.
    public var topP: Float
    /// Drops tokens less likely than `minP` times the most likely one; 0 keeps all.
    public var minP: Float
    /// Divides positive and multiplies negative logits of tokens among the last `repetitionWindow`; 1 is none.
    public var repetitionPenalty: Float
    public var repetitionWindow: Int
    /// Same seed, same model, same prompt, same tokens. `nil` draws one.
    public var seed: UInt64?

    public init(
        temperature: Float = 0.8, topK: Int = 40, topP: Float = 0.95, minP: Float = 0.05,
        repetitionPenalty: Float = 1, repetitionWindow: Int = 64, seed: UInt64? = nil
    ) {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.repetitionWindow = repetitionWindow
        self.seed = seed
    }

    /// The most likely token always.
    public static let greedy = SamplingParameters(temperature: 0)

    /// - Throws: ``GenerationError/parameterOutOfRange(_:)`` naming the first parameter that is out of range.
    public func validate() throws(GenerationError) {
        func check(_ holds: Bool, _ message: String) throws(GenerationError) {
            if !holds { throw .parameterOutOfRange(message) }
        }
        try check(temperature >= 0 && temperature.isFinite, "temperature must be 0 or more")
        try check(topK >= 0, "top-k must be 0 (off) or more")
        try check(topP > 0 && topP <= 1, "top-p must be above 0 and at most 1")
        try check(minP >= 0 && minP <= 1, "min-p must be from 0 to 1")
        try check(
            repetitionPenalty > 0 && repetitionPenalty.isFinite,
            "the repetition penalty must be above 0 (1 is none)")
        try check(repetitionWindow >= 0, "the repetition window must be 0 or more tokens")
    }
}
