import Foundation
import Tasks
import Testing

@Suite struct PasskeyTests {
    @Test(arguments: Counting.all, [128, 512, 4096, 32768])
    func `a prompt is as long as asked, or a sentence less`(
        counting: Counting, length: Int
    ) throws {
        let set = try TaskSet.passkey(
            lengths: [length], depths: [0, 37, 100], samples: 2, countTokens: counting.count)
        #expect(set.samples.count == 6)
        for sample in set.samples {
            let tokens = counting.count(try sample.prompt)
            #expect(tokens <= length)
            #expect(tokens > length - 16)
        }
    }

    @Test func `the tokenizer is asked rarely`() throws {
        let calls = Counter()
        let set = try TaskSet.passkey(
            lengths: [65536], depths: Array(stride(from: 0, through: 100, by: 10)), samples: 2
        ) {
            calls.value += 1
            return Counting.words.count($0)
        }
        #expect(set.samples.count == 22)
        #expect(calls.value <= 22 + 6)
    }

    @Test func `the key stands once, at its depth, and ends in the question`() throws {
        let depths: [Double] = [0, 10, 50, 75, 100]
        let set = try TaskSet.passkey(
            lengths: [2048], depths: depths, samples: 3, countTokens: Counting.words.count)
        for sample in set.samples {
            let request = try sample.generation()
            let key = try sample.passkey
            #expect(key.count == 5 && key.first != "0")
            let sentence = "The pass key is \(key). Remember it. \(key) is the pass key."
            let parts = request.context.components(separatedBy: sentence)
            #expect(parts.count == 2)
            let before = parts[0].components(separatedBy: "T").count
            let after = parts[1].components(separatedBy: "T").count
            let depth = try #require(sample.tags["depth"])
            #expect(abs(Double(before) / Double(before + after) * 100 - depth) < 3)
            #expect(sample.tags["length"] == 2048)
            #expect(request.question == "\nWhat is the pass key? The pass key is")
            #expect(request.context.hasPrefix("There is an important info hidden inside"))
            #expect(!(request.context + request.question).contains("\n\n"))
        }
        #expect(Set(set.samples.map { $0.tags["depth"] }) == Set(depths))
    }

    @Test func `filler runs on where the key cuts it`() throws {
        let set = try TaskSet.passkey(
            lengths: [256], depths: [50], countTokens: Counting.words.count)
        let lines = try set.samples[0].generation().context.split(separator: "\n")
        #expect(lines.count == 4)
        let sentence =
            "The grass is green. The sky is blue. The sun is yellow. Here we go. "
            + "There and back again."
        let cycle = String(repeating: sentence + " ", count: 40)
        #expect(cycle.hasPrefix(lines[1] + " " + lines[3]))
    }

    @Test func `an answer counts by its first number`() throws {
        let set = try TaskSet.passkey(
            lengths: [256], depths: [50], countTokens: Counting.words.count)
        let request = try set.samples[0].generation()
        let key = try set.samples[0].passkey
        func score(_ answer: String) throws -> [TaskScore] { try request.judge(answer) }
        #expect(try score(" \(key). Remember it.") == [TaskScore("exact", 1)])
        #expect(try score("\(key)") == [TaskScore("exact", 1)])
        #expect(try score("the key: \(key) or 1") == [TaskScore("exact", 1)])
        for wrong in ["", " none", "\(key)0", "1 \(key)", String(key.dropLast()), "0\(key)"] {
            #expect(try score(wrong) == [TaskScore("exact", 0)], "\(wrong)")
        }
    }

    @Test func `a seed gives the same keys, another seed others`() throws {
        func keys(_ seed: UInt64) throws -> [String] {
            try TaskSet.passkey(
                lengths: [256, 512], depths: [0, 50], samples: 5, seed: seed,
                countTokens: Counting.words.count
            ).samples.map { try $0.passkey }
        }
        #expect(try keys(1) == keys(1))
        #expect(try zip(keys(1), keys(2)).filter { $0 == $1 }.isEmpty)
        #expect(try Set(keys(1)).count == 20)
    }

    @Test func `what cannot be made is refused`() {
        let count = Counting.words.count
        for (lengths, depths, samples) in [
            ([40], [50.0], 1), ([512], [101], 1), ([512], [-1], 1), ([512], [.nan], 1),
            ([], [50], 1), ([512], [], 1), ([512], [50], 0), ([-5], [50], 1),
        ] {
            #expect {
                try TaskSet.passkey(
                    lengths: lengths, depths: depths, samples: samples, countTokens: count)
            } throws: {
                if case TaskError.parameterOutOfRange = $0 { true } else { false }
            }
        }
    }

    @Test func `the catalog takes depths in per cent`() throws {
        let options = TaskOptions(
            lengths: [300], depths: [25, 100], samples: 2, countTokens: Counting.words.count)
        let set = try TaskCatalog.load(name: "Passkey", file: nil, options: options)
        #expect(set.samples.map { $0.tags["depth"] } == [25, 25, 100, 100])
    }
}

extension TaskSample {
    /// The five digits in the context.
    fileprivate var passkey: String {
        get throws {
            let parts = try generation().context.components(separatedBy: "The pass key is ")
            return parts.count == 2 ? String(parts[1].prefix(5)) : ""
        }
    }
}
