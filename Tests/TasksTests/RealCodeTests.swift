import Foundation
import Tasks
import Testing

/// Every published solution passes its own tests in the sandbox: what fails there fails for the model's sake.
extension InSandbox {
    @Suite struct RealCodeTests {
        @Test(.enabled(if: TaskData.has("code/HumanEval.jsonl.gz")))
        func `all 164 solutions of HumanEval pass, and their absence fails`() async throws {
            let box = try #require(Sandboxes.any)
            let path = TaskData.path("code/HumanEval.jsonl.gz")
            let samples = try TaskSet.humanEval(file: path, sandbox: box).samples
            let problems = try TaskFile(path: path).read(HumanEvalProblem.self) {
                (problem: HumanEvalProblem) throws(LineFault) in problem
            }.values.map(\.value)
            #expect(samples.count == 164)
            let failed = try await failures(samples) { index in
                problems[index].solution ?? ""
            }
            #expect(failed == [])
            let empty = try await failures(Array(samples.prefix(20))) { _ in "    pass\n" }
            #expect(empty.count == 20)
        }

        @Test(.enabled(if: TaskData.has("code/mbpp.jsonl")))
        func `all 500 solutions of MBPP's test split pass, and their absence fails`() async throws {
            let box = try #require(Sandboxes.any)
            let path = TaskData.path("code/mbpp.jsonl")
            let samples = try TaskSet.mbpp(file: path, sandbox: box).samples
            let problems = try TaskFile(path: path).read(MBPPProblem.self) {
                (problem: MBPPProblem) throws(LineFault) in problem
            }.values.map(\.value)
            let code = Dictionary(
                uniqueKeysWithValues: problems.map { ("mbpp/\($0.number)", $0.code) })
            #expect(samples.count == 500)
            #expect(samples.first?.id == "mbpp/11" && samples.last?.id == "mbpp/510")
            let failed = try await failures(samples) { index in code[samples[index].id] ?? "" }
            #expect(failed == [])
            let empty = try await failures(Array(samples.prefix(20))) { _ in "x = 1\n" }
            #expect(empty.count == 20)
        }

        /// The samples that do not score 1 with these answers.
        private func failures(
            _ samples: [TaskSample], answer: @escaping @Sendable (Int) -> String
        ) async throws -> [String] {
            try await withThrowingTaskGroup(of: String?.self) { group in
                var next = 0
                var failed: [String] = []
                func add() {
                    guard next < samples.count else { return }
                    let (index, sample) = (next, samples[next])
                    next += 1
                    group.addTask {
                        guard case .generation(let request) = sample.request else {
                            return sample.id
                        }
                        let scores = try request.judge(answer(index))
                        return scores == [TaskScore("pass", 1)] ? nil : sample.id
                    }
                }
                for _ in 0..<2 { add() }
                while let id = try await group.next() {
                    if let id { failed.append(id) }
                    add()
                }
                return failed.sorted()
            }
        }
    }
}
