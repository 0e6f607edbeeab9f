import Foundation
import Generation
import KVCache
import ModelFiles
import ModelFixtures
import Testing
import Transformer

@Suite struct PerplexityTests {
    static let tokens = Fixture.tokens(600, seed: 5)
    /// Longer than what the policies wait for before they seal.
    static let context = 400

    /// −ln p of each token after the prompt, one pass a token.
    func lossesByDecoding(
        _ model: LanguageModel, _ policy: CachePolicy, _ window: [Int32], prefill: Int
    ) throws -> [Double] {
        let cache = try SequenceCache(
            shape: model.transformer.cacheShape, policy: policy,
            workers: model.transformer.workers)
        let workspace = model.transformer.makeWorkspace()
        // As teacher forcing multiplies, in float32.
        cache.arithmetic = .float
        workspace.arithmetic = .float
        try model.transformer.forward(
            tokens: Array(window[..<prefill]), cache: cache, meaning: .prompt, workspace: workspace)
        var losses: [Double] = []
        for next in prefill..<window.count {
            let logits = workspace.logits.map(Double.init)
            let top = logits.max() ?? 0
            let total = logits.reduce(0) { $0 + exp($1 - top) }
            losses.append(log(total) + top - logits[Int(window[next])])
            guard next + 1 < window.count else { break }
            try model.transformer.forward(
                tokens: [window[next]], cache: cache, meaning: .decode, workspace: workspace)
        }
        return losses
    }

    /// Products of many tokens sum in another order than those of one, which turns a rounding to float16 or to a code
    /// over here and there: losses differ a little, their mean hardly.
    @Test(
        arguments: CachePolicy.presets.map {
            $0.withStatistics(fromTokens: 256).online(tokens: 256)
        })
    func teacherForcingEqualsDecodingTokenByToken(
        policy: CachePolicy
    ) throws {
        for name in ["llama3-bf16-shards", "gemma3-bf16"] {
            let model = try Fixture.model(name, context: Self.context, threads: 2)
            for prefill in [1, 40, 300] {
                let result = try model.transformer.perplexity(
                    of: Self.tokens, policy: policy,
                    options: PerplexityOptions(
                        context: Self.context, prefill: prefill, offsets: [100]))
                let expected = try lossesByDecoding(
                    model, policy, Array(Self.tokens[100..<100 + Self.context]), prefill: prefill)
                #expect(result.scoredTokens == Self.context - prefill)
                #expect(result.negativeLogLikelihoods.count == expected.count)
                let differences = zip(result.negativeLogLikelihoods, expected)
                    .map { Double($0) - $1 }
                let count = Double(differences.count)
                let size = differences.reduce(0) { $0 + abs($1) } / count
                let mean = differences.reduce(0, +) / count
                // Error feedback hands a rounding on to the channels after it, RoPE to the other of a pair and a rotation to all.
                let spreads =
                    policy.keyNormalization?.feedback == true
                    || policy.keys.codebook != nil || policy.keys.rotated != nil
                #expect(size < (spreads ? 1e-2 : 1e-3), "\(name), prefill \(prefill)")
                #expect(abs(mean) < (spreads ? 1e-3 : 2e-4), "\(name), prefill \(prefill)")
            }
        }
    }

    /// The tolerance above is worth something: with the prompt's meaning instead of the decode's, losses differ by far more.
    @Test(
        arguments: [
            "q4", "innerq-small", "kivi-2", "kvquant-nuq4-1%", "kvquant-nuq2-1%", "turboquant-3-2",
        ])
    func aPromptSeesSomethingElse(
        policy: String
    ) throws {
        let policy = try CachePolicy.named(policy).withStatistics(fromTokens: 256)
            .online(tokens: 256)
        let model = try Fixture.model(context: Self.context)
        func losses(prefill: Int) throws -> [Float] {
            try model.transformer.perplexity(
                of: Self.tokens, policy: policy,
                options: PerplexityOptions(
                    context: Self.context, prefill: prefill, scoredFrom: 300, offsets: [100])
            ).negativeLogLikelihoods
        }
        let differences = zip(
            try losses(prefill: 1), try losses(prefill: Self.context - 1)
        ).map { abs($0 - $1) }
        #expect(differences.reduce(0, +) / Float(differences.count) > 5e-2)
    }

    @Test func windowsScoreTheirSecondHalf() throws {
        let model = try Fixture.model()
        let options = PerplexityOptions.windows(3, context: 64)
        #expect(options.offsets == [0, 64, 128])
        let result = try model.transformer.perplexity(
            of: Self.tokens, policy: .float16, options: options)
        // Positions 33 … 63 of each.
        #expect(result.scoredTokens == 3 * 31)
        #expect(result.windows.count == 3)
        let mean = result.negativeLogLikelihoods.reduce(0.0) { $0 + Double($1) } / 93
        #expect(abs(log(result.perplexity) - mean) < 1e-6)
        // Which tokens are scored does not change what they are scored as.
        var all = options
        all.scoredFrom = 1
        all.offsets = [64]
        let whole = try model.transformer.perplexity(
            of: Self.tokens, policy: .float16, options: all)
        #expect(whole.scoredTokens == 63)
        for (a, b) in zip(
            whole.negativeLogLikelihoods.suffix(31), result.negativeLogLikelihoods[31..<62])
        {
            #expect(abs(a - b) < 1e-4)
        }
    }

    @Test func theBeginningReplacesAWindowsFirstToken() throws {
        let model = try Fixture.model()
        let options = PerplexityOptions(context: 32, prefill: 4, offsets: [10])
        var changed = Self.tokens
        changed[10] = 0
        let given = try model.transformer.perplexity(
            of: Self.tokens, beginning: 0, policy: .float16, options: options)
        let written = try model.transformer.perplexity(
            of: changed, policy: .float16, options: options)
        #expect(given.negativeLogLikelihoods == written.negativeLogLikelihoods)
    }

    @Test func whatCannotBeMeasuredIsRefused() throws {
        let model = try Fixture.model().transformer
        func refuses(_ options: PerplexityOptions, tokens: Int = 400) -> Bool {
            do {
                _ = try model.perplexity(
                    of: Array(Self.tokens[..<tokens]), policy: .float16, options: options)
                return false
            } catch { return error is GenerationError }
        }
        #expect(refuses(PerplexityOptions(context: 257, prefill: 10)))
        #expect(refuses(PerplexityOptions(context: 1, prefill: 1)))
        #expect(refuses(PerplexityOptions(context: 10, prefill: 0)))
        #expect(refuses(PerplexityOptions(context: 10, prefill: 10)))
        #expect(refuses(PerplexityOptions(context: 10, prefill: 5, offsets: [])))
        #expect(refuses(PerplexityOptions(context: 10, prefill: 5, offsets: [-1])))
        #expect(refuses(PerplexityOptions(context: 10, prefill: 5, offsets: [391])))
        #expect(refuses(PerplexityOptions(context: 10, prefill: 5, offsets: [.max])))
        #expect(refuses(PerplexityOptions(context: 20, prefill: 5), tokens: 19))
        #expect(!refuses(PerplexityOptions(context: 10, prefill: 5, offsets: [390])))
    }

    @Test func cancellingThrows() throws {
        let model = try Fixture.model().transformer
        #expect(throws: GenerationError.cancelled) {
            try model.perplexity(
                of: Self.tokens, policy: .float16,
                options: PerplexityOptions(context: 64, prefill: 8), isCancelled: { true })
        }
    }

    @Test func aPairedComparisonSeesSmallDifferences() throws {
        let base: [Float] = [1, 9, 3, 5]
        let same = try #require(PairedComparison(of: base, with: base))
        #expect(same.relativeIncrease == 0 && same.standardError == 0)
        // Each token 0.01 nats worse, give or take 0.002.
        let worse = try #require(PairedComparison(of: [1.012, 9.008, 3.012, 5.008], with: base))
        #expect(abs(worse.relativeIncrease - (exp(0.01) - 1)) < 1e-6)
        #expect(abs(worse.standardError - exp(0.01) * 0.002 / 3.0.squareRoot()) < 1e-5)
        #expect(PairedComparison(of: base, with: [1]) == nil)
        #expect(PairedComparison(of: [], with: []) == nil)
    }
}
