public import Tasks

/// What an evaluation measures; every part is left out where it is `nil` or empty.
public struct EvaluationPlan: Sendable {
    /// Context lengths whose bytes are counted.
    public var contexts: [Int] = []
    /// Windows of a text, for perplexity, divergence and agreement.
    public var text: TextMeasurement?
    /// Tokens of a sample for the errors of each layer.
    public var layerSample: [Int32] = []
    /// Questions, task by task.
    public var tasks: [TaskSet] = []
    public var speed: SpeedPlan?
    public var answers = AnswerOptions()

    public init() {}

    /// Depths at which speed is measured.
    public struct SpeedPlan: Sendable, Hashable {
        public var depths: [Int]
        /// Tokens that are decoded, and of the prompt.
        public var tokens: Int
        public var prefill: Int
        public var repeats: Int

        public init(depths: [Int], tokens: Int, prefill: Int, repeats: Int) {
            self.depths = depths
            self.tokens = tokens
            self.prefill = prefill
            self.repeats = repeats
        }
    }
}

/// A choice of sizes by name.
public enum EvaluationSuite: String, Sendable, Codable, CaseIterable {
    /// A minute or so a cache with a small model on two cores.
    case quick
    /// As much as a table in a paper needs.
    case full

    /// Tokens of a window, and number of windows.
    public var window: Int { self == .quick ? 1024 : 2048 }
    public var windows: Int { self == .quick ? 2 : 10 }
    /// Tokens of a window's prompt.
    public var prefill: Int { 32 }
    /// Tokens of the sample for errors of layers.
    public var layerTokens: Int { self == .quick ? 1024 : 2048 }
    /// Passkeys: lengths, depths in per cent, keys at each.
    public var passkeyLengths: [Int] { self == .quick ? [1024] : [1024, 2048, 4096, 8000] }
    public var passkeyDepths: [Double] { self == .quick ? [10, 50, 90] : [0, 25, 50, 75, 100] }
    public var passkeys: Int { self == .quick ? 2 : 4 }
    /// Depths for speed.
    public var depths: [Int] { self == .quick ? [0, 2048] : [0, 2048, 7168] }
    public var speedTokens: Int { self == .quick ? 16 : 32 }
    public var speedPrefill: Int { self == .quick ? 128 : 512 }
    public var repeats: Int { self == .quick ? 3 : 5 }
    /// Contexts whose bytes are counted.
    public var contexts: [Int] { [4096, 32_768, 131_072] }
}
