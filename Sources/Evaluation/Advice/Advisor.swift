public import Generation
import KVCache
import ModelFiles
import Reports
import Transformer

/// Looks at a model's keys and values on a sample, measures caches on it, and chooses.
///
/// Of the caches that fit the memory, those of the best grade are kept; without a limit of memory, those that are good or better.
/// Of these, what is at most an eighth larger than the smallest counts as equally small, and the closest to float16 is taken.
public struct Advisor {
    public var model: LanguageModel
    /// Text to measure on: one window of it, `sample` long.
    public var sample: [Int32]
    public var context: Int
    /// Bytes that the cache of one sequence may take.
    public var memory: Int?

    /// - Throws: `GenerationError` if the sample is too short to quantize anything, or the context too long for the model.
    public init(
        model: LanguageModel, sample: [Int32], context: Int, memory: Int?
    ) throws(GenerationError) {
        try Self.check(model: model, sampleTokens: sample.count, context: context)
        self.model = model
        self.sample = sample
        self.context = context
        self.memory = memory
    }

    /// What ``init(model:sample:context:memory:)`` asks for, before there is a sample.
    public static func check(
        model: LanguageModel, sampleTokens: Int, context: Int
    ) throws(GenerationError) {
        let limit = model.configuration.contextLength
        guard max(context, sampleTokens) <= limit else {
            throw .contextTooLong(tokens: max(context, sampleTokens), limit: limit)
        }
        guard sampleTokens >= shortestSample else {
            throw .textTooShort(tokens: sampleTokens, needed: shortestSample)
        }
    }

    /// Enough that every preset has sealed some hundred tokens.
    public static let shortestSample = 768

    /// - Parameters:
    ///   - candidates: to choose from.
    ///   - progress: called with what is done.
    ///   - isCancelled: asked between layers.
    /// - Throws: `GenerationError` or `PolicyError`.
    public func advise(
        _ candidates: [CacheCandidate], progress: @escaping (String) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws -> Advice {
        progress("looking at keys and values")
        let profiles = try model.keyValueProfiles(tokens: sample, isCancelled: isCancelled)
        let candidates = candidates.withReference
        var plan = EvaluationPlan()
        plan.contexts = [context]
        plan.layerSample = sample
        plan.text = try TextMeasurement(
            model: model, name: "sample", tokens: sample,
            options: PerplexityOptions(context: sample.count, prefill: 32))
        let run = RunRecord.current(model: model, settings: [:], command: "")
        var records: [ResultRecord] = [.run(run)]
        progress("measuring \(candidates.count) caches")
        try EvaluationRun(
            model: model, candidates: candidates, plan: plan,
            progress: { state in progress(state.step) }, isCancelled: isCancelled,
            keep: { records.append($0) }
        ).run()
        let summary = ModelSummary.make(of: [records])[0]
        let options = summary.caches.compactMap { cache in
            candidates.first { $0.name == cache.cache }.map { option($0, cache) }
        }.sorted(by: Self.precedes)
        let choice = choose(options)
        let policy = choice.flatMap { choice in
            candidates.first { $0.name == choice.cache }?.policy
        }
        return Advice(
            model: summary.model, context: context, memory: memory, sampleTokens: sample.count,
            profiles: profiles, options: options, policy: policy,
            reasons: reasons(choice, options), warnings: Self.warnings(profiles, options))
    }

    private func option(_ candidate: CacheCandidate, _ summary: CacheSummary) -> Advice.Option {
        let shape = model.transformer.cacheShape
        let count = candidate.policy.byteCount(shape: shape, tokens: context)
        return Advice.Option(
            cache: candidate.name, bytes: count.total, bitsPerElement: count.bitsPerElement,
            fits: memory.map { count.total <= $0 } ?? true,
            longestContext: memory.flatMap {
                candidate.policy.longestContext(
                    shape: shape, bytes: $0, limit: model.configuration.contextLength)
            },
            grade: candidate.isReference ? .lossless : summary.grade, verdict: summary.verdict,
            attentionError: summary.medianAttentionError, summary: summary)
    }

    private static func precedes(_ a: Advice.Option, _ b: Advice.Option) -> Bool {
        (a.fits ? 0 : 1, a.grade ?? .broken, a.bytes) < (
            b.fits ? 0 : 1, b.grade ?? .broken, b.bytes
        )
    }

    private func choose(_ options: [Advice.Option]) -> Advice.Option? {
        let fitting = options.filter { $0.fits && ($0.grade ?? .broken) < .broken }
        let best = fitting.compactMap(\.grade).min() ?? .broken
        // Without a limit float16 would win, but nobody asks for advice to hear that.
        let worst = memory == nil ? max(best, .good) : best
        let able = fitting.filter { ($0.grade ?? .broken) <= worst }
        guard let smallest = able.map(\.bytes).min() else { return nil }
        func divergence(_ option: Advice.Option) -> Double {
            option.summary.isReference ? 0 : option.summary.text?.divergence?.value ?? .infinity
        }
        return able.filter { $0.bytes <= smallest + smallest / 8 }
            .min { divergence($0) < divergence($1) }
    }

    private func reasons(_ choice: Advice.Option?, _ options: [Advice.Option]) -> [String] {
        let limit = memory.map { Numbers.bytes($0) } ?? ""
        guard let choice else {
            guard let smallest = options.min(by: { $0.bytes < $1.bytes }) else { return [] }
            if !smallest.fits {
                return [
                    "no cache fits \(context) tokens into \(limit): the smallest, \(smallest.cache), takes \(Numbers.bytes(smallest.bytes))"
                        + (smallest.longestContext.map { " and holds \($0) tokens there" } ?? "")
                ]
            }
            return ["every cache that fits breaks this model; give more memory or less context"]
        }
        var reasons = ["\(choice.cache) is \(choice.verdict)"]
        reasons.append(
            "it takes \(Numbers.bytes(choice.bytes)) for \(context) tokens"
                + (memory == nil ? "" : " of the \(limit) allowed")
                + ", \(Numbers.fixed(choice.bitsPerElement, 2)) bits an element")
        if let exact = options.first(where: { $0.summary.isReference }), !exact.fits {
            reasons.append("float16 would take \(Numbers.bytes(exact.bytes))")
        }
        let smaller = options.filter {
            $0.bytes < choice.bytes && $0.grade ?? .broken > choice.grade ?? .broken
        }
        if let next = smaller.max(by: { $0.bytes < $1.bytes }) {
            reasons.append(
                "the next smaller, \(next.cache) with \(Numbers.bytes(next.bytes)): \(next.grade?.words ?? "not measured")"
            )
        }
        return reasons
    }

    private static func warnings(
        _ profiles: [KeyValueProfile], _ options: [Advice.Option]
    ) -> [String] {
        var warnings: [String] = []
        let broken = options.filter { ($0.grade ?? .lossless) >= .broken }.map(\.cache)
        if !broken.isEmpty {
            warnings.append("do not use on this model: \(broken.joined(separator: ", "))")
        }
        guard !broken.isEmpty else { return warnings }
        // Why they may have broken; where nothing did, such channels are no harm.
        let biased = profiles.reduce(0) { $0 + $1.keyBiasedChannels }
        let outliers = profiles.reduce(0) { $0 + $1.keyOutlierChannels }
        let channels = max(1, profiles.reduce(0) { $0 + $1.channels })
        let share = profiles.map(\.largestKeyShare).max() ?? 0
        func percent(_ count: Int) -> String {
            Numbers.percent(Double(count) / Double(channels))
        }
        if Double(biased) > 0.02 * Double(channels) || share > 0.5 {
            warnings.append(
                "\(percent(biased)) of its key channels have a bias larger than what they vary by, and in one head a single channel has \(Numbers.percent(share, 0)) of the energy: keys that share a scale with such channels keep few levels; take a cache that centres keys or gives each channel its range"
            )
        } else if Double(outliers) > 0.02 * Double(channels) {
            warnings.append(
                "\(percent(outliers)) of its key channels are outliers: prefer caches that scale each channel"
            )
        }
        return warnings
    }
}
