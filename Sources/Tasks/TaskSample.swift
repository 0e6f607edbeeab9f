/// One question of a task, and how its answer is judged. Knows no model: text goes out, text comes back.
public struct TaskSample: Sendable {
    /// The task, such as `gsm8k`, `ruler-vt`, `longbench-hotpotqa`: samples of one name are averaged together.
    public var task: String
    /// Which sample it is, the same in every run: a line of the file, or a number and a seed.
    public var id: String
    /// What results are split by, such as `["length": 4096, "depth": 50]` (tokens; per cent).
    public var tags: [String: Double]
    public var request: Request

    public init(task: String, id: String, tags: [String: Double] = [:], request: Request) {
        self.task = task
        self.id = id
        self.tags = tags
        self.request = request
    }

    public enum Request: Sendable {
        case generation(GenerationRequest)
        case choice(ChoiceRequest)
    }
}

/// Text to continue, greedily, and a judge of the continuation.
public struct GenerationRequest: Sendable {
    /// Read as a prompt, whose tokens see each other in float16: few-shot examples, a haystack, a document.
    public var context: String
    /// Read after the context, through the cache, as if it had been decoded: so that the first token of a short answer
    /// already depends on what the cache kept. The prompt is `context + question`.
    public var question: String
    public var maxTokens: Int
    /// The answer ends before the first of these.
    public var stops: [String]
    /// Whether the middle of the prompt may be left out where it is longer than the model's context, as LongBench does it.
    public var mayBeShortened = false
    /// The first metric is the task's main one.
    public var judge: @Sendable (_ answer: String) throws(TaskError) -> [TaskScore]

    public init(
        context: String, question: String, maxTokens: Int, stops: [String] = [],
        judge: @escaping @Sendable (_ answer: String) throws(TaskError) -> [TaskScore]
    ) {
        self.context = context
        self.question = question
        self.maxTokens = maxTokens
        self.stops = stops
        self.judge = judge
    }
}

/// Continuations of which the likeliest is the model's choice.
public struct ChoiceRequest: Sendable {
    /// Each choice: a context, read as a prompt, and the continuation whose log-likelihood counts.
    public var choices: [(context: String, continuation: String)]
    /// Index of the right one.
    public var gold: Int
    /// The metric by which the task is known: `accuracy-norm`, or `accuracy`.
    public var mainMetric: String

    public init(
        choices: [(context: String, continuation: String)], gold: Int,
        mainMetric: String = "accuracy-norm"
    ) {
        self.choices = choices
        self.gold = gold
        self.mainMetric = mainMetric
    }
}

/// A judgement, from 0 to 1, more being better.
public struct TaskScore: Sendable, Hashable, Codable {
    /// Such as `exact`, `f1`, `rouge-l`, `pass`.
    public var metric: String
    public var value: Double

    public init(_ metric: String, _ value: Double) {
        self.metric = metric
        self.value = value
    }
}
