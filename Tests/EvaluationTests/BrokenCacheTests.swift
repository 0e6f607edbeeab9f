import Evaluation
import Foundation
import Generation
import KVCache
import ModelFiles
import ModelFixtures
import Reports
import Tasks
import Testing
import Transformer

/// A cache whose codes are shuffled must be called broken by every measure, and a good one by none.
@Suite(.enabled(if: RealModel.smollm2 != nil, "needs SmolLM2-135M; `make model` gets it"))
struct BrokenCacheTests {
    private static func summary() throws -> ModelSummary {
        let path = try #require(RealModel.smollm2)
        let model = try LanguageModel.load(path: path)
        let policy = CachePolicy.innerQBase.withStatistics(fromTokens: 0)
        let text = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("docs/demo/long-text.txt")
        let tokens = model.tokenizer.encode(bytes: try Data(contentsOf: text))
        var plan = EvaluationPlan()
        plan.contexts = [32_768]
        plan.text = try TextMeasurement(
            model: model, name: "sample", tokens: tokens,
            options: PerplexityOptions(context: 800, prefill: 32))
        plan.layerSample = Array(tokens.prefix(1024))
        plan.tasks = [
            try TaskCatalog.load(
                name: "passkey", file: nil,
                options: TaskOptions(
                    lengths: [600], depths: [25, 50], samples: 4, seed: 3,
                    countTokens: { model.tokenizer.encode($0, addSpecial: false).count }))
        ]
        var records: [ResultRecord] = [
            .run(.current(model: model, settings: [:], command: "test"))
        ]
        try EvaluationRun(
            model: model,
            candidates: [CacheCandidate(policy), CacheCandidate(policy, isControl: true)],
            plan: plan, keep: { records.append($0) }
        ).run()
        return ModelSummary.make(of: [records])[0]
    }

    @Test func everyMeasureCallsItBroken() throws {
        let summary = try Self.summary()
        let reference = summary.reference
        let good = try #require(summary.caches.first { $0.cache == "innerq-base" })
        let broken = try #require(summary.caches.first { $0.isControl })
        let measures = ["perplexity", "divergence", "agreement", "passkey", "attention"]
        let grades = broken.grades(by: reference)
        #expect(grades.map(\.measure).sorted() == measures.sorted())
        for (measure, grade) in grades {
            #expect(grade == .broken, "\(measure)")
        }
        for (measure, grade) in good.grades(by: reference) {
            #expect(grade <= .noticeable, "\(measure)")
        }
        #expect(broken.grade == .broken)
        #expect(broken.verdict.hasPrefix("broken"))
        #expect(!broken.isPareto)
        #expect(good.isPareto)
    }
}
