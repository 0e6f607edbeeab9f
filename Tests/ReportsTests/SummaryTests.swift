import Foundation
import Reports
import Testing

/// Small runs whose figures can be computed by hand.
enum SmallRun {
    static let run = ResultRecord.run(SampleRun.run())

    static func cache(
        _ name: String, bits: Double = 4, isReference: Bool = false, isControl: Bool = false
    ) -> ResultRecord {
        .cache(
            CacheRecord(
                cache: name, policy: name, keys: "k", values: "v", sealedBits: bits,
                isReference: isReference, isControl: isControl))
    }

    static let reference = cache("float16", bits: 16, isReference: true)

    static func text(
        _ cache: String, offset: Int = 0, loss: [Double], difference: [Double]? = nil,
        divergence: [Double]? = nil, agreements: Int? = nil
    ) -> ResultRecord {
        var histogram = LogHistogram()
        for value in divergence ?? [] { histogram.add(value) }
        return .text(
            TextRecord(
                cache: cache, text: "t", offset: offset, context: 2048, prefill: 512,
                loss: Moments(loss), difference: difference.map { Moments($0) },
                divergence: divergence.map { Moments($0) },
                divergences: divergence == nil ? nil : histogram, agreements: agreements,
                cacheBytes: 1, bitsPerElement: 5, seconds: 1))
    }

    static func sample(
        _ cache: String, _ task: String, _ id: String, _ score: Double,
        tags: [String: Double] = [:], sealed: Int = 50
    ) -> ResultRecord {
        .sample(
            SampleRecord(
                cache: cache, task: task, id: id, tags: tags, scores: ["exact": score],
                mainMetric: "exact", answer: "", promptTokens: 80, answerTokens: 20,
                sealedTokens: sealed, seconds: 1))
    }

    static func summary(_ records: [ResultRecord]) throws -> ModelSummary {
        try #require(ModelSummary.make(of: [[run] + records]).first)
    }
}

@Suite("Summaries")
struct SummaryTests {
    private func near(_ value: Double?, _ other: Double) -> Bool {
        value.map { abs($0 - other) <= 1e-12 * max(1, abs(other)) } ?? false
    }

    @Test("Perplexity, its increase, divergence and agreement over all windows")
    func text() throws {
        let model = try SmallRun.summary([
            SmallRun.cache("a"), SmallRun.reference,
            SmallRun.text("float16", loss: [1, 3]),
            SmallRun.text("float16", offset: 9, loss: [2, 2]),
            SmallRun.text(
                "a", loss: [1.1, 3], difference: [0.1, 0], divergence: [0.25, 0], agreements: 1),
            SmallRun.text(
                "a", offset: 9, loss: [2.1, 2], difference: [0.1, 0], divergence: [0.5, 0.25],
                agreements: 2),
        ])
        #expect(model.caches.map(\.cache) == ["float16", "a"])
        let reference = try #require(model.caches[0].text)
        #expect(reference.scoredTokens == 4 && reference.windows == 2)
        #expect(near(reference.perplexity.value, exp(2)))
        // Variance 2/3, error of the mean √(1/6).
        #expect(near(reference.perplexity.error, exp(2) / 6.0.squareRoot()))
        #expect(reference.increase == nil && reference.agreement == nil)
        let text = try #require(model.caches[1].text)
        #expect(near(text.increase?.value, exp(0.05) - 1))
        // Differences 0.1, 0, 0.1, 0: variance 0.01/3, error of the mean √(0.01/12).
        #expect(near(text.increase?.error, exp(0.05) * (0.01 / 12).squareRoot()))
        // t = 0.05/√(0.01/12) = √3 at 3 degrees of freedom: P = 1 − (2/π)(π/4 + 1/2) = 0.18169…
        #expect(abs((text.pValue ?? 0) - (0.5 - 1 / Double.pi)) < 1e-9)
        #expect(near(text.divergence?.value, 0.25) && text.largestDivergence == 0.5)
        #expect(near(text.agreement?.value, 0.75))
        #expect(near(text.agreement?.error, (0.75 * 0.25 / 4).squareRoot()))
        let most = try #require(text.divergence99)
        #expect(most >= 0.5 && most < 0.5 * 1.0906)
    }

    @Test("Passkeys are counted by length and depth; damaged tags are left out")
    func passkey() throws {
        func sample(_ id: String, _ score: Double, _ length: Double, _ depth: Double)
            -> ResultRecord
        {
            SmallRun.sample("a", "passkey", id, score, tags: ["length": length, "depth": depth])
        }
        let model = try SmallRun.summary([
            SmallRun.reference, SmallRun.cache("a"), sample("1", 1, 2048, 50),
            sample("2", 0, 2048, 50),
            sample("3", 0.5, 2048, 50), sample("4", 1, 1024, 0), sample("5", 1, 1e300, 0),
            sample("6", 1, .nan, 0), sample("7", 1, 1024, .infinity),
            SmallRun.sample("a", "passkey", "8", 1),
        ])
        let cells = model.caches[1].passkey
        #expect(cells.map(\.length) == [1024, 2048])
        #expect(cells.map(\.depth) == [0, 50])
        #expect(cells.map(\.found) == [1, 1])
        #expect(cells.map(\.asked) == [1, 3])
    }

    @Test("Tasks are compared on the questions that both were asked")
    func tasks() throws {
        let own = [("1", 1.0), ("2", 0), ("3", 1), ("4", 1)].map {
            SmallRun.sample("a", "t", $0.0, $0.1)
        }
        let others = [("2", 1.0), ("3", 1), ("4", 1), ("5", 0)].map {
            SmallRun.sample("float16", "t", $0.0, $0.1)
        }
        let model = try SmallRun.summary([SmallRun.reference, SmallRun.cache("a")] + own + others)
        let task = try #require(model.caches[1].tasks.first)
        #expect(task.score.value == 0.75 && task.score.count == 4)
        let test = try #require(task.comparison)
        #expect(
            near(test.difference.value, -1.0 / 3) && test.difference.count == 3 && test.pValue == 1)
        #expect(task.sealedShare == 0.5)
        #expect(model.caches[0].tasks.first?.comparison == nil)
    }

    @Test("A cache that was asked other questions than the reference is compared with nothing")
    func noCommonQuestions() throws {
        let model = try SmallRun.summary([
            SmallRun.reference, SmallRun.cache("a"), SmallRun.sample("a", "t", "1", 1),
            SmallRun.sample("float16", "t", "2", 1),
        ])
        #expect(model.caches[1].tasks.first?.comparison == nil)
        #expect(model.caches[1].grade == nil)
        #expect(model.caches[1].verdict == "no quality was measured: 4.0 times smaller.")
    }

    @Test("The Pareto set: smaller or closer than all others; controls have no part in it")
    func pareto() throws {
        func cache(_ name: String, _ bits: Double, _ divergence: Double, control: Bool = false)
            -> [ResultRecord]
        {
            [
                SmallRun.cache(name, bits: bits, isControl: control),
                SmallRun.text(
                    name, loss: [1, 1], difference: [0, 0], divergence: [divergence, divergence]),
            ]
        }
        let model = try SmallRun.summary(
            [SmallRun.reference, SmallRun.text("float16", loss: [1, 1])] + cache("small", 2, 0.5)
                + cache("middle", 4, 0.1) + cache("beaten", 4.5, 0.2) + cache("same", 4, 0.1)
                + cache("worse", 2, 0.6) + cache("control", 1, 0.01, control: true)
                + cache("unmeasured", 1, .nan))
        #expect(
            model.caches.filter(\.isPareto).map(\.cache) == ["float16", "small", "middle", "same"])
    }

    @Test("Of what was measured twice the first counts; files of one model add up")
    func duplicates() throws {
        let first = [
            SmallRun.run, SmallRun.reference, SmallRun.cache("a"),
            SmallRun.text("float16", loss: [1, 1]),
            .memory(MemoryRecord(cache: "a", context: 4096, bytes: 10, bitsPerElement: 4)),
            SmallRun.sample("a", "t", "1", 1),
            .speed(
                SpeedRecord(cache: "a", depth: 0, decode: [3, 9, 4], prefill: [], cacheBytes: 1)),
            .speed(
                SpeedRecord(cache: "float16", depth: 0, decode: [2, 1], prefill: [], cacheBytes: 1)),
        ]
        let second = [
            SmallRun.run, SmallRun.reference, SmallRun.cache("a", bits: 9),
            SmallRun.text("float16", loss: [9, 9]),
            SmallRun.text("float16", offset: 5, loss: [4, 4]),
            .memory(MemoryRecord(cache: "a", context: 4096, bytes: 99, bitsPerElement: 9)),
            SmallRun.sample("a", "t", "1", 0), SmallRun.sample("a", "t", "2", 0),
            SmallRun.cache("b"),
        ]
        let models = ModelSummary.make(of: [
            first, [], [.memory(MemoryRecord(cache: "x", context: 1, bytes: 1, bitsPerElement: 1))],
            second,
        ])
        #expect(models.count == 1)
        #expect(models[0].runs.count == 2)
        #expect(models[0].caches.map(\.cache) == ["float16", "a", "b"])
        #expect(near(models[0].caches[0].text?.perplexity.value, exp(2.5)))
        #expect(models[0].caches[1].memory.map(\.bytes) == [10])
        #expect(models[0].caches[1].sealedBits == 4)
        #expect(models[0].caches[1].tasks[0].score.value == 0.5)
        let speed = models[0].caches[1].speed[0]
        #expect(speed.decode.median == 4 && speed.decode.lowest == 3 && speed.decode.highest == 9)
        #expect(near(speed.decodeRatio, 4 / 1.5))
        #expect(speed.prefill == nil)
    }

    @Test("The order of the records changes nothing")
    func orderOfRecords() throws {
        let records = SampleRun.records()
        let caches = records.filter { if case .cache = $0 { true } else { false } }
        let others = records.filter { if case .cache = $0 { false } else { true } }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        let one = try encoder.encode(ModelSummary.make(of: [records]))
        let other = try encoder.encode(ModelSummary.make(of: [Array(others.reversed()) + caches]))
        #expect(one == other)
    }

    @Test("Bits are those of the context nearest to 32,768 tokens, else of sealed tokens")
    func bits() throws {
        let model = try SmallRun.summary([
            SmallRun.reference, SmallRun.cache("a", bits: 3.5), SmallRun.cache("b", bits: 2.5),
            .memory(MemoryRecord(cache: "a", context: 4096, bytes: 1, bitsPerElement: 5)),
            .memory(MemoryRecord(cache: "a", context: 40_000, bytes: 1, bitsPerElement: 4)),
            .memory(MemoryRecord(cache: "a", context: 131_072, bytes: 1, bitsPerElement: 3)),
        ])
        #expect(model.caches[1].bits == 4)
        #expect(model.caches[2].bits == 2.5)
    }
}
