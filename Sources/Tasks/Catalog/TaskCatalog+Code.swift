extension TaskCatalog {
    /// Tasks whose judges run what the model wrote.
    static let code: [Entry] = [
        Entry(
            name: "humaneval", reading: "HumanEval.jsonl or .jsonl.gz of openai/human-eval",
            help: "function bodies from their documentation, run against tests (needs --run-code)"
        ) { (file: String, options: TaskOptions) throws(TaskError) -> TaskSet in
            try humanEval(file, .completion, options)
        },
        Entry(
            name: "humaneval-instruct",
            reading: "HumanEval.jsonl or .jsonl.gz of openai/human-eval",
            help: "the same, asked as an instruction, for models tuned on chats (needs --run-code)"
        ) { (file: String, options: TaskOptions) throws(TaskError) -> TaskSet in
            try humanEval(file, .instruction, options)
        },
        Entry(
            name: "mbpp", reading: "mbpp.jsonl of google-research/mbpp",
            help: "short programs from a sentence, run against their tests (needs --run-code)"
        ) { (file: String, options: TaskOptions) throws(TaskError) -> TaskSet in
            try TaskSet.mbpp(
                file: file, shots: options.shots ?? 3, limit: options.limit,
                maxTokens: options.maxTokens ?? 512, badLines: options.badLines,
                sandbox: try sandbox("mbpp", options))
        },
    ]

    private static func humanEval(
        _ file: String, _ form: TaskSet.HumanEvalForm, _ options: TaskOptions
    ) throws(TaskError) -> TaskSet {
        try TaskSet.humanEval(
            file: file, form: form, limit: options.limit, maxTokens: options.maxTokens ?? 512,
            badLines: options.badLines, sandbox: try sandbox("humaneval", options))
    }

    private static func sandbox(
        _ task: String, _ options: TaskOptions
    ) throws(TaskError) -> PythonSandbox {
        guard options.runsCode else {
            throw .parameterOutOfRange(
                "the task \(task) runs the programs that the model writes, in a sandbox; "
                    + "allow it with --run-code")
        }
        return try PythonSandbox()
    }
}
