import Foundation

extension TaskSet {
    /// Multiple choice by log-likelihood: ARC, WinoGrande, HellaSwag and PIQA, with lm-eval's texts.
    ///
    /// The form is recognised by the fields of the first usable line:
    /// - `query`, `choices`, `gold` (ARC; the query begins with "Question: ");
    /// - `context_options`, `continuation`, `gold` (WinoGrande);
    /// - `ctx`, `endings`, `activity_label`, `label` (HellaSwag as published);
    /// - `goal`, `sol1`, `sol2` (PIQA as published) and `label`, or a file of labels.
    ///
    /// Samples are named after the file: `arc-challenge` for `arc_challenge.jsonl`.
    ///
    /// - Parameters:
    ///   - file: JSON lines.
    ///   - labels: For PIQA, the file of labels, a number a line; when `nil`, `valid-labels.lst` beside `valid.jsonl`.
    ///   - shots: Worked examples from the head of the file, which are then not asked.
    ///   - limit: The most questions after those.
    /// - Throws: As `TaskFile.read`; `parameterOutOfRange` when the examples leave no question.
    public static func choices(
        file: String, labels: String? = nil, shots: Int = 0, limit: Int? = nil,
        badLines: BadLines = .stop
    ) throws(TaskError) -> TaskSet {
        try check(limit: limit)
        try Shots.check(shots)
        var form: ChoiceQuestion.Form?
        // Read when the first line without a label asks for them.
        var labelList: ChoiceLabels?
        var trouble: TaskError?
        var questions: TaskLines<ChoiceQuestion>
        questions = try TaskFile(path: file, badLines: badLines).readNumbered(
            ChoiceQuestion.self, limit: Shots.lines(shots, and: limit)
        ) { (number, line) throws(LineFault) in
            var question = line
            if let form, form != question.form {
                throw LineFault("its fields are not those of the lines before it")
            }
            if question.gold == nil {
                if labelList == nil, trouble == nil {
                    do throws(TaskError) {
                        labelList = try ChoiceLabels(labels ?? ChoiceLabels.path(beside: file))
                    } catch { trouble = error }
                }
                if let trouble {
                    throw LineFault(
                        "the field 'label' is missing, and of the labels' file: \(trouble)")
                }
                question.gold = try labelList?.label(line: number, of: question.choices.count)
            }
            form = question.form
            return question
        }
        if questions.values.isEmpty { throw trouble ?? .noSamples(path: file) }
        let examples = try Shots.take(shots, from: &questions, path: file)
        let head = examples.map { example in
            let right = example.choices[example.gold ?? 0]
            return right.context + right.continuation + "\n\n"
        }.joined()
        let name = ChoiceFileName.task(of: file, form: form ?? .query)
        return TaskSet(
            samples: questions.values.map { number, question in
                let request = ChoiceRequest(
                    choices: question.choices.map { (head + $0.context, $0.continuation) },
                    gold: question.gold ?? 0, mainMetric: question.form.mainMetric)
                return TaskSample(task: name, id: "\(number)", request: .choice(request))
            }, skipped: questions.skipped)
    }
}

/// The labels of a file, which stand in another one, line by line.
private struct ChoiceLabels {
    private let path: String
    private let lines: [Substring]

    init(_ path: String) throws(TaskError) {
        self.path = path
        do {
            lines = try String(contentsOfFile: path, encoding: .utf8)
                .split(separator: "\n", omittingEmptySubsequences: false)
        } catch {
            throw .unreadable(path: path, reason: "there is no such text file")
        }
    }

    /// `valid-labels.lst` for `valid.jsonl`, as PIQA is published.
    static func path(beside file: String) -> String {
        let stem = file.hasSuffix(".jsonl") ? String(file.dropLast(6)) : file
        return stem + "-labels.lst"
    }

    func label(line: Int, of count: Int) throws(LineFault) -> Int {
        guard lines.indices.contains(line - 1) else {
            throw LineFault("\(path) has no line \(line), its label")
        }
        let text = lines[line - 1].trimmingCharacters(in: .whitespaces)
        guard let label = Int(text), (0..<count).contains(label) else {
            throw LineFault(
                "line \(line) of \(path), its label, is not a number from 0 to \(count - 1)")
        }
        return label
    }
}

/// What a task is called by the name of its file.
enum ChoiceFileName {
    /// `arc-challenge` for `data/arc_challenge.fixed.jsonl`, `hellaswag` for `hellaswag_1000.jsonl`; the form's usual
    /// task for a name that says only which part it is, such as `valid.jsonl`.
    static func task(of path: String, form: ChoiceQuestion.Form) -> String {
        let file = path.split(separator: "/").last.map(String.init) ?? path
        var words = file.prefix { $0 != "." }.lowercased()
            .split { !$0.isLetter && !$0.isNumber }.map(String.init)
        while let last = words.last, last.allSatisfy(\.isNumber) || parts.contains(last) {
            words.removeLast()
        }
        if words.isEmpty {
            switch form {
            case .query: return "choice"
            case .contexts: return "winogrande"
            case .endings: return "hellaswag"
            case .solutions: return "piqa"
            }
        }
        return words.joined(separator: "-")
    }

    private static let parts: Set<String> = ["train", "valid", "validation", "val", "dev", "test"]
}
