import Tasks
import Testing

@Suite("Multiple choice")
struct ChoiceTests {
    private let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func reason(_ text: String, name: String = "q.jsonl") throws -> String {
        let file = try folder.write(text, as: name)
        let error = try taskError { () throws(TaskError) in try TaskSet.choices(file: file) }
        guard case .badLine(_, let line, let reason) = error else { return "\(error)" }
        return "\(line): \(reason)"
    }

    @Test("ARC: the question, then each choice after a space")
    func query() throws {
        let file = try folder.write(
            #"{"query": "Question: Why?", "choices": ["So.", "Thus."], "gold": 1}"#,
            as: "arc_challenge.fixed.jsonl")
        let set = try TaskSet.choices(file: file)
        let request = try set.samples[0].choice()
        #expect(set.samples[0].task == "arc-challenge")
        #expect(set.samples[0].id == "1")
        #expect(
            request.choices.map(\.context) == Array(repeating: "Question: Why?\nAnswer:", count: 2))
        #expect(request.choices.map(\.continuation) == [" So.", " Thus."])
        #expect(request.gold == 1)
        #expect(request.mainMetric == "accuracy-norm")
        #expect(ChoiceScoring.lengths(of: request) == [3, 5])
    }

    @Test("WinoGrande: the same ending after each context")
    func contexts() throws {
        let file = try folder.write(
            #"{"context_options": ["A so A", "A so B"], "continuation": "won.", "gold": 0}"#,
            as: "winogrande.jsonl")
        let request = try TaskSet.choices(file: file).samples[0].choice()
        #expect(request.choices.map(\.context) == ["A so A", "A so B"])
        #expect(request.choices.map(\.continuation) == [" won.", " won."])
        #expect(request.mainMetric == "accuracy")
    }

    @Test("HellaSwag: activity, scene and endings without marks of headings")
    func endings() throws {
        let file = try folder.write(
            try json([
                "activity_label": "Home and Garden",
                "ctx_a": "How to dig [title] Find a spade. [step] Any will do.",
                "ctx_b": "the OWNER",
                "endings": ["Take  it. [substeps] Now.", " Leave [unclosed it.", "Wait.", "Go."],
                "label": "2",
            ]), as: "hellaswag_1000.jsonl")
        let set = try TaskSet.choices(file: file)
        let request = try set.samples[0].choice()
        #expect(set.samples[0].task == "hellaswag")
        #expect(
            request.choices[0].context
                == "Home and Garden: How to dig. Find a spade. Any will do. The owner")
        #expect(
            request.choices.map(\.continuation) == [
                " Take it. Now.", " Leave [unclosed it.", " Wait.", " Go.",
            ])
        #expect(request.gold == 2)
        let short = try folder.write(
            try json(["activity_label": "X", "ctx": "He runs", "endings": ["a", "b"], "label": 0]))
        #expect(
            try TaskSet.choices(file: short).samples[0].choice().choices[1].context == "X: He runs")
    }

    @Test("PIQA: labels in the line, or in a file beside it by line number")
    func solutions() throws {
        let line = #"{"goal": "Open it", "sol1": "Pull.", "sol2": "Push."}"# + "\n"
        let file = try folder.write(line + "\n" + line, as: "valid.jsonl")
        _ = try folder.write("1\n0\n0\n", as: "valid-labels.lst")
        let set = try TaskSet.choices(file: file)
        #expect(set.samples.map(\.task) == ["piqa", "piqa"])
        #expect(set.samples.map(\.id) == ["1", "3"])
        #expect(try set.samples.map { try $0.choice().gold } == [1, 0])
        let request = try set.samples[0].choice()
        #expect(request.choices[0].context == "Question: Open it\nAnswer:")
        #expect(request.choices.map(\.continuation) == [" Pull.", " Push."])

        let alone = try folder.write(line, as: "piqa_dev.jsonl")
        #expect(try reason(line, name: "piqa_dev.jsonl").contains("piqa_dev-labels.lst"))
        let other = try folder.write("2\n", as: "labels")
        #expect(
            try taskError { () throws(TaskError) in try TaskSet.choices(file: alone, labels: other)
            }
                == .badLine(
                    path: alone, line: 1,
                    reason: "line 1 of \(other), its label, is not a number from 0 to 1"))
        let labelled = try folder.write(
            #"{"goal": "Open it", "sol1": "Pull.", "sol2": "Push.", "label": 1}"#, as: "piqa.jsonl")
        #expect(try TaskSet.choices(file: labelled).samples[0].choice().gold == 1)
    }

    @Test("Worked examples come from the head of the file, with their right answers")
    func shots() throws {
        let file = try folder.write(
            (1...3).map { #"{"query": "Q\#($0)", "choices": ["x", "y"], "gold": 1}"# + "\n" }
                .joined())
        let set = try TaskSet.choices(file: file, shots: 1, limit: 1)
        #expect(set.samples.map(\.id) == ["2"])
        #expect(try set.samples[0].choice().choices[0].context == "Q1\nAnswer: y\n\nQ2\nAnswer:")
        #expect(throws: TaskError.self) { try TaskSet.choices(file: file, shots: 3) }
        #expect(throws: TaskError.self) {
            try TaskSet.choices(file: file, shots: .max, limit: .max)
        }
        #expect(try TaskSet.choices(file: file, shots: 1, limit: .max).samples.count == 2)
    }

    @Test("What is wrong with a line is said in words")
    func faults() throws {
        #expect(
            try reason(#"{"query": "Q", "choices": ["a", "b"], "gold": 2}"#)
                == "1: the right choice is number 2, of 2 that count from 0")
        #expect(
            try reason(#"{"query": "Q", "choices": ["a"], "gold": 0}"#)
                == "1: the field 'choices' holds 1 choices, not two or more")
        #expect(
            try reason(#"{"query": "Q", "choices": ["a", " "], "gold": 0}"#)
                == "1: the field 'choices[1]' is empty")
        #expect(
            try reason(#"{"query": "Q", "choices": ["a", "b"]}"#)
                == "1: the field 'gold' is missing")
        #expect(
            try reason(#"{"query": "Q", "choices": ["a", "b"], "gold": "B"}"#)
                == "1: the field 'gold' is 'B', not a whole number")
        #expect(
            try reason(#"{"query": "", "choices": ["a", "b"], "gold": 0}"#)
                == "1: the field 'query' is empty")
        #expect(try reason(#"{"text": "Q"}"#).hasPrefix("1: it is no multiple-choice question"))
        #expect(
            try reason(
                #"{"query": "Q", "choices": ["a", "b"], "gold": 0}"# + "\n"
                    + #"{"context_options": ["a", "b"], "continuation": "c", "gold": 0}"#)
                == "2: its fields are not those of the lines before it")
    }

    @Test("Accuracy is of sums, the normalized one of sums per byte, the first of equals chosen")
    func scoring() {
        func scores(_ sums: [Double], _ lengths: [Int], _ gold: Int, _ main: String) -> [TaskScore]
        {
            ChoiceScoring.scores(
                logLikelihoods: sums, lengths: lengths, gold: gold, mainMetric: main)
        }
        // Per byte: -1 and -0.5.
        #expect(
            scores([-4, -5], [4, 10], 1, "accuracy-norm")
                == [TaskScore("accuracy-norm", 1), TaskScore("accuracy", 0)])
        #expect(
            scores([-4, -5], [4, 10], 0, "accuracy")
                == [TaskScore("accuracy", 1), TaskScore("accuracy-norm", 0)])
        #expect(scores([-2, -2], [2, 2], 0, "accuracy").map(\.value) == [1, 1])
        #expect(scores([.nan, -2], [2, 2], 0, "accuracy").map(\.value) == [0, 0])
        #expect(scores([-.infinity, -2], [2, 0], 1, "accuracy").map(\.value) == [1, 1])
        #expect(scores([], [], 0, "accuracy").map(\.value) == [0, 0])
    }
}
