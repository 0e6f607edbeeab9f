/// What a task can be told. Each takes what concerns it; `nil` stands for the task's own default.
public struct TaskOptions: Sendable {
    /// A file of worked examples, where they are not in the task's own file.
    public var shotsFile: String?
    /// How many worked examples stand before each question.
    public var shots: Int?
    /// The most samples, from the head of the file.
    public var limit: Int?
    public var badLines: BadLines
    /// Which of a task's parts, such as `hotpotqa` or `niah-multikey`; all of them when empty.
    public var subtasks: [String]
    /// Leaves out prompts of more tokens.
    public var longestPrompt: Int?
    /// The most tokens of an answer.
    public var maxTokens: Int?
    /// Lengths of generated prompts, in tokens.
    public var lengths: [Int]
    /// Where in a generated prompt the needle stands, per cent: 0 its start, 100 its end.
    public var depths: [Double]
    /// How many samples are generated for each length, and depth.
    public var samples: Int
    public var seed: UInt64
    /// Allows generated programs to be run, in a sandbox.
    public var runsCode: Bool
    /// The tokens of a text by the model's tokenizer, by which generated prompts are sized. Without a model, a token is
    /// taken to be four bytes.
    public var countTokens: @Sendable (String) -> Int

    public init(
        shotsFile: String? = nil, shots: Int? = nil, limit: Int? = nil, badLines: BadLines = .stop,
        subtasks: [String] = [], longestPrompt: Int? = nil, maxTokens: Int? = nil,
        lengths: [Int] = [4096], depths: [Double] = [0, 25, 50, 75, 100], samples: Int = 1,
        seed: UInt64 = 0, runsCode: Bool = false,
        countTokens: @escaping @Sendable (String) -> Int = { ($0.utf8.count + 3) / 4 }
    ) {
        self.shotsFile = shotsFile
        self.shots = shots
        self.limit = limit
        self.badLines = badLines
        self.subtasks = subtasks
        self.longestPrompt = longestPrompt
        self.maxTokens = maxTokens
        self.lengths = lengths
        self.depths = depths
        self.samples = samples
        self.seed = seed
        self.runsCode = runsCode
        self.countTokens = countTokens
    }
}
