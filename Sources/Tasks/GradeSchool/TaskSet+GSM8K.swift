extension TaskSet {
    /// GSM8K (arXiv 2110.14168): word problems of grade school, in lm-eval's form of the task `gsm8k`.
    ///
    /// Each line is an object with `question` and `answer`, whose reasoning ends with `#### ` and the number. The
    /// context is the worked examples and the question; scores are `flexible`, by the last number of the answer, and
    /// `strict`, by the number after `#### `.
    ///
    /// - Parameters:
    ///   - file: JSON lines.
    ///   - shotsFile: The file whose head holds the worked examples; `file` itself when `nil`, and then its head is not
    ///     asked.
    ///   - shots: Worked examples before each question; 5 as in lm-eval.
    ///   - limit: The most questions, from the head of the file.
    ///   - maxTokens: The most tokens of an answer; 256 as in lm-eval.
    /// - Throws: As `TaskFile.read`; `parameterOutOfRange` for more worked examples than there are.
    public static func gsm8k(
        file: String, shotsFile: String? = nil, shots: Int = 5, limit: Int? = nil,
        maxTokens: Int = 256, badLines: BadLines = .stop
    ) throws(TaskError) -> TaskSet {
        try check(limit: limit, maxTokens: maxTokens)
        try Shots.check(shots)
        let ownShots = shotsFile == nil ? shots : 0
        var problems = try TaskFile(path: file, badLines: badLines)
            .read(Problem.self, limit: Shots.lines(ownShots, and: limit)) {
                (problem) throws(LineFault) in try problem.checked()
            }
        if problems.values.isEmpty { throw .noSamples(path: file) }
        let examples: [Problem]
        if let shotsFile {
            let lines = try Shots.read(
                shots, from: TaskFile(path: shotsFile, badLines: badLines), Problem.self
            ) { (problem) throws(LineFault) in try problem.checked() }
            examples = lines.values.map(\.value)
            problems.skipped = lines.skipped + problems.skipped
        } else {
            examples = try Shots.take(shots, from: &problems, path: file)
        }
        let head = examples.map { "Question: \($0.question)\nAnswer: \($0.answer)\n\n" }.joined()
        return TaskSet(
            samples: problems.values.map { number, problem in
                let request = GenerationRequest(
                    context: head + "Question: \(problem.question)\nAnswer:", question: "",
                    maxTokens: maxTokens,
                    stops: ["\n\nQuestion:", "Question:", "</s>", "<|im_end|>"]
                ) { answer in problem.scores(answer) }
                return TaskSample(task: "gsm8k", id: "\(number)", request: .generation(request))
            }, skipped: problems.skipped)
    }
}

private struct Problem: Decodable, Sendable {
    var question: String
    var answer: String

    func checked() throws(LineFault) -> Problem {
        if question.isBlank { throw LineFault("the field 'question' is empty") }
        if GradeSchoolAnswer.strict(answer) == nil {
            throw LineFault("the field 'answer' does not end with '#### ' and a number")
        }
        return self
    }

    func scores(_ given: String) -> [TaskScore] {
        func score(_ metric: String, _ found: String?) -> TaskScore {
            TaskScore(metric, found.map { GradeSchoolAnswer.equal($0, answer) } == true ? 1 : 0)
        }
        return [
            score("flexible", GradeSchoolAnswer.flexible(given)),
            score("strict", GradeSchoolAnswer.strict(given)),
        ]
    }
}
