import Foundation
import Tasks
import Testing

@Suite struct RulerTests {
    private func make(
        _ task: RulerTask, _ length: Int = 2048, samples: Int = 2, seed: UInt64 = 0,
        counting: Counting = .words
    ) throws -> [TaskSample] {
        try TaskSet.ruler(
            task, lengths: [length], samples: samples, seed: seed, countTokens: counting.count
        ).samples
    }

    @Test(arguments: RulerTask.allCases, Counting.all)
    func `prompt and answer fill the length, to a line of filler`(
        task: RulerTask, counting: Counting
    ) throws {
        for length in [2048, 4096, 16384] {
            for sample in try make(task, length, counting: counting) {
                let request = try sample.generation()
                let tokens = counting.count(request.context + request.question)
                #expect(request.maxTokens == task.answerTokens)
                #expect(tokens + request.maxTokens <= length)
                // The longest units are lines of two UUIDs, about 80 pieces.
                #expect(tokens + request.maxTokens > length - 100)
                #expect(sample.tags["length"] == Double(length))
                #expect(sample.task == "ruler-\(task.rawValue)")
            }
        }
    }

    @Test func `long prompts are made with few counts`() throws {
        let calls = Counter()
        for task in RulerTask.allCases {
            let samples = try TaskSet.ruler(task, lengths: [65_536], samples: 2) {
                calls.value += 1
                return Counting.words.count($0)
            }.samples
            #expect(try Counting.words.count(samples[1].prompt) > 65_000)
        }
        #expect(calls.value <= RulerTask.allCases.count * 9)
    }

    @Test(arguments: RulerTask.allCases)
    func `a seed gives one text, another seed another`(task: RulerTask) throws {
        let first = try make(task, samples: 3, seed: 7).map { try $0.prompt }
        #expect(try make(task, samples: 3, seed: 7).map { try $0.prompt } == first)
        let second = try make(task, samples: 3, seed: 8).map { try $0.prompt }
        #expect(Set(first + second).count == 6)
        // More samples leave the first ones as they are.
        #expect(try make(task, samples: 4, seed: 7).prefix(3).map { try $0.prompt } == first)
    }

    @Test(arguments: RulerTask.allCases)
    func `the right answer scores 1, half of it a half, none 0`(task: RulerTask) throws {
        for sample in try make(task, samples: 4) {
            let request = try sample.generation()
            let answer = try Oracle.answer(to: sample)
            #expect(answer.count == Oracle.count[task])
            func score(_ text: String) throws -> [TaskScore] { try request.judge(text) }
            let all = answer.joined(separator: ", ")
            #expect(try score(" " + all + ".") == [TaskScore("string-match-all", 1)])
            #expect(try score(all.uppercased()) == [TaskScore("string-match-all", 1)])
            #expect(try score(" I do not know: 0") == [TaskScore("string-match-all", 0)])
            let half = answer.prefix(answer.count / 2)
            let share = Double(half.count) / Double(answer.count)
            #expect(
                try score(half.joined(separator: " ")) == [TaskScore("string-match-all", share)])
        }
    }

    @Test(arguments: RulerTask.allCases.filter { $0.rawValue.hasPrefix("niah") })
    func `each value stands once, each key as often as it should, and no line twice`(
        task: RulerTask
    ) throws {
        for sample in try make(task, 4096, samples: 3) {
            let request = try sample.generation()
            let needles = Oracle.needles(in: request.context)
            #expect(Set(needles.map(\.value)).count == needles.count)
            for value in try Oracle.answer(to: sample) {
                #expect(request.context.components(separatedBy: value).count == 2)
                #expect(!request.question.contains(value))
            }
            let perKey = Dictionary(grouping: needles, by: \.key).mapValues(\.count)
            switch task {
            case .niahSingle1, .niahSingle2, .niahSingle3: #expect(perKey.count == 1)
            case .niahMultikey1, .niahMultiquery:
                #expect(perKey.count == 4 && perKey.values.allSatisfy { $0 == 1 })
            case .niahMultivalue: #expect(Array(perKey.values) == [4])
            default:
                #expect(perKey.count > 40 && perKey.values.allSatisfy { $0 == 1 })
                // Nothing but needles, after the introduction.
                #expect(request.context.split(separator: "\n").count == needles.count + 1)
            }
        }
    }

    @Test func `keys and values are words, numbers or UUIDs`() throws {
        func needle(_ task: RulerTask) throws -> (key: String, value: String) {
            try #require(Oracle.needles(in: make(task)[0].generation().context).first)
        }
        let uuid = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/
        let word = /[a-z]+-[a-z]+/
        let number = /[1-9][0-9]{6}/
        let first = try needle(.niahSingle1)
        #expect(first.key.wholeMatch(of: word) != nil)
        #expect(first.value.wholeMatch(of: number) != nil)
        let third = try needle(.niahSingle3)
        #expect(third.key.wholeMatch(of: word) != nil)
        #expect(third.value.wholeMatch(of: uuid) != nil)
        let last = try needle(.niahMultikey3)
        #expect(last.key.wholeMatch(of: uuid) != nil)
        #expect(last.value.wholeMatch(of: uuid) != nil)
    }

    @Test(arguments: [RulerTask.niahSingle1, .niahSingle2, .niahMultikey2])
    func `needles of a few samples are spread over all depths`(task: RulerTask) throws {
        let samples = try make(task, samples: 12)
        let depths = try samples.map { try #require($0.tags["depth"]) }.sorted()
        // Multiples of the golden ratio: no gap is wider than some two shares of twelve.
        let gaps = zip(depths, depths.dropFirst()).map { $1 - $0 }
        #expect(gaps.allSatisfy { $0 < 20 })
        #expect(depths[0] < 20 && depths[11] > 80)
        for sample in samples {
            let context = try sample.generation().context
            let value = try Oracle.answer(to: sample)[0]
            let before = context.components(separatedBy: value)[0].utf8.count
            let place = Double(before) / Double(context.utf8.count) * 100
            #expect(abs(place - sample.tags["depth"]!) < 6)
        }
    }

    @Test(arguments: [RulerTask.niahMultivalue, .niahMultiquery])
    func `several needles stand apart`(task: RulerTask) throws {
        for sample in try make(task, 8192, samples: 4) {
            let context = try sample.generation().context
            let places = try Oracle.answer(to: sample).map {
                Double(context.components(separatedBy: $0)[0].utf8.count)
                    / Double(context.utf8.count)
            }.sorted()
            #expect(places[3] - places[0] > 0.4)
        }
    }

    @Test func `a chain of variables is in order, among two others`() throws {
        for sample in try make(.vt, 4096, samples: 6) {
            let request = try sample.generation()
            let answer = try Oracle.answer(to: sample)
            #expect(Set(answer).count == 5)
            // The example, the chain and two others: five assignments each.
            let assignments = request.context.split(separator: "\n").filter {
                $0.hasPrefix("VAR ")
            }
            #expect(assignments.count == 20)
            for (index, name) in answer.enumerated() {
                let mentions = request.context.components(separatedBy: name).count - 1
                #expect(mentions == (index == 4 ? 1 : 2))
                #expect(!request.question.contains(name))
            }
            #expect(request.context.contains("they are: "))
            #expect(request.question.hasSuffix("they are:"))
        }
    }

    @Test(arguments: [2048, 16384])
    func `ten words are common, and all others seldom`(length: Int) throws {
        for sample in try make(.cwe, length, samples: 3) {
            let request = try sample.generation()
            let list = try #require(request.context.components(separatedBy: "\n\n").last)
            let counts = Oracle.wordCounts(in: list)
            let common = Set(try Oracle.answer(to: sample))
            let (often, seldom) = length < 4096 ? (6, 1) : (30, 3)
            for (word, count) in counts {
                #expect(count == (common.contains(word) ? often : seldom), "\(word)")
                // An answer is searched for the words: none may hide in another.
                #expect(!common.contains { $0 != word && word.contains($0) }, "\(word)")
            }
            #expect(counts.count > 100)
            #expect(request.context.contains("often in the list are: 1. "))
        }
    }

    @Test func `coded words fall in frequency as the square of their rank`() throws {
        for sample in try make(.fwe, 8192, samples: 3) {
            let context = try sample.generation().context
            let words = context.components(separatedBy: "coded words. ")[1].split(separator: " ")
            let counts = Dictionary(grouping: words, by: \.self).mapValues(\.count)
            let sorted = counts.values.sorted(by: >)
            #expect(counts["...."] == sorted[0])
            for rank in 2...6 {
                let share = Double(sorted[rank - 1]) / Double(sorted[0])
                #expect(abs(share * Double(rank * rank) - 1) < 0.05)
            }
            #expect(sorted[3] > sorted[4])
        }
    }

    @Test func `a length that is too short is refused`() {
        for task in RulerTask.allCases {
            for length in [-1, 0, 140] {
                #expect {
                    try TaskSet.ruler(task, lengths: [length], countTokens: Counting.words.count)
                } throws: {
                    "\($0)".contains(task.name)
                }
            }
        }
        #expect(throws: TaskError.self) {
            try TaskSet.ruler(.fwe, lengths: [.max], countTokens: Counting.words.count)
        }
        #expect(throws: TaskError.self) {
            try TaskSet.ruler(.vt, lengths: [], countTokens: Counting.words.count)
        }
        #expect(throws: TaskError.self) {
            try TaskSet.ruler(
                .vt, lengths: [2048], answerTokens: 0, countTokens: Counting.words.count)
        }
    }

    @Test func `a counter that always says the same ends`() throws {
        for task in [RulerTask.niahSingle1, .cwe, .fwe] {
            _ = try? TaskSet.ruler(task, lengths: [200]) { _ in 40 }
        }
        #expect(throws: TaskError.self) {
            try TaskSet.ruler(.vt, lengths: [200]) { _ in 1000 }
        }
    }
}

@Suite struct RulerCatalogTests {
    private func load(_ subtasks: [String], file: String? = nil) throws -> [TaskSample] {
        let options = TaskOptions(
            subtasks: subtasks, lengths: [1024], countTokens: Counting.words.count)
        return try TaskCatalog.load(name: "ruler", file: file, options: options).samples
    }

    @Test func `parts are chosen by their names or the beginnings of them`() throws {
        #expect(try load([]).map(\.task) == RulerTask.allCases.map(\.name))
        #expect(try load(["vt", "ruler-cwe"]).map(\.task) == ["ruler-vt", "ruler-cwe"])
        #expect(try load(["niah-multikey"]).count == 3)
        #expect(try load(["niah"]).count == 8)
        #expect {
            try load(["niah-triple"])
        } throws: {
            "\($0)".contains("niah-triple") && "\($0)".contains("niah-single-1")
        }
    }

    @Test func `a text file becomes the prose, from another sentence for each sample`() throws {
        let folder = FileManager.default.temporaryDirectory
        let path = folder.appendingPathComponent("essay-\(UUID().uuidString).txt").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let text = "It was so.\nIs it  still? Yes!\n\nA heading\n\nNumber 12345678 stands\nhere. "
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        let context = try load(["niah-single-2"], file: path)[0].generation().context
        let lines = context.replacing("\n", with: " ")
        #expect(
            lines.contains("It was so. Is it still? Yes! A heading Number 12345678 stands here. It")
        )
        let samples = try TaskSet.ruler(
            .niahSingle2, lengths: [1024], samples: 8, essay: RulerEssay(file: path),
            countTokens: Counting.words.count
        ).samples
        #expect(
            try Set(samples.map { try $0.generation().context.split(separator: "\n")[1] }).count > 2
        )

        try " \n\n ".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(throws: TaskError.self) { try RulerEssay(file: path) }
        try Data([0xFF, 0xFE, 0x00]).write(to: URL(fileURLWithPath: path))
        #expect(throws: TaskError.self) { try RulerEssay(file: path) }
        #expect(throws: TaskError.self) { try RulerEssay(file: path + ".none") }
    }

    @Test(.enabled(if: TaskData.has("books/moby_dick.pd.txt")))
    func `a novel is a haystack`() throws {
        let essay = try RulerEssay(file: TaskData.path("books/moby_dick.pd.txt"))
        for task in [RulerTask.niahSingle2, .niahMultikey1, .niahMultivalue, .niahMultiquery] {
            let samples = try TaskSet.ruler(
                task, lengths: [32768], samples: 2, essay: essay, countTokens: Counting.pieces.count
            ).samples
            for sample in samples {
                let tokens = Counting.pieces.count(try sample.prompt)
                #expect(tokens + 128 <= 32768)
                #expect(tokens > 32000)
                let answer = try Oracle.answer(to: sample)
                #expect(try sample.generation().judge(answer.joined(separator: " "))[0].value == 1)
            }
        }
    }
}

/// Solves the tasks by reading the prompt, knowing nothing of how it was made.
private enum Oracle {
    static let count: [RulerTask: Int] = [
        .niahSingle1: 1, .niahSingle2: 1, .niahSingle3: 1, .niahMultikey1: 1, .niahMultikey2: 1,
        .niahMultikey3: 1, .niahMultivalue: 4, .niahMultiquery: 4, .vt: 5, .cwe: 10, .fwe: 3,
    ]

    static func needles(in context: String) -> [(key: String, value: String)] {
        context.matches(of: /One of the special magic (?:numbers|uuids) for (\S+) is: (\S+)\./)
            .map { (String($0.1), String($0.2)) }
    }

    static func wordCounts(in list: String) -> [String: Int] {
        list.matches(of: /[0-9]+\. ([a-z]+)/).reduce(into: [:]) {
            $0[String($1.1), default: 0] += 1
        }
    }

    static func answer(to sample: TaskSample) throws -> [String] {
        let request = try sample.generation()
        switch sample.task {
        case "ruler-vt":
            let value = try #require(request.question.firstMatch(of: /the value ([0-9]+)/)).1
            var values: [Substring: Substring] = [:]
            var names: [String] = []
            for match in request.context.matches(of: /VAR ([A-Z]+) = (?:VAR )?([A-Z0-9]+)/) {
                values[match.1] = values[match.2] ?? match.2
                if values[match.1] == value { names.append(String(match.1)) }
            }
            return names
        case "ruler-cwe":
            let list = try #require(request.context.components(separatedBy: "\n\n").last)
            return top(10, wordCounts(in: list))
        case "ruler-fwe":
            let words = request.context.components(separatedBy: "coded words. ")[1]
                .split(separator: " ").filter { $0 != "...." }
            return top(3, words.reduce(into: [:]) { $0[String($1), default: 0] += 1 })
        default:
            let query = try #require(
                request.question.firstMatch(of: /for (.+?) mentioned in the provided text\?/)
            ).1
            let keys = query.replacing("and ", with: "").components(separatedBy: ", ")
            return needles(in: request.context).filter { keys.contains($0.key) }.map(\.value)
        }
    }

    private static func top(_ count: Int, _ words: [String: Int]) -> [String] {
        words.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(count).map(\.key)
    }
}
