import Foundation
import Tasks
import Testing

@Suite("MATH-500")
struct MATH500Tests {
    private let lines = #"""
        {"problem": "What is $1+1$?", "answer": "2", "level": 3, "subject": "Algebra"}
        {"problem": "Half?", "answer": "\\frac{1}{2}"}

        """#

    @Test("The prompt is that of minerva_math, with worked examples that score themselves")
    func prompt() throws {
        let folder = try TestFolder()
        let set = try TaskSet.math500(file: try folder.write(lines), shots: 2)
        #expect(set.samples.map(\.tags) == [["level": 3], [:]])
        #expect(set.samples.map(\.task) == ["math500", "math500"])
        let context = try set.samples[0].generation().context
        #expect(context.hasPrefix("Problem:\nA rectangle"))
        #expect(context.hasSuffix("\n\nProblem:\nWhat is $1+1$?\n\nSolution:"))
        #expect(context.components(separatedBy: "Problem:").count == 4)
        #expect(try set.samples[0].generation().stops.first == "Problem:")
        #expect(try set.samples[1].scores("Thus $\\boxed{0.5}$") == ["exact": 1])
        #expect(try set.samples[1].scores("The final answer is $1/2$.") == ["exact": 1])
        #expect(try set.samples[1].scores("The final answer is $2$.") == ["exact": 0])
        #expect(try set.samples[1].scores("0.5") == ["exact": 0])
    }

    @Test("Each worked example gives its answer twice, and the same one")
    func examples() throws {
        let folder = try TestFolder()
        let set = try TaskSet.math500(file: try folder.write(lines), limit: 1)
        let blocks = try set.samples[0].generation().context.components(separatedBy: "Problem:\n")
        let solutions = blocks.dropFirst().dropLast()
        let answers = ["75", "\\frac{12}{5}", "\\frac{2}{15}", "-3, 3"]
        #expect(solutions.count == 4)
        for (solution, answer) in zip(solutions, answers) {
            let parts = solution.components(separatedBy: "Final Answer:")
            #expect(parts.count == 2)
            #expect(MathAnswer.extract(parts[0]) == answer)
            #expect(MathAnswer.extract(solution) == answer)
        }
    }

    @Test("Lines without a problem or an answer are named; examples are at most four")
    func faults() throws {
        let folder = try TestFolder()
        let file = try folder.write(#"{"problem": "x", "answer": ""}"#)
        #expect(
            try taskError { () throws(TaskError) in try TaskSet.math500(file: file) }
                == .badLine(path: file, line: 1, reason: "the field 'answer' is empty"))
        #expect(throws: TaskError.self) { try TaskSet.math500(file: file, shots: 5) }
        #expect(
            try taskError { () throws(TaskError) in try TaskSet.math500(file: file, badLines: .skip)
            }
                == .noSamples(path: file))
    }
}
