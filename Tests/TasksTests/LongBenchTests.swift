import Tasks
import Testing

@Suite("LongBench")
struct LongBenchTests {
    private let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func sample(_ object: [String: Any]) throws -> TaskSample {
        let file = try folder.write(try json(object))
        return try #require(try TaskSet.longBench(file: file).samples.first)
    }

    private func score(_ task: String, gold: Any, _ answer: String) throws -> [String: Double] {
        try sample(["task": task, "prompt": "p", "gold": gold]).scores(answer)
    }

    @Test("Each task is scored by its own metric, the best over the answers")
    func metrics() throws {
        #expect(try score("hotpotqa", gold: ["no", "The Beatles"], "beatles") == ["f1": 1])
        #expect(try score("qasper", gold: ["red barn"], "barn") == ["f1": 2.0 / 3])
        #expect(try score("passage_count", gold: ["7"], "7 or 8") == ["count": 0.5])
        #expect(
            try score("passage_retrieval_en", gold: ["Paragraph 3"], "Paragraph 3") == [
                "retrieval": 1
            ])
        #expect(
            try score("lcc", gold: ["    x = 1"], "# set\n    x = 1\n") == ["edit-similarity": 1])
        #expect(try score("repobench-p", gold: ["abcd"], "bcda") == ["edit-similarity": 0.75])
        let rouge = try score("gov_report", gold: ["a b c"], "a b c")
        #expect(abs((rouge["rouge-l"] ?? 0) - 1) < 1e-6)
        let trec: [String: Any] = ["answers": ["Date"], "all_classes": ["Date", "City"]]
        #expect(try score("trec", gold: trec, "\nDate\nCity") == ["classification": 1])
        #expect(try score("trec", gold: trec, "Date City") == ["classification": 0.5])
    }

    @Test("Only the first line counts where LongBench cuts there")
    func firstLines() throws {
        #expect(try score("triviaqa", gold: ["Paris"], "\n\nParis\nQuestion: more") == ["f1": 1])
        let summary = try score("samsum", gold: ["he left"], "he left\nDialogue: x y z")["rouge-l"]
        #expect(abs((summary ?? 0) - 1) < 1e-6)
        #expect(try score("narrativeqa", gold: ["Paris"], "Paris\nLondon") == ["f1": 2.0 / 3])
    }

    @Test("Answers are read from lists, objects, and text printed by JSON or Python")
    func goldForms() throws {
        for gold in [
            ["Bob's", "x"] as Any, "[\"Bob's\", \"x\"]", "[\"Bob's\", 'x']",
            "(nothing) or Bob's" as Any,
        ] {
            let scores = try score("hotpotqa", gold: gold, "bobs")
            #expect(scores == (("\(gold)".hasPrefix("(")) ? ["f1": 0.5] : ["f1": 1]), "\(gold)")
        }
        let printed =
            "{'all_classes': ['Date', 'Caf\\u00e9 \\'X\\''], 'answers': ['Caf\\u00e9 \\'X\\'',]}"
        #expect(try score("trec", gold: printed, "Café 'X'") == ["classification": 1])
        #expect(try score("passage_count", gold: [46], "46") == ["count": 1])
        #expect(try score("passage_count", gold: "[46]", "46") == ["count": 1])
        // Code that only looks like a list is the answer itself.
        #expect(
            try score("lcc", gold: "[x for x in y]", "[x for x in y]") == ["edit-similarity": 1])
        #expect(
            try score("qasper", gold: "{'answers': ['yes'], 'all_classes': None}", "yes") == [
                "f1": 1
            ])
    }

    @Test(
        "The question is cut from the end, and both parts are the prompt",
        arguments: [
            (
                "hotpotqa", "Text.\n\nQuestion: a?\nText.\n\nQuestion: b?\nAnswer:",
                "Question: b?\nAnswer:"
            ),
            ("qmsum", "Talk\n\nQuery: é?\nAnswer:", "Query: é?\nAnswer:"),
            (
                "gov_report", "R\r\nNow, write a summary.\n\nSummary:",
                "Now, write a summary.\n\nSummary:"
            ),
            ("samsum", "Dialogue: a\nDialogue: b\nSummary: ", "Dialogue: b\nSummary: "),
            ("lcc", "x = 1\nNext line of code:\n", "Next line of code:\n"),
            ("hotpotqa", "Text.\n\nWhat is it?", "What is it?"), ("hotpotqa", "One line", ""),
            ("hotpotqa", "Question: all of it", ""),
            ("hotpotqa", "A\n\nQuestion: " + String(repeating: "long ", count: 130), ""),
        ])
    func split(task: String, prompt: String, question: String) throws {
        let request = try sample(["task": task, "prompt": prompt, "gold": ["Paragraph 1"]])
            .generation()
        #expect(request.question.utf8.elementsEqual(question.utf8))
        #expect((request.context + request.question).utf8.elementsEqual(prompt.utf8))
    }

    @Test("Names, lengths of answers, tags and filters")
    func selection() throws {
        let file = try folder.write(
            try json([
                "task": "multifieldqa_en", "prompt": "12345678", "gold": ["a"],
                "smollm2_tokens": 40,
            ])
                + json(["task": "2wikimqa", "prompt": "p", "gold": ["a"], "smollm2_tokens": 10])
                + json(["task": "gov_report", "prompt": "1234567890123456", "gold": ["a"]]))
        let all = try TaskSet.longBench(file: file)
        #expect(
            all.samples.map(\.task)
                == ["longbench-multifieldqa", "longbench-2wikimqa", "longbench-gov-report"])
        #expect(try all.samples.map { try $0.generation().maxTokens } == [64, 32, 512])
        #expect(all.samples.map(\.tags) == [["tokens": 40], ["tokens": 10], [:]])
        func ids(
            _ tasks: [String]? = nil, limit: Int? = nil, longest: Int? = nil,
            count: (@Sendable (String) -> Int)? = nil
        ) throws -> [String] {
            try TaskSet.longBench(
                file: file, tasks: tasks, limit: limit, longestPrompt: longest, countTokens: count
            ).samples.map(\.id)
        }
        #expect(try ids(["gov-report", "longbench-2wikimqa"]) == ["2", "3"])
        #expect(try ids(["gov_report", "2wikimqa"], limit: 1) == ["2"])
        #expect(try ids(["multifieldqa"]) == ["1"])
        #expect(try ids(longest: 10) == ["2", "3"])
        #expect(try ids(longest: 8) { $0.utf8.count } == ["1", "2"])
        #expect(
            try TaskSet.longBench(file: file, maxTokens: 5).samples.map {
                try $0.generation().maxTokens
            }
                == [5, 5, 5])
        #expect(throws: TaskError.self) { try ids(["squad"]) }
        #expect(throws: TaskError.self) { try ids(["lcc"]) }
    }

    @Test("What is wrong with a line is said in words")
    func faults() throws {
        func reason(_ object: [String: Any]) throws -> String {
            let file = try folder.write(try json(object))
            let error = try taskError { () throws(TaskError) in try TaskSet.longBench(file: file) }
            guard case .badLine(_, 1, let reason) = error else { return "\(error)" }
            return reason
        }
        #expect(try reason(["prompt": "p", "gold": ["a"]]) == "the field 'task' is missing")
        #expect(
            try reason(["task": "squad", "prompt": "p", "gold": ["a"]]).contains(
                "is 'squad', which is none"))
        #expect(
            try reason(["task": "qasper", "prompt": "", "gold": ["a"]])
                == "the field 'prompt' is empty")
        #expect(
            try reason(["task": "qasper", "prompt": "p", "gold": [String]()])
                == "the field 'gold' holds no answer")
        #expect(
            try reason(["task": "qasper", "prompt": "p", "gold": 7])
                == "the field 'gold' is not an object")
        #expect(
            try reason(["task": "trec", "prompt": "p", "gold": ["Date"]]).contains(
                "gold.all_classes"))
        #expect(
            try reason(["task": "passage_retrieval_en", "prompt": "p", "gold": ["7"]]).contains(
                "'Paragraph 7'"))
    }
}
