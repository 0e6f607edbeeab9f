import Foundation
import Reports
import Testing

@Suite("Grades and verdicts")
struct GradeTests {
    private func test(_ own: [Double], _ other: [Double]) throws -> PairedTest {
        try #require(PairedTest(of: own, with: other))
    }

    @Test("A broken cache is called broken by each measure alone")
    func broken() throws {
        // Perplexity 740-fold from few tokens: the error of the perplexity itself is larger than it.
        #expect(Grade.perplexity(Estimate(value: 740, error: 500, count: 20)) == .broken)
        #expect(Grade.perplexity(Estimate(value: 740, error: .nan, count: 1)) == .broken)
        #expect(Grade.perplexity(Estimate(value: .infinity, error: .nan, count: 9)) == .broken)
        #expect(Grade.perplexity(Estimate(value: .nan, error: .nan, count: 9)) == .broken)
        #expect(Grade.divergence(7.4) == .broken)
        #expect(Grade.divergence(.nan) == .broken)
        #expect(Grade.agreement(0.1) == .broken)
        #expect(Grade.agreement(.nan) == .broken)
        let ones = Array(repeating: 1.0, count: 40)
        let nothing = Array(repeating: 0.0, count: 40)
        #expect(Grade.task(0, reference: 1, try test(nothing, ones)) == .broken)
        #expect(Grade.task(.nan, reference: 1, try test(nothing, ones)) == .broken)
        #expect(Grade.attention(0.95) == .broken)
        #expect(Grade.attention(.infinity) == .broken)
    }

    @Test("What is like float16 is lossless by each measure")
    func lossless() throws {
        #expect(Grade.perplexity(Estimate(value: 0, error: 0, count: 9)) == .lossless)
        #expect(Grade.perplexity(Estimate(value: -0.02, error: 0.001, count: 9)) == .lossless)
        #expect(Grade.perplexity(Estimate(value: 0.05, error: 0.03, count: 9)) == .lossless)
        #expect(Grade.divergence(0) == .lossless)
        #expect(Grade.agreement(1) == .lossless)
        let scores = [1.0, 0, 1, 1, 0]
        #expect(Grade.task(0.6, reference: 0.6, try test(scores, scores)) == .lossless)
        // Better is no loss either.
        let ones = Array(repeating: 1.0, count: 40)
        let nothing = Array(repeating: 0.0, count: 40)
        #expect(Grade.task(1, reference: 0.5, try test(ones, nothing)) == .lossless)
        #expect(Grade.attention(0) == .lossless)
    }

    @Test(
        "Grades follow their limits",
        arguments: zip(
            [0.001, 0.002, 0.01, 0.03, 0.1, 0.5],
            [Grade.lossless, .nearLossless, .good, .noticeable, .poor, .broken]))
    func limits(_ increase: Double, _ grade: Grade) {
        #expect(Grade.perplexity(Estimate(value: increase, error: 1e-5, count: 99)) == grade)
    }

    /// A run in which a cache is like float16 but for one measure.
    private func model(
        difference: Double = 0, divergence: Double = 0, agreements: Int = 40, score: Double = 1,
        output: Double = 0
    ) throws -> ModelSummary {
        let loss = (0..<40).map { 1 + Double($0 % 4) }
        var records = [
            SmallRun.reference, SmallRun.cache("a"), SmallRun.text("float16", loss: loss),
            SmallRun.text(
                "a", loss: loss.map { $0 + difference },
                difference: loss.indices.map { difference * (1 + 0.1 * Double($0 % 2)) },
                divergence: loss.map { _ in divergence }, agreements: agreements),
            .layer(
                LayerRecord(cache: "a", layer: 0, tokens: 9, keys: 0, values: 0, output: output)),
        ]
        for number in 0..<40 {
            records.append(SmallRun.sample("float16", "copy", "\(number)", 1))
            records.append(SmallRun.sample("a", "copy", "\(number)", score))
        }
        return try SmallRun.summary(records)
    }

    @Test("One broken measure makes the cache broken, and the verdict names it")
    func worstCounts() throws {
        let lossless = try model()
        #expect(lossless.caches[1].grade == .lossless)
        #expect(
            lossless.caches[1].verdict
                == "not to be told from float16: perplexity +0.00 % ± 0.00, the same first choice at 100.0 % of tokens, 4.0 times smaller."
        )
        let cases: [(ModelSummary, String)] = [
            (try model(difference: 4), "broken by perplexity: perplexity × "),
            (try model(divergence: 3), "broken by divergence: "),
            (try model(agreements: 1), "broken by agreement: "),
            (try model(score: 0), "broken by copy: "),
            (try model(output: 0.9), "broken by attention: "),
        ]
        for (model, words) in cases {
            #expect(model.caches[1].grade == .broken)
            #expect(model.caches[1].verdict.hasPrefix(words), "\(model.caches[1].verdict)")
        }
        #expect(cases[3].0.caches[1].verdict.contains("worse at copy"))
        #expect(
            try model(difference: .infinity).caches[1].verdict.hasPrefix(
                "broken by perplexity: perplexity not finite, "))
    }

    @Test("A task is graded on the questions that both were asked")
    func commonQuestions() throws {
        // Of 40 easy questions the cache loses a quarter; the reference was asked 40 hard ones too, which it cannot answer.
        var records = [SmallRun.reference, SmallRun.cache("a")]
        for number in 0..<40 {
            records.append(SmallRun.sample("float16", "t", "easy \(number)", 1))
            records.append(SmallRun.sample("float16", "t", "hard \(number)", 0))
            records.append(SmallRun.sample("a", "t", "easy \(number)", number % 4 == 0 ? 0 : 1))
        }
        let cache = try SmallRun.summary(records).caches[1]
        #expect(cache.tasks.first?.comparison?.reference == 1)
        #expect(cache.grade == .poor)
    }

    @Test("The reference has no grade; its verdict says what it is")
    func reference() throws {
        let cache = try model().caches[0]
        #expect(cache.grade == nil)
        #expect(cache.verdict == "the reference: perplexity 12.18.")
    }

    @Test("A verdict in full")
    func sentence() throws {
        let model = try SmallRun.summary([
            SmallRun.reference, SmallRun.cache("a", bits: 3.2),
            SmallRun.text("float16", loss: [1, 2]),
            SmallRun.text(
                "a", loss: [1, 2], difference: [0.04, 0.06], divergence: [0.02, 0.02], agreements: 2
            ),
            SmallRun.sample("a", "passkey", "1", 1, tags: ["length": 64, "depth": 0]),
            .speed(
                SpeedRecord(cache: "float16", depth: 7168, decode: [20], prefill: [], cacheBytes: 1)
            ),
            .speed(SpeedRecord(cache: "a", depth: 7168, decode: [25], prefill: [], cacheBytes: 1)),
        ])
        #expect(
            model.caches[1].verdict
                == "noticeable loss by perplexity: perplexity +5.1 % ± 1.1, the same first choice at 100.0 % of tokens, 1 of 1 passkeys found, 5.0 times smaller, 1.25 times as fast at 7,168 tokens."
        )
    }

    @Test("Errors of layers that are no numbers count as infinite")
    func brokenLayers() throws {
        let layers = [Double.nan, 0.1, .nan].enumerated().map {
            ResultRecord.layer(
                LayerRecord(
                    cache: "a", layer: $0.offset, tokens: 1, keys: 0, values: 0, output: $0.element)
            )
        }
        let model = try SmallRun.summary([SmallRun.reference, SmallRun.cache("a")] + layers)
        #expect(model.caches[1].medianAttentionError == .infinity)
        #expect(model.caches[1].grade == .broken)
    }
}
