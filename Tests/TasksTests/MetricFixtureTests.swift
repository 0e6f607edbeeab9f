import Tasks
import Testing

@Suite("Metrics of texts")
struct MetricFixtureTests {
    private struct Pair: Decodable, Sendable {
        var prediction: String
        var truth: String
        var f1: Double
        var rougeL: Double
        var edit: Double
    }

    private func pairs() throws -> [Pair] {
        let file = TaskFile(path: try fixture("text_metrics.jsonl"))
        return try file.read(Pair.self) { (pair) throws(LineFault) in pair }.values.map(\.value)
    }

    @Test("F1, Rouge-L and edit similarity are those of the Python packages, to 1e-6")
    func referenceValues() throws {
        let pairs = try pairs()
        #expect(pairs.count >= 60)
        for pair in pairs {
            let of = Comment(rawValue: "\(pair.prediction.prefix(60)) | \(pair.truth.prefix(60))")
            let f1 = TokenF1.score(pair.prediction, pair.truth)
            let rouge = RougeL.score(pair.prediction, pair.truth)
            let edit = EditSimilarity.score(pair.prediction, pair.truth)
            #expect(abs(f1 - pair.f1) < 1e-6, of)
            #expect(abs(rouge - pair.rougeL) < 1e-6, of)
            #expect(abs(edit - pair.edit) < 1e-6, of)
        }
    }

    @Test("F1 counts each word as often as both texts hold it")
    func tokenF1() {
        // Two of three words on one side, two of two on the other: 2 · (2/3) · 1 / (2/3 + 1).
        #expect(abs(TokenF1.score("The red, red barn", "a red barn") - 0.8) < 1e-12)
        #expect(TokenF1.score("", "") == 0)
    }

    @Test("A classification scores one over the classes that are named")
    func classification() {
        let classes = ["Date", "Individual", "Group or organization", "Group"]
        func score(_ answer: String, _ truth: String) -> Double {
            AnswerMatches.classification(answer, truth, classes: classes)
        }
        #expect(score("Individual", "Individual") == 1)
        #expect(score("Individual or Date", "Individual") == 0.5)
        #expect(score("Date", "Individual") == 0)
        #expect(score("individual", "Individual") == 0)
        // The class 'Group' is part of the right one's name.
        #expect(score("Group or organization", "Group or organization") == 1)
        #expect(score("Group or organization", "Group") == 0.5)
        // The reference walks over the list that it shortens: of two parts in a row, the second stays.
        #expect(
            AnswerMatches.classification("a b c", "a b c", classes: ["a", "b", "a b c"]) == 0.5)
    }

    @Test("Counts and paragraphs score the part of the numbers that is right")
    func numbers() {
        #expect(AnswerMatches.count("There are 7.", "7") == 1)
        #expect(AnswerMatches.count("7 of 12", "7") == 0.5)
        #expect(AnswerMatches.count("seven", "7") == 0)
        #expect(AnswerMatches.count("07", "7") == 0)
        #expect(AnswerMatches.retrieval("Paragraph 19", "Paragraph 19") == 1)
        #expect(AnswerMatches.retrieval("19, or 2, or 19", "Paragraph 19") == 2.0 / 3)
        #expect(AnswerMatches.retrieval("Paragraph 1", "Paragraph 19") == 0)
        #expect(AnswerMatches.retrieval("19", "19") == 0)
    }

    @Test("Code is compared by its first line that is no comment or fence")
    func code() {
        let line = "    return x"
        #expect(EditSimilarity.scoreOfCode("\n\n" + line + "\nrest", line) == 1)
        #expect(EditSimilarity.scoreOfCode("```python\n# note\n// note\n" + line, line) == 1)
        #expect(EditSimilarity.scoreOfCode("# only a comment", line) == 0)
        #expect(EditSimilarity.scoreOfCode("abcd", "bcda") == 0.75)
    }

    @Test(
        "No metric hangs on 20000 characters", .timeLimit(.minutes(1)),
        arguments: ["a ", "ab.c d\n", "x", "Paragraph 7 ", "varied"])
    func longTexts(part: String) {
        var text = String(repeating: part, count: 20_000 / part.utf8.count)
        if part == "varied" {
            text = (0..<4000).map { "\($0 * $0 % 997) " }.joined()
        }
        let other = String(text.reversed())
        let classes = ["a", "b"]
        for score in [
            TokenF1.score(text, text), RougeL.score(text, other),
            EditSimilarity.score(text, other + "y"),
            EditSimilarity.scoreOfCode(text, String(text.prefix(180))),
            AnswerMatches.count(text, "7"), AnswerMatches.retrieval(text, "Paragraph 7"),
            AnswerMatches.classification(text, "a", classes: classes),
        ] {
            #expect((0...1).contains(score))
        }
        #expect(!MathAnswer.equal(text, other + "y"))
        _ = MathAnswer.extract(text + "\\boxed{" + other)
        #expect(GradeSchoolAnswer.strict(text) == nil)
    }
}
