extension TaskSet {
    /// MATH-500: problems of mathematics competitions from MATH (arXiv 2103.03874), in the prompt form of lm-eval's task
    /// `minerva_math` with worked examples of this project's own.
    ///
    /// Each line is an object with `problem`, `answer` and, where present, `level`, which becomes a tag. The score is
    /// `exact`: whether the final answer is the right one, by `MathAnswer`.
    ///
    /// - Parameters:
    ///   - file: JSON lines.
    ///   - shots: Worked examples before each problem, from 0 to 4.
    ///   - limit: The most problems, from the head of the file.
    ///   - maxTokens: The most tokens of a solution.
    /// - Throws: As `TaskFile.read`; `parameterOutOfRange` for more worked examples than there are.
    public static func math500(
        file: String, shots: Int = 4, limit: Int? = nil, maxTokens: Int = 512,
        badLines: BadLines = .stop
    ) throws(TaskError) -> TaskSet {
        try check(limit: limit, maxTokens: maxTokens)
        guard (0...MathExamples.all.count).contains(shots) else {
            throw .parameterOutOfRange(
                "there are \(MathExamples.all.count) worked examples of mathematics and \(shots) are asked "
                    + "for; give a number from 0 to \(MathExamples.all.count)")
        }
        let head = MathExamples.text(shots)
        let problems = try TaskFile(path: file, badLines: badLines).read(
            Problem.self, limit: limit
        ) { (problem) throws(LineFault) in
            if problem.problem.isBlank { throw LineFault("the field 'problem' is empty") }
            if problem.answer.isBlank { throw LineFault("the field 'answer' is empty") }
            return problem
        }
        if problems.values.isEmpty { throw .noSamples(path: file) }
        return TaskSet(
            samples: problems.values.map { number, problem in
                let answer = problem.answer
                let request = GenerationRequest(
                    context: head + MathExamples.ask(problem.problem), question: "",
                    maxTokens: maxTokens, stops: ["Problem:", "</s>", "<|im_end|>"]
                ) { solution in
                    let given = MathAnswer.extract(solution)
                    let isRight = given.map { MathAnswer.equal($0, answer) } == true
                    return [TaskScore("exact", isRight ? 1 : 0)]
                }
                return TaskSample(
                    task: "math500", id: "\(number)",
                    tags: problem.level.map { ["level": Double($0)] } ?? [:],
                    request: .generation(request))
            }, skipped: problems.skipped)
    }
}

private struct Problem: Decodable, Sendable {
    var problem: String
    var answer: String
    var level: Int?
}
