extension TaskSet {
    /// How a problem is put to the model.
    public enum HumanEvalForm: Sendable {
        /// The function's head and documentation alone, to be continued: for base models.
        case completion
        /// An instruction, then the head of the function inside an opened code fence: for models tuned on chats.
        case instruction
    }

    /// HumanEval: function bodies from their documentation, judged by running their tests (Chen et al. 2021,
    /// arXiv 2107.03374; fields as in openai/human-eval, data/HumanEval.jsonl.gz).
    ///
    /// - Parameters:
    ///   - file: JSON lines of `task_id`, `prompt`, `entry_point` and `test`, compressed or not.
    ///   - limit: The most problems, from the head of the file.
    ///   - sandbox: Where the programs run. Judges throw when it cannot be set up.
    public static func humanEval(
        file: String, form: HumanEvalForm = .completion, limit: Int? = nil, maxTokens: Int = 512,
        badLines: BadLines = .stop, sandbox: PythonSandbox
    ) throws(TaskError) -> TaskSet {
        let lines = try TaskFile(path: file, badLines: badLines).read(
            HumanEvalProblem.self, limit: limit
        ) { (problem: HumanEvalProblem) throws(LineFault) -> TaskSample in
            try problem.check()
            return problem.sample(form, maxTokens: maxTokens, sandbox: sandbox)
        }
        return try TaskSet(path: file, lines: lines)
    }
}

/// A line of the file.
package struct HumanEvalProblem: Decodable, Sendable {
    package var id: String
    package var prompt: String
    package var entryPoint: String
    package var test: String
    /// Absent from files that keep their solutions to themselves.
    package var solution: String?

    enum CodingKeys: String, CodingKey {
        case id = "task_id"
        case prompt, test
        case entryPoint = "entry_point"
        case solution = "canonical_solution"
    }

    func check() throws(LineFault) {
        let isName = entryPoint.utf8.enumerated().allSatisfy { index, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "_"):
                true
            case UInt8(ascii: "0")...UInt8(ascii: "9"): index > 0
            default: false
            }
        }
        guard isName, !entryPoint.isEmpty else {
            throw LineFault("the field 'entry_point' is not the name of a function")
        }
        guard prompt.contains("def \(entryPoint)") else {
            throw LineFault("the field 'prompt' does not begin the function '\(entryPoint)'")
        }
        guard test.contains("def check(") else {
            throw LineFault("the field 'test' has no function 'check'")
        }
    }

    /// What is run: the prompt, its continuation, then the tests. A whole function in place of a continuation
    /// redefines the one that the prompt began, whose documentation is body enough.
    package func program(answer: String) -> String {
        "\(prompt)\(CodeAnswer.program(in: answer))\n\n\(test)\n\ncheck(\(entryPoint))\n"
    }

    func sample(
        _ form: TaskSet.HumanEvalForm, maxTokens: Int, sandbox: PythonSandbox
    ) -> TaskSample {
        let context: String
        let stops: [String]
        switch form {
        case .completion:
            context = ""
            stops = ["\nclass", "\ndef", "\n#", "\nif", "\nprint", "\n```"]
        case .instruction:
            context = """
                Write a solution to the following problem and make sure that it passes the tests:
                ```python
                \(prompt)
                ```
                Here is the completed function:
                ```python

                """
            stops = ["\n```"]
        }
        let problem = self
        return TaskSample(
            task: form == .completion ? "humaneval" : "humaneval-instruct", id: id,
            request: .generation(
                GenerationRequest(
                    context: context, question: prompt, maxTokens: maxTokens, stops: stops
                ) { (answer: String) throws(TaskError) -> [TaskScore] in
                    try sandbox.score(problem.program(answer: answer))
                }))
    }
}
