public import KVCache
public import Reports

/// Which cache a model should have, and why.
public struct Advice: Sendable, Codable {
    /// A cache that was measured.
    public struct Option: Sendable, Codable {
        public var cache: String
        /// At the context that was asked for.
        public var bytes: Int
        public var bitsPerElement: Double
        public var fits: Bool
        /// Tokens that fit into the memory, the model's context at most; `nil` without a limit of memory or if nothing fits.
        public var longestContext: Int?
        public var grade: Grade?
        public var verdict: String
        /// Median over layers of the relative error of attention's output.
        public var attentionError: Double?
        public var summary: CacheSummary
    }

    public var model: ModelRecord
    public var context: Int
    public var memory: Int?
    /// Of the sample that was measured on.
    public var sampleTokens: Int
    public var profiles: [KeyValueProfile]
    /// Best first.
    public var options: [Option]
    /// The policy to use, for `--cache`; `nil` if none fits.
    public var policy: CachePolicy?
    public var reasons: [String]
    /// What breaks on this model.
    public var warnings: [String]
}
