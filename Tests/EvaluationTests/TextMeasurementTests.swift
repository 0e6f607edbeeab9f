import Evaluation
import Foundation
import Generation
import KVCache
import ModelFiles
import ModelFixtures
import Reports
import Testing
import Transformer

@Suite struct TextMeasurementTests {
    /// Seals early, so that a small model's context has a body.
    static let early: [CachePolicy] = [
        CachePolicy.innerQBase.withStatistics(fromTokens: 0), .presetNamed("q4"),
        .presetNamed("kivi-2-sink"),
        .presetNamed("turboquant-2-2"),
    ]

    private func measurement(
        _ model: LanguageModel, context: Int = 240, prefill: Int = 20, offsets: [Int] = [0]
    ) throws -> TextMeasurement {
        try TextMeasurement(
            model: model, name: "random", tokens: Fixture.tokens(600),
            options: PerplexityOptions(context: context, prefill: prefill, offsets: offsets))
    }

    @Test func lossesAreThoseOfPerplexity() throws {
        let model = try Fixture.model()
        let text = try measurement(model)
        let candidates = Self.early.map { CacheCandidate($0) }
        let records = try text.measure(
            offset: 0, candidates: [.reference] + candidates, isCancelled: { false })
        #expect(records.map(\.cache) == ["float16"] + Self.early.map(\.name))
        for (record, policy) in zip(records, [.float16] + Self.early) {
            let plain = try model.transformer.perplexity(
                of: text.tokens, beginning: model.tokenizer.rules.prefix.first, policy: policy,
                options: text.options)
            #expect(record.loss.count == plain.scoredTokens)
            #expect(abs(exp(record.loss.mean) / plain.perplexity - 1) < 1e-5)
            #expect(record.cacheBytes == plain.cacheBytes)
        }
    }

    @Test func onlyTokensFromAPositionOnAreScoredIfAsked() throws {
        let model = try Fixture.model()
        let all = try measurement(model)
        var late = all
        late.options.scoredFrom = 150
        let candidates = [.reference, CacheCandidate(Self.early[1])]
        let whole = try all.measure(offset: 0, candidates: candidates, isCancelled: { false })
        let part = try late.measure(offset: 0, candidates: candidates, isCancelled: { false })
        let plain = try model.transformer.perplexity(
            of: all.tokens, beginning: model.tokenizer.rules.prefix.first, policy: Self.early[1],
            options: late.options)
        #expect(part[0].loss.count == 90 && whole[0].loss.count == 220)
        #expect(part[1].divergence?.count == 90)
        #expect(part[1].scoredFrom == 150)
        #expect(abs(exp(part[1].loss.mean) / plain.perplexity - 1) < 1e-5)
    }

    @Test func divergenceIsThatOfTheDefinition() throws {
        let model = try Fixture.model()
        let text = try measurement(model, context: 200)
        let policy = Self.early[3]
        let record = try text.measure(
            offset: 0, candidates: [CacheCandidate(policy)], isCancelled: { false })[0]

        // Both distributions in float64, token by token, from plain passes.
        func logits(_ policy: CachePolicy) throws -> [[Double]] {
            let cache = try SequenceCache(
                shape: model.transformer.cacheShape, policy: policy,
                workers: model.transformer.workers)
            var window = Array(text.tokens[..<200])
            if let first = model.tokenizer.rules.prefix.first { window[0] = first }
            let workspace = model.transformer.makeWorkspace()
            var rows: [[Double]] = []
            try model.transformer.forward(
                tokens: Array(window[..<19]), cache: cache, meaning: .prompt, logits: .none,
                workspace: workspace)
            for token in window[19..<199] {
                try model.transformer.forward(
                    tokens: [token], cache: cache, meaning: .decode, workspace: workspace)
                rows.append(workspace.logits.map(Double.init))
            }
            return rows
        }
        func softmax(_ row: [Double]) -> [Double] {
            let weights = row.map { exp($0 - (row.max() ?? 0)) }
            let sum = weights.reduce(0, +)
            return weights.map { $0 / sum }
        }
        let exact = try logits(.float16)
        let own = try logits(policy)
        var divergences: [Double] = []
        var agreements = 0
        for (a, b) in zip(exact, own) {
            let (p, q) = (softmax(a), softmax(b))
            divergences.append(zip(p, q).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) })
            agreements += a.firstIndex(of: a.max()!) == b.firstIndex(of: b.max()!) ? 1 : 0
        }
        let mean = divergences.reduce(0, +) / Double(divergences.count)
        let divergence = try #require(record.divergence)
        #expect(mean > 1e-4, "the random model's cache must matter")
        #expect(divergence.count == 180)
        #expect(abs(divergence.mean - mean) < 1e-5 + 1e-3 * mean)
        #expect(abs(divergence.largest - divergences.max()!) < 1e-4)
        #expect(record.agreements == agreements)
        let q99 = try #require(record.divergences?.quantile(0.99))
        let exact99 = divergences.sorted()[178]
        #expect(q99 >= exact99 * 0.999 && q99 <= exact99 * 1.1)
    }

    @Test func aCacheLikeTheReferenceDivergesNowhere() throws {
        let model = try Fixture.model()
        var same = CachePolicy.float16
        same.name = "float16 again"
        let record = try measurement(model).measure(
            offset: 0, candidates: [CacheCandidate(same)], isCancelled: { false })[0]
        #expect(record.divergence?.largest == 0)
        #expect(record.difference?.largest == 0)
        #expect(record.agreements == record.loss.count)
    }

    @Test func aSharedPromptLeavesWhatAPromptOfItsOwnLeaves() throws {
        let model = try Fixture.model()
        let tokens = Fixture.tokens(230)
        let candidates = Self.early.map { CacheCandidate($0) }
        // Windows of the first cache decide how sums are cut, so that it is bit-exact only for itself.
        for candidate in candidates {
            let alone = try candidate.makeCache(for: model)
            try model.transformer.forward(
                tokens: tokens, cache: alone, meaning: .prompt,
                workspace: model.transformer.makeWorkspace())
            let shared = try SharedPrompt.read(
                tokens, [candidate, candidate, .reference], model: model, isCancelled: { false })
            for cache in shared[..<2] {
                #expect(cache.tokenCount == tokens.count)
                #expect(cache.allocatedBytes == alone.allocatedBytes)
                for (a, b) in zip(cache.layers, alone.layers) {
                    var pages: [[UInt8]] = []
                    a.forEachPage { pages.append(Array($0)) }
                    var others: [[UInt8]] = []
                    b.forEachPage { others.append(Array($0)) }
                    #expect(pages == others, "\(candidate.name)")
                }
            }
        }
    }

    @Test func badWindowsAreRefused() throws {
        let model = try Fixture.model()
        #expect(throws: GenerationError.self) { try measurement(model, context: 300) }
        #expect(throws: GenerationError.self) { try measurement(model, prefill: 240) }
        #expect(throws: GenerationError.textTooShort(tokens: 600, needed: 640)) {
            try measurement(model, offsets: [400])
        }
        #expect(throws: GenerationError.cancelled) {
            try measurement(model).measure(
                offset: 0, candidates: [.reference], isCancelled: { true })
        }
    }
}

extension CachePolicy {
    /// A preset that there is.
    static func presetNamed(_ name: String) -> CachePolicy { preset(named: name)! }
}
