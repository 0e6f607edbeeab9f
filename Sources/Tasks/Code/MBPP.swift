extension TaskSet {
    /// MBPP: short programs from a sentence and three assertions, judged by running these (Austin et al. 2021,
    /// arXiv 2108.07732; fields as in google-research/mbpp, mbpp.jsonl). The test split is the numbers 11 to 510.
    ///
    /// - Parameters:
    ///   - file: JSON lines of `task_id`, `text`, `code`, `test_list` and `test_setup_code`.
    ///   - shots: Worked examples before each problem, from 0 to 3: the numbers 2, 3 and 4 of the file, as in the paper.
    ///   - limit: The most problems, from number 11 on.
    ///   - sandbox: Where the programs run. Judges throw when it cannot be set up.
    /// - Throws: Also `parameterOutOfRange` when the file lacks a worked example.
    public static func mbpp(
        file: String, shots: Int = 3, limit: Int? = nil, maxTokens: Int = 512,
        badLines: BadLines = .stop, sandbox: PythonSandbox
    ) throws(TaskError) -> TaskSet {
        guard (0...3).contains(shots) else {
            throw .parameterOutOfRange("MBPP has 0 to 3 worked examples, not \(shots)")
        }
        let lines = try TaskFile(path: file, badLines: badLines).read(MBPPProblem.self) {
            (problem: MBPPProblem) throws(LineFault) -> MBPPProblem in
            try problem.check()
            return problem
        }
        var context = ""
        for number in 2..<(2 + shots) {
            guard let shot = lines.values.first(where: { $0.value.number == number })?.value else {
                throw .parameterOutOfRange(
                    "\(file) lacks the worked example of task_id \(number); give fewer shots")
            }
            context += shot.question + shot.solution + "\n[DONE]\n\n"
        }
        let tests = lines.values.map(\.value).filter { (11...510).contains($0.number) }
        let samples = tests.prefix(limit ?? .max).map {
            $0.sample(context: context, maxTokens: maxTokens, sandbox: sandbox)
        }
        if samples.isEmpty { throw .noSamples(path: file) }
        return TaskSet(samples: samples, skipped: lines.skipped)
    }
}

/// A line of the file.
package struct MBPPProblem: Decodable, Sendable {
    package var number: Int
    package var text: String
    package var code: String
    package var tests: [String]
    package var setUp: String

    enum CodingKeys: String, CodingKey {
        case number = "task_id"
        case text, code
        case tests = "test_list"
        case setUp = "test_setup_code"
    }

    func check() throws(LineFault) {
        if tests.isEmpty { throw LineFault("the field 'test_list' is empty") }
        if text.isEmpty { throw LineFault("the field 'text' is empty") }
    }

    /// The solution with the line ends of the rest of the prompt: the file's have two characters.
    package var solution: String { code.replacing("\r\n", with: "\n") }

    /// Section 3.1 and figure 1 of the paper.
    var question: String {
        """
        You are an expert Python programmer, and here is your task: \(text) \
        Your code should pass these tests:

        \(tests.joined(separator: "\n"))
        [BEGIN]

        """
    }

    /// What is run. The set-up follows the answer: it makes objects of the classes that the answer defines.
    package func program(answer: String) -> String {
        let parts = [CodeAnswer.program(in: answer), setUp] + tests
        return parts.map { $0.replacing("\r\n", with: "\n") }.joined(separator: "\n") + "\n"
    }

    func sample(context: String, maxTokens: Int, sandbox: PythonSandbox) -> TaskSample {
        let problem = self
        return TaskSample(
            task: "mbpp", id: "mbpp/\(number)",
            request: .generation(
                GenerationRequest(
                    context: context, question: question, maxTokens: maxTokens, stops: ["[DONE]"]
                ) { (answer: String) throws(TaskError) -> [TaskScore] in
                    try sandbox.score(problem.program(answer: answer))
                }))
    }
}
