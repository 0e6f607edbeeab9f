import Foundation
import Tasks
import Testing

extension InSandbox {
    @Suite struct CodeJudgeTests {
        static let humanEval = """
            {"task_id": "HumanEval/0", "prompt": "import math\\n\\ndef add(a, b):\\n    \\"\\"\\"Sum.\\"\\"\\"\\n", \
            "entry_point": "add", "canonical_solution": "    return a + b\\n", \
            "test": "def check(candidate):\\n    assert candidate(1, 2) == 3\\n    assert candidate(-1, 1) == 0\\n"}
            """

        static func mbpp(_ id: Int) -> String {
            """
            {"task_id": \(id), "text": "Write a function to add \(id).", \
            "code": "def add(a):\\r\\n  return a + \(id)", "test_setup_code": "ten = Ten()", \
            "test_list": ["assert add(1) == \(id + 1)", "assert add(ten.value) == \(id + 10)"], \
            "challenge_test_list": []}
            """
        }

        private func request(_ sample: TaskSample) throws -> GenerationRequest {
            guard case .generation(let request) = sample.request else {
                throw TaskError.unknownTask("not a generation")
            }
            return request
        }

        @Test(
            arguments: [
                ("    return a + b\n", 1.0),
                ("    return a - b\n", 0),
                ("    return int(math.fsum([a, b]))", 1),
                ("", 0),
                ("    exit(0)\n", 0),
                ("Sure!\n```python\ndef add(a, b):\n    return math.floor(a + b)\n```\nDone.", 1),
                ("```\ndef add(a, b):\n    return b + a\n```", 1),
                ("    return a + b\n```\nThis adds the numbers.", 1),
                ("```python\ndef add(a, b):\n    return 0\n```", 0),
                ("```\nno\n```\n```python\ndef add(a, b):\n    return a + b\n```", 1),
                ("```python\r\ndef add(a, b):\r\n    return a + b\r\n", 1),
            ])
        func `HumanEval runs the continuation, or the fenced function`(
            answer: String, score: Double
        ) throws {
            let box = try #require(Sandboxes.all.first)
            try withFile([Self.humanEval]) { path in
                let set = try TaskSet.humanEval(file: path, sandbox: box)
                let sample = try #require(set.samples.first)
                let request = try request(sample)
                #expect(sample.id == "HumanEval/0")
                #expect(
                    request.context + request.question
                        == "import math\n\ndef add(a, b):\n    \"\"\"Sum.\"\"\"\n")
                #expect(try request.judge(answer) == [TaskScore("pass", score)])
            }
        }

        @Test func `the instruction ends with the head of the function in an open fence`() throws {
            let box = try #require(Sandboxes.all.first)
            try withFile([Self.humanEval]) { path in
                let sample = try TaskSet.humanEval(
                    file: path, form: .instruction, sandbox: box
                ).samples[0]
                let request = try request(sample)
                let prompt = request.context + request.question
                #expect(
                    prompt.hasSuffix(
                        "```python\nimport math\n\ndef add(a, b):\n    \"\"\"Sum.\"\"\"\n"))
                #expect(try request.judge("    return a + b") == [TaskScore("pass", 1)])
            }
        }

        @Test func `HumanEval's bad lines are named`() throws {
            let box = try #require(Sandboxes.all.first)
            let broken = Self.humanEval.replacing("\"add\"", with: "\"add; x\"")
            let other = Self.humanEval.replacing("\"add\"", with: "\"sub\"")
            let untested = Self.humanEval.replacing("def check", with: "def test")
            try withFile([Self.humanEval, broken, other, untested, "{}"]) { path in
                let set = try TaskSet.humanEval(file: path, badLines: .skip, sandbox: box)
                #expect(set.samples.count == 1)
                #expect(set.skipped.count == 4)
                #expect(throws: TaskError.self) {
                    try TaskSet.humanEval(file: path, sandbox: box)
                }
            }
        }

        @Test func `MBPP shows numbers 2 to 4 and asks from 11 to 510`() throws {
            let box = try #require(Sandboxes.all.first)
            try withFile(([2, 3, 4, 10, 11, 12, 510, 511]).map(Self.mbpp)) { path in
                let set = try TaskSet.mbpp(file: path, sandbox: box)
                #expect(set.samples.map(\.id) == ["mbpp/11", "mbpp/12", "mbpp/510"])
                #expect(try TaskSet.mbpp(file: path, limit: 2, sandbox: box).samples.count == 2)
                let first = try request(set.samples[0])
                let shot = """
                    You are an expert Python programmer, and here is your task: Write a function to add 2. \
                    Your code should pass these tests:

                    assert add(1) == 3
                    assert add(ten.value) == 12
                    [BEGIN]
                    def add(a):
                      return a + 2
                    [DONE]


                    """
                #expect(first.context.hasPrefix(shot))
                #expect(first.context.components(separatedBy: "[DONE]").count == 4)
                #expect(first.question.hasPrefix("You are an expert Python programmer"))
                #expect(first.question.hasSuffix("assert add(ten.value) == 21\n[BEGIN]\n"))
                #expect(first.stops == ["[DONE]"])
                let right = "class Ten:\n  value = 10\ndef add(a):\r\n  return a + 11\n"
                #expect(try first.judge(right) == [TaskScore("pass", 1)])
                #expect(try first.judge("```python\n\(right)```") == [TaskScore("pass", 1)])
                #expect(try first.judge("def add(a):\n  return a + 11") == [TaskScore("pass", 0)])
                let bare = try TaskSet.mbpp(file: path, shots: 0, sandbox: box).samples[0]
                #expect(try request(bare).context == "")
            }
        }

        @Test func `MBPP without its worked examples says so`() throws {
            let box = try #require(Sandboxes.all.first)
            try withFile([Self.mbpp(2), Self.mbpp(11)]) { path in
                #expect {
                    try TaskSet.mbpp(file: path, sandbox: box)
                } throws: {
                    "\($0)".contains("task_id 3")
                }
                #expect(throws: TaskError.self) {
                    try TaskSet.mbpp(file: path, shots: 4, sandbox: box)
                }
            }
            try withFile([Self.mbpp(2), Self.mbpp(3), Self.mbpp(4)]) { path in
                #expect(throws: TaskError.noSamples(path: path)) {
                    try TaskSet.mbpp(file: path, sandbox: box)
                }
            }
        }
    }
}

@Suite struct CodePermissionTests {
    @Test(arguments: ["humaneval", "humaneval-instruct", "mbpp"])
    func `code is not run unless asked`(task: String) {
        #expect {
            try TaskCatalog.load(name: task, file: "/nowhere.jsonl")
        } throws: {
            "\($0)".contains("--run-code")
        }
    }
}

/// A file of these lines, for as long as `body` runs.
private func withFile(_ lines: [String], _ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory
        .appendingPathComponent("tasks-code-\(UUID().uuidString).jsonl").path
    try lines.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
}
