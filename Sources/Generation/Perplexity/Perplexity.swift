import Foundation
public import KVCache
import ModelFiles
public import Transformer

/// Perplexity of text through a cache.
///
/// Each window of `context` tokens starts an empty cache. Its first `prefill` tokens run as a prompt, seeing each
/// other in float16; the rest are teacher-forced with the decode's meaning, at prefill speed. Tokens after the
/// prefill, or from `scoredFrom` on, are scored.
public struct PerplexityOptions: Sendable, Codable, Hashable {
    public var context: Int
    public var prefill: Int
    /// First position of a window whose token is scored; `nil` scores all after the prefill.
    public var scoredFrom: Int?
    /// First tokens of the windows.
    public var offsets: [Int]

    public init(context: Int, prefill: Int, scoredFrom: Int? = nil, offsets: [Int] = [0]) {
        self.context = context
        self.prefill = prefill
        self.scoredFrom = scoredFrom
        self.offsets = offsets
    }

    /// As llama.cpp's perplexity tool: windows side by side, the second half scored.
    public static func windows(_ count: Int, context: Int, prefill: Int? = nil) -> PerplexityOptions
    {
        PerplexityOptions(
            context: context, prefill: prefill ?? context / 2, scoredFrom: context / 2 + 1,
            offsets: (0..<count).map { $0 * context })
    }
}

/// Result of a perplexity run.
public struct PerplexityResult: Sendable, Codable {
    /// exp of the mean negative log-likelihood.
    public var perplexity: Double
    /// Standard error of the perplexity: of the mean log-likelihood over tokens, times the perplexity.
    public var standardError: Double
    public var scoredTokens: Int
    public var policy: String
    /// Perplexity of each window.
    public var windows: [Double]
    /// Cache at the end of a window.
    public var cacheBytes: Int
    public var float16Bytes: Int
    public var bitsPerElement: Double
    /// Share of elements that lay beyond the static ranges of a calibration, over all windows; `nil` without any.
    public var beyondRange: Double?
    public var seconds: Double
    /// −ln p of every scored token, in nats, for paired comparisons.
    public var negativeLogLikelihoods: [Float]
}

extension TransformerModel {
    /// Measures the perplexity of `tokens`.
    ///
    /// - Parameters:
    ///   - beginning: replaces the first token of each window, as llama.cpp does: the token that texts begin with, for
    ///     models that use one.
    ///   - calibration: of this model, for policies that need one.
    ///   - progress: called after each window with its number, the number of windows, and the perplexity so far.
    ///   - isCancelled: asked between layers.
    /// - Throws: ``GenerationError`` or `PolicyError`.
    public func perplexity(
        of tokens: [Int32], beginning: Int32? = nil, policy: CachePolicy,
        calibration: CacheCalibration? = nil, options: PerplexityOptions,
        progress: (_ done: Int, _ of: Int, _ perplexity: Double) -> Void = { _, _, _ in },
        isCancelled: @Sendable () -> Bool = { false }
    ) throws -> PerplexityResult {
        try options.validate(tokens: tokens.count, limit: configuration.contextLength)
        let clock = ContinuousClock()
        let start = clock.now
        var losses: [Float] = []
        var windows: [Double] = []
        var last: SequenceCache?
        var ranges = RangeStatistics()
        let workspace = makeWorkspace()
        // Losses are of the cache's numbers, not of this processor's shortcuts.
        workspace.arithmetic = .float
        for offset in options.offsets {
            let cache = try SequenceCache(
                shape: cacheShape, policy: policy, calibration: calibration, workers: workers)
            cache.arithmetic = .float
            var window = Array(tokens[offset..<offset + options.context])
            if let beginning { window[0] = beginning }
            let first = options.scoredFrom ?? options.prefill
            let before = losses.count
            // The logits of position i score token i + 1.
            func score(_ position: Int, _ logits: UnsafeMutableBufferPointer<Float>) {
                guard position + 1 >= first, position + 1 < window.count else { return }
                losses.append(Self.loss(logits, of: window[position + 1]))
            }
            do {
                try forward(
                    tokens: Array(window[..<options.prefill]), cache: cache, meaning: .prompt,
                    logits: .from(max(first - 1, 0)), workspace: workspace,
                    receive: { score($0, $1) }, isCancelled: isCancelled)
                if options.prefill < window.count {
                    try forward(
                        tokens: Array(window[options.prefill...]), cache: cache, meaning: .decode,
                        logits: .from(max(first - 1 - options.prefill, 0)), workspace: workspace,
                        receive: { score(options.prefill + $0, $1) }, isCancelled: isCancelled)
                }
            } catch TransformerError.cancelled {
                throw GenerationError.cancelled
            }
            windows.append(exp(Self.mean(losses[before...])))
            last = cache
            ranges.elements += cache.rangeStatistics.elements
            ranges.beyond += cache.rangeStatistics.beyond
            progress(windows.count, options.offsets.count, exp(Self.mean(losses[...])))
        }
        let mean = Self.mean(losses[...])
        var variance = 0.0
        for loss in losses { variance += (Double(loss) - mean) * (Double(loss) - mean) }
        variance /= Double(max(losses.count - 1, 1))
        return PerplexityResult(
            perplexity: exp(mean),
            standardError: exp(mean) * (variance / Double(losses.count)).squareRoot(),
            scoredTokens: losses.count, policy: policy.name, windows: windows,
            cacheBytes: last?.allocatedBytes ?? 0, float16Bytes: last?.byteCount.float16 ?? 0,
            bitsPerElement: last?.byteCount.bitsPerElement ?? 0, beyondRange: ranges.share,
            seconds: (clock.now - start).seconds, negativeLogLikelihoods: losses)
    }

    /// −ln softmax(logits)[token].
    static func loss(_ logits: UnsafeMutableBufferPointer<Float>, of token: Int32) -> Float {
        var largest = -Float.infinity
        for logit in logits { largest = max(largest, logit) }
        var sum = 0.0
        for logit in logits { sum += Double(exp(logit - largest)) }
        return Float(log(sum)) - (logits[Int(token)] - largest)
    }

    private static func mean(_ values: ArraySlice<Float>) -> Double {
        values.reduce(0.0) { $0 + Double($1) } / Double(max(values.count, 1))
    }
}

extension PerplexityOptions {
    /// Checks the options for a text of `tokens` tokens and a model whose context is `limit` tokens.
    package func validate(tokens: Int, limit: Int) throws(GenerationError) {
        guard context >= 2 else {
            throw .parameterOutOfRange("the context must be at least 2 tokens")
        }
        guard context <= limit else { throw .contextTooLong(tokens: context, limit: limit) }
        guard (1...context).contains(prefill) else {
            throw .parameterOutOfRange(
                "the prefill must be from 1 to the context's \(context) tokens")
        }
        guard (scoredFrom ?? prefill) < context else {
            throw .parameterOutOfRange(
                "no token would be scored: the prefill takes the whole context")
        }
        guard !offsets.isEmpty, offsets.allSatisfy({ $0 >= 0 }) else {
            throw .parameterOutOfRange(
                "there must be at least one window, and offsets of 0 or more")
        }
        let (needed, overflow) = (offsets.max() ?? 0).addingReportingOverflow(context)
        guard !overflow, tokens >= needed else {
            throw .textTooShort(tokens: tokens, needed: overflow ? .max : needed)
        }
    }
}
