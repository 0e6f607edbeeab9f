extension TaskSet {
    /// LongBench (arXiv 2308.14508): the sixteen English tasks with their own prompts and metrics.
    ///
    /// Each line is an object with `task` (a name of LongBench), `prompt` (the whole of it) and `gold`: a list of right
    /// answers, or an object with `answers` and `all_classes`, also printed as text; `smollm2_tokens`, where present,
    /// becomes the tag `tokens`. Samples are named `longbench-` and the task.
    ///
    /// - Parameters:
    ///   - file: JSON lines.
    ///   - tasks: Which tasks are taken, by LongBench's names; all when `nil`.
    ///   - limit: The most samples, from the head of the file.
    ///   - maxTokens: The most tokens of an answer; LongBench's own number for each task when `nil`.
    ///   - longestPrompt: Leaves out prompts of more tokens.
    ///   - countTokens: Counts the tokens of a prompt by the model's tokenizer; by the field `smollm2_tokens`, or else
    ///     as a quarter of the bytes, when `nil`.
    /// - Throws: `parameterOutOfRange` for a task that LongBench has not; as `TaskFile.read`; `noSamples` when nothing
    ///   is left.
    public static func longBench(
        file: String, tasks: [String]? = nil, limit: Int? = nil, maxTokens: Int? = nil,
        longestPrompt: Int? = nil, countTokens: (@Sendable (String) -> Int)? = nil,
        badLines: BadLines = .stop
    ) throws(TaskError) -> TaskSet {
        try check(limit: limit, maxTokens: maxTokens)
        var wanted = Set(LongBenchTask.allCases)
        if let tasks {
            wanted = []
            for name in tasks {
                guard let task = LongBenchTask(named: name) else {
                    throw .parameterOutOfRange(
                        "LongBench has no English task '\(name)'; it has \(known)")
                }
                wanted.insert(task)
            }
        }
        let lines = try TaskFile(path: file, badLines: badLines).read(LongBenchLine.self) {
            (line) throws(LineFault) -> TaskSample? in
            guard let task = LongBenchTask(named: line.task) else {
                throw LineFault("the field 'task' is '\(line.task)', which is none of \(known)")
            }
            if line.prompt.isEmpty { throw LineFault("the field 'prompt' is empty") }
            if let fault = task.fault(of: line.gold) { throw fault }
            if !wanted.contains(task) { return nil }
            if let longestPrompt {
                let tokens =
                    countTokens?(line.prompt) ?? line.smollm2_tokens ?? line.prompt.utf8.count / 4
                if tokens > longestPrompt { return nil }
            }
            return sample(line, task: task, maxTokens: maxTokens)
        }
        var taken = TaskLines<TaskSample>(skipped: lines.skipped)
        for case (let number, var sample?) in lines.values {
            if let limit, taken.values.count == limit { break }
            sample.id = "\(number)"
            taken.values.append((number, sample))
        }
        return try TaskSet(path: file, lines: taken)
    }

    private static func sample(
        _ line: LongBenchLine, task: LongBenchTask, maxTokens: Int?
    ) -> TaskSample {
        let (context, question) = PromptSplit.split(line.prompt, at: task.questionMarker)
        let gold = line.gold
        var request = GenerationRequest(
            context: context, question: question, maxTokens: maxTokens ?? task.maxTokens
        ) { answer in [TaskScore(task.metric, task.score(answer, gold: gold))] }
        request.mayBeShortened = true
        return TaskSample(
            task: task.name, id: "",
            tags: line.smollm2_tokens.map { ["tokens": Double($0)] } ?? [:],
            request: .generation(request))
    }

    private static var known: String {
        LongBenchTask.allCases.map(\.rawValue).joined(separator: ", ")
    }
}

private struct LongBenchLine: Decodable {
    var task: String
    var prompt: String
    var gold: LongBenchGold
    // swift-format-ignore: AlwaysUseLowerCamelCase
    var smollm2_tokens: Int?
}
