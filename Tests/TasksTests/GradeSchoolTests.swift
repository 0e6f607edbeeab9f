import Tasks
import Testing

@Suite("GSM8K")
struct GradeSchoolTests {
    @Test(
        "The last number is found as by lm-eval's regular expression",
        arguments: [
            ("He has 5 apples and 12 pears.", "12"), ("It costs $1,250.50.", "$1,250.50."),
            ("7", "7"), ("minus -3", "-3"), ("a-b 4 - x", "4"), ("Wait... 8", "8"),
            ("8 then ...", "..."),
            ("x=-$5", "-$5"), ("5, so", "5,"), ("--7", "-7"), ("answer: 1.", "1."), ("3-2", "-2"),
            ("$ 6", "6"), ("#### 42\n", "42"), ("٣ 1", "1"),
        ])
    func flexible(answer: String, number: String) {
        #expect(GradeSchoolAnswer.flexible(answer) == number)
    }

    @Test("Nothing like a number is no answer")
    func noNumber() {
        for answer in ["", "none", "-", "$", ".", ", - ,"] {
            #expect(GradeSchoolAnswer.flexible(answer) == nil)
            #expect(GradeSchoolAnswer.strict(answer) == nil)
        }
    }

    @Test(
        "The strict number is the first after the mark",
        arguments: [
            ("so\n#### 18", "18"), ("#### 1,000. #### 2", "1,000."), ("#### -7 apples", "-7"),
            ("#### x #### 9", "9"),
        ])
    func strict(answer: String, number: String) {
        #expect(GradeSchoolAnswer.strict(answer) == number)
    }

    @Test("The mark needs its space, and no dollar after it")
    func strictIsStrict() {
        #expect(GradeSchoolAnswer.strict("####18") == nil)
        #expect(GradeSchoolAnswer.strict("#### $18") == nil)
        #expect(GradeSchoolAnswer.strict("### 18") == nil)
    }

    @Test("Numbers are compared without commas, dollars, reasoning and a last period")
    func equality() {
        #expect(GradeSchoolAnswer.equal("$1,250.", "so 1 and 2\n#### 1250"))
        #expect(GradeSchoolAnswer.equal("18.", "#### 18"))
        #expect(GradeSchoolAnswer.equal("18.\n", "#### 18\n"))
        // As in lm-eval, by their text.
        #expect(!GradeSchoolAnswer.equal("18.0", "#### 18"))
        #expect(!GradeSchoolAnswer.equal("18..", "#### 18"))
        #expect(!GradeSchoolAnswer.equal("-18", "#### 18"))
    }

    private let test = #"""
        {"question": "One and one?", "answer": "1+1=<<1+1=2>>2\n#### 2"}
        {"question": "Ten tens?", "answer": "A #### 100"}
        {"question": "A thousand and one?", "answer": "A #### 1,001"}

        """#

    @Test("The prompt is lm-eval's, and the scores flexible and strict")
    func prompt() throws {
        let folder = try TestFolder()
        let file = try folder.write(test)
        let shots = try folder.write(
            #"{"question":"Q1","answer":"A1\n#### 1"}"# + "\n"
                + #"{"question":"Q2","answer":"A2 #### 2"}"#,
            as: "shots.jsonl")
        let set = try TaskSet.gsm8k(file: file, shotsFile: shots, shots: 2, limit: 2)
        #expect(set.samples.map(\.id) == ["1", "2"])
        #expect(set.samples.map(\.task) == ["gsm8k", "gsm8k"])
        let request = try set.samples[0].generation()
        #expect(
            request.context
                == "Question: Q1\nAnswer: A1\n#### 1\n\nQuestion: Q2\nAnswer: A2 #### 2\n\n"
                + "Question: One and one?\nAnswer:")
        #expect(request.question.isEmpty)
        #expect(request.maxTokens == 256)
        #expect(request.stops == ["\n\nQuestion:", "Question:", "</s>", "<|im_end|>"])
        #expect(try request.judge(" It is 2.\n#### 2").map(\.metric) == ["flexible", "strict"])
        #expect(try set.samples[0].scores(" It is 2.\n#### 2") == ["flexible": 1, "strict": 1])
        #expect(try set.samples[0].scores(" The answer is 2.") == ["flexible": 1, "strict": 0])
        #expect(try set.samples[0].scores("#### 2\nor 3") == ["flexible": 0, "strict": 1])
        #expect(try set.samples[0].scores("") == ["flexible": 0, "strict": 0])
    }

    @Test("Without a file of worked examples they come from the head, which is not asked")
    func ownShots() throws {
        let folder = try TestFolder()
        let file = try folder.write(test)
        let set = try TaskSet.gsm8k(file: file, shots: 1, limit: 1)
        #expect(set.samples.map(\.id) == ["2"])
        #expect(
            try set.samples[0].generation().context
                == "Question: One and one?\nAnswer: 1+1=<<1+1=2>>2\n#### 2\n\nQuestion: Ten tens?\nAnswer:"
        )
        #expect(try set.samples[0].scores("$100.") == ["flexible": 1, "strict": 0])
        #expect(throws: TaskError.self) { try TaskSet.gsm8k(file: file, shots: 3) }
        #expect(throws: TaskError.self) { try TaskSet.gsm8k(file: file, shots: -1) }
        #expect(throws: TaskError.self) { try TaskSet.gsm8k(file: file, shots: 0, limit: 0) }
        #expect(throws: TaskError.self) { try TaskSet.gsm8k(file: file, shotsFile: file, shots: 4) }
    }

    @Test("Lines without a question or a final number are named, or left out")
    func badLines() throws {
        let folder = try TestFolder()
        let bad =
            #"{"question":" ","answer":"A #### 1"}"# + "\n" + #"{"question":"Q","answer":"1"}"#
            + "\n"
        let file = try folder.write(bad + test)
        #expect(
            try taskError { () throws(TaskError) in try TaskSet.gsm8k(file: file, shots: 0) }
                == .badLine(path: file, line: 1, reason: "the field 'question' is empty"))
        let set = try TaskSet.gsm8k(file: file, shots: 0, badLines: .skip)
        #expect(set.samples.map(\.id) == ["3", "4", "5"])
        #expect(set.skipped.count == 2)
        let empty = try folder.write(bad, as: "bad.jsonl")
        #expect(
            try taskError { () throws(TaskError) in
                try TaskSet.gsm8k(file: empty, shots: 0, badLines: .skip)
            } == .noSamples(path: empty))
    }
}
