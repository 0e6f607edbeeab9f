import Foundation
import Tasks
import Testing

private let data = ProcessInfo.processInfo.environment["INNERQ_TASK_DATA"] ?? ""

@Suite("Real files", .enabled(if: !data.isEmpty, "INNERQ_TASK_DATA names no folder of task files"))
struct RealFilesTests {
    @Test("Every line of GSM8K is usable, and its own answer is right")
    func gsm8k() throws {
        let set = try TaskSet.gsm8k(
            file: data + "/gsm8k/test.jsonl", shotsFile: data + "/gsm8k/train.head256.jsonl")
        #expect(set.samples.count == 1319)
        #expect(set.skipped.isEmpty)
        struct Line: Decodable { var answer: String }
        let lines = try TaskFile(path: data + "/gsm8k/test.jsonl").read(Line.self) {
            (line) throws(LineFault) in line.answer
        }
        for (sample, line) in zip(set.samples, lines.values) {
            #expect(try sample.scores(" " + line.value) == ["flexible": 1, "strict": 1])
        }
    }

    @Test("Every line of MATH-500 is usable, its solution is right, and no other answer is")
    func math500() throws {
        let path = data + "/math500/test.jsonl"
        let set = try TaskSet.math500(file: path)
        #expect(set.samples.count == 500)
        struct Line: Decodable {
            var answer: String
            var solution: String
        }
        let lines = try TaskFile(path: path).read(Line.self) { (line) throws(LineFault) in line }
        for (sample, line) in zip(set.samples, lines.values.map(\.value)) {
            #expect(try sample.scores(line.solution) == ["exact": 1])
            #expect(MathAnswer.equal(line.answer, line.answer))
        }
        // The only answers of different spelling that are the same, checked by eye and by math-verify.
        var merged = Set<String>()
        let answers = Set(lines.values.map(\.value.answer)).sorted()
        for (index, one) in answers.enumerated() {
            for other in answers[..<index] where MathAnswer.equal(one, other) {
                merged.insert("\(other) | \(one)")
            }
        }
        #expect(
            merged == [
                "-2,1 | 1,-2", "10,\\!080 | 10080", "120 | 120^\\circ", "15 | 15\\mbox{ cm}^2",
                "2 \\sqrt{5} | 2\\sqrt{5}", "30 | 30^\\circ", "36 | 36^\\circ", "36 | \\$36",
                "36^\\circ | \\$36", "5 | x=5", "90 | 90^\\circ", "\\frac14 | \\frac{1}{4}",
            ])
    }

    @Test("Every multiple-choice question is usable")
    func choices() throws {
        for (file, task, count) in [
            ("arc_challenge.fixed.jsonl", "arc-challenge", 1172),
            ("arc_easy.fixed.jsonl", "arc-easy", 2376),
            ("hellaswag_1000.jsonl", "hellaswag", 1000), ("winogrande.jsonl", "winogrande", 1267),
        ] {
            let set = try TaskSet.choices(file: data + "/mcq/" + file)
            #expect(set.samples.count == count)
            #expect(set.samples.allSatisfy { $0.task == task })
            #expect(
                try TaskSet.choices(file: data + "/mcq/" + file, shots: 5).samples.count == count
                    - 5)
        }
    }

    @Test("Every prompt of LongBench is usable, cut without loss, and its answers score")
    func longBench() throws {
        struct Line: Decodable {
            var prompt: String
            var answer: String

            enum Field: String, CodingKey { case prompt, gold, answers }

            init(from decoder: any Decoder) throws {
                let fields = try decoder.container(keyedBy: Field.self)
                prompt = try fields.decode(String.self, forKey: .prompt)
                let answers =
                    if let list = try? fields.decode([String].self, forKey: .gold) {
                        list
                    } else {
                        try fields.nestedContainer(keyedBy: Field.self, forKey: .gold)
                            .decode([String].self, forKey: .answers)
                    }
                answer = answers.last ?? ""
            }
        }
        let path = data + "/longbench_mini/minilongbench_en.jsonl"
        let set = try TaskSet.longBench(file: path)
        #expect(set.samples.count == 187)
        #expect(Set(set.samples.map(\.task)).count == 16)
        let lines = try TaskFile(path: path).read(Line.self) { (line) throws(LineFault) in line }
        var cut = 0
        for (sample, line) in zip(set.samples, lines.values.map(\.value)) {
            let request = try sample.generation()
            #expect((request.context + request.question).utf8.elementsEqual(line.prompt.utf8))
            #expect(request.question.utf8.count <= 600)
            #expect(sample.tags["tokens"] ?? 0 > 100)
            if !request.question.isEmpty { cut += 1 }
            // A line of code with a comment is passed over, as in the reference.
            if line.answer.contains("#") || line.answer.contains("//") { continue }
            let score = try request.judge(line.answer).first?.value ?? 0
            #expect(score > 0.999999, "\(sample.task) \(sample.id)")
        }
        #expect(cut >= 180)
    }
}
