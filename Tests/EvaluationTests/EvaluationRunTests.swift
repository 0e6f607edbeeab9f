import Evaluation
import Foundation
import Generation
import KVCache
import ModelFiles
import ModelFixtures
import Reports
import Synchronization
import Tasks
import Testing
import Transformer

@Suite struct EvaluationRunTests {
    private let candidates = [
        CacheCandidate(.presetNamed("q4")), CacheCandidate(.presetNamed("kivi-2-sink")),
    ]

    private func plan(_ model: LanguageModel) throws -> EvaluationPlan {
        var plan = EvaluationPlan()
        plan.contexts = [128, 4096]
        plan.text = try TextMeasurement(
            model: model, name: "random", tokens: Fixture.tokens(600),
            options: PerplexityOptions(context: 200, prefill: 20, offsets: [0, 200, 400]))
        plan.layerSample = Fixture.tokens(220)
        plan.tasks = [
            TaskSet(
                samples: (1...3).map { number in
                    TaskSample(
                        task: "test", id: "\(number)",
                        request: .generation(
                            GenerationRequest(
                                context: "Number \(number). ", question: "And?", maxTokens: 3
                            ) { _ throws(TaskError) in [TaskScore("exact", 1)] }))
                })
        ]
        return plan
    }

    private struct Stop: Error {}

    /// All but the seconds, which differ from run to run.
    private func comparable(_ records: [ResultRecord]) -> Set<ResultRecord> {
        Set(
            records.map { record in
                switch record {
                case .text(var record):
                    record.seconds = 0
                    return .text(record)
                case .sample(var record):
                    record.seconds = 0
                    return .sample(record)
                default: return record
                }
            })
    }

    @Test func aStoppedRunGoesOnToTheSameResults() throws {
        let model = try Fixture.model()
        let plan = try plan(model)
        var whole: [ResultRecord] = []
        try EvaluationRun(
            model: model, candidates: candidates, plan: plan, keep: { whole.append($0) }
        ).run()
        // 3 caches with 2 contexts, 3 windows and 3 questions each; 2 of them with layers.
        let layers = model.transformer.configuration.layerCount
        #expect(whole.count == 3 + 6 + 9 + 9 + 2 * layers)

        for limit in [0, 4, 11, 14, 20, whole.count - 1] {
            var records: [ResultRecord] = []
            #expect(throws: Stop.self) {
                try EvaluationRun(
                    model: model, candidates: candidates, plan: plan,
                    keep: {
                        if records.count == limit { throw Stop() }
                        records.append($0)
                    }
                ).run()
            }
            let kept = records
            try EvaluationRun(
                model: model, candidates: candidates, plan: plan, earlier: kept,
                keep: { records.append($0) }
            ).run()
            #expect(records.count == whole.count, "stopped after \(limit)")
            #expect(comparable(records) == comparable(whole), "stopped after \(limit)")
        }
    }

    @Test func anotherCacheJoinsLater() throws {
        let model = try Fixture.model()
        let plan = try plan(model)
        var records: [ResultRecord] = []
        func run(_ candidates: [CacheCandidate]) throws {
            try EvaluationRun(
                model: model, candidates: candidates, plan: plan, earlier: records,
                keep: { records.append($0) }
            ).run()
        }
        try run([candidates[0]])
        let before = records.count
        try run(candidates)
        #expect(records.count > before)
        var whole: [ResultRecord] = []
        try EvaluationRun(
            model: model, candidates: candidates, plan: plan, keep: { whole.append($0) }
        ).run()
        #expect(comparable(records) == comparable(whole))
    }

    @Test func bytesAreThoseThatACacheAllocates() throws {
        let model = try Fixture.model()
        var plan = EvaluationPlan()
        plan.contexts = [200]
        var records: [ResultRecord] = []
        try EvaluationRun(
            model: model, candidates: candidates, plan: plan, keep: { records.append($0) }
        ).run()
        for case .memory(let record) in records {
            let policy = CachePolicy.presetNamed(record.cache)
            let cache = try CacheCandidate(policy).makeCache(for: model)
            try model.transformer.forward(
                tokens: Fixture.tokens(200), cache: cache, meaning: .prompt,
                workspace: model.transformer.makeWorkspace())
            #expect(record.bytes == cache.allocatedBytes)
        }
    }

    @Test func speedIsMeasuredInRounds() throws {
        let model = try Fixture.model()
        var plan = EvaluationPlan()
        plan.speed = EvaluationPlan.SpeedPlan(depths: [0, 128], tokens: 2, prefill: 8, repeats: 3)
        var speeds: [SpeedRecord] = []
        try EvaluationRun(
            model: model, candidates: candidates, plan: plan,
            keep: { if case .speed(let record) = $0 { speeds.append(record) } }
        ).run()
        #expect(speeds.count == 6)
        for speed in speeds {
            #expect(speed.decode.count == 3 && speed.prefill.count == 3)
            #expect(speed.decode.allSatisfy { $0 > 0 })
        }
    }

    @Test func cancellationIsHeeded() throws {
        let model = try Fixture.model()
        let asked = Atomic<Int>(0)
        var records: [ResultRecord] = []
        #expect(throws: GenerationError.cancelled) {
            try EvaluationRun(
                model: model, candidates: candidates, plan: plan(model),
                isCancelled: { asked.add(1, ordering: .relaxed).newValue > 40 },
                keep: { records.append($0) }
            ).run()
        }
        #expect(!records.isEmpty)
    }

    @Test func aPolicyThatDoesNotFitIsRefusedAtOnce() throws {
        let model = try Fixture.model()
        #expect(throws: PolicyError.self) {
            try EvaluationRun(
                model: model, candidates: [CacheCandidate(.presetNamed("kvquant-nuq3"))],
                plan: EvaluationPlan(), keep: { _ in })
        }
    }
}
