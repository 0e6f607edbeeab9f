import Crypto
public import Generation
import KVCache
import ModelFiles
public import Reports
import Transformer

/// A text whose windows go through several caches side by side.
///
///     window   t₀ … t_{prefill−1} | t_prefill …           | …                  t_{context−1}
///              one prompt for all | chunk: reference, then each cache  | chunk …
///
/// In each chunk the reference runs first and its distributions are kept; every cache's are compared with them token by token.
/// The tokens of a chunk are run with the meaning `decode`, so a chunk is a matter of memory only.
public struct TextMeasurement: Sendable {
    public var model: LanguageModel
    /// Name of the text in results.
    public var name: String
    public var tokens: [Int32]
    public var options: PerplexityOptions

    /// - Parameter options: with `scoredFrom`, only tokens from that position of a window on are scored.
    /// - Throws: `GenerationError` if the text is too short or the context too long.
    public init(
        model: LanguageModel, name: String, tokens: [Int32], options: PerplexityOptions
    ) throws(GenerationError) {
        self.model = model
        self.name = name
        self.tokens = tokens
        self.options = options
        try options.validate(tokens: tokens.count, limit: model.configuration.contextLength)
    }

    /// Tells one text from another of the same name.
    public static func digest(of tokens: [Int32]) -> String {
        let hash = tokens.withUnsafeBytes { SHA256.hash(data: $0) }
        return hash.prefix(4).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
            .joined()
    }

    /// Measures one window.
    ///
    /// - Parameters:
    ///   - candidates: that are compared with the reference; the reference itself may be among them.
    ///   - isCancelled: asked between layers.
    /// - Returns: a record a candidate.
    /// - Throws: `GenerationError.cancelled` or `PolicyError`.
    public func measure(
        offset: Int, candidates: [CacheCandidate], isCancelled: @escaping @Sendable () -> Bool
    ) throws -> [TextRecord] {
        var window = Array(tokens[offset..<offset + options.context])
        if let beginning = model.tokenizer.rules.prefix.first { window[0] = beginning }
        let others = candidates.filter { !$0.isReference }
        var tallies = [Tally](repeating: Tally(), count: others.count)
        var base = Tally()
        let clock = ContinuousClock()
        let workspace = model.transformer.makeWorkspace()
        // As Perplexity: losses are of the cache's numbers, not of this processor's shortcuts.
        workspace.arithmetic = .float
        let vocabulary = model.configuration.vocabularySize
        let first = options.scoredFrom ?? options.prefill
        let chunk = LogitReference.capacity(vocabulary: vocabulary, most: Workspace.chunk)
        let logits = LogitReference(vocabulary: vocabulary, capacity: chunk)
        let reference: SequenceCache
        let caches: [SequenceCache]
        do {
            // The last token of the prompt is decoded, so that the first score depends on the cache.
            var start = options.prefill - 1
            let read = try SharedPrompt.read(
                Array(window[..<start]), [.reference] + others, model: model,
                workspace: workspace, arithmetic: .float, isCancelled: isCancelled)
            reference = read[0]
            caches = Array(read[1...])
            while start < window.count - 1 {
                let span = start..<min(start + chunk, window.count - 1)
                logits.removeAll()
                var began = clock.now
                try model.transformer.forward(
                    tokens: Array(window[span]), cache: reference, meaning: .decode, logits: .all,
                    workspace: workspace,
                    receive: { row, values in
                        let position = span.lowerBound + row + 1
                        let loss = logits.keep(values, next: window[position])
                        if position >= first { base.loss.add(loss) }
                    }, isCancelled: isCancelled)
                base.seconds += (clock.now - began).seconds
                for (index, cache) in caches.enumerated() {
                    began = clock.now
                    try model.transformer.forward(
                        tokens: Array(window[span]), cache: cache, meaning: .decode, logits: .all,
                        workspace: workspace,
                        receive: { row, values in
                            let position = span.lowerBound + row + 1
                            guard position >= first else { return }
                            tallies[index].add(
                                logits.compare(row, values, next: window[position]))
                        }, isCancelled: isCancelled)
                    tallies[index].seconds += (clock.now - began).seconds
                }
                start = span.upperBound
            }
        } catch TransformerError.cancelled {
            throw GenerationError.cancelled
        }
        var next = 0
        return candidates.map { candidate in
            if candidate.isReference {
                return record(candidate, offset, base, reference, isBase: true)
            }
            next += 1
            return record(candidate, offset, tallies[next - 1], caches[next - 1], isBase: false)
        }
    }

    /// Sums over the tokens of a window.
    private struct Tally {
        var loss = Moments()
        var difference = Moments()
        var divergence = Moments()
        var divergences = LogHistogram()
        var agreements = 0
        var seconds = 0.0

        mutating func add(_ token: LogitReference.Comparison) {
            loss.add(token.loss)
            difference.add(token.difference)
            divergence.add(token.divergence)
            divergences.add(token.divergence)
            if token.agrees { agreements += 1 }
        }
    }

    private func record(
        _ candidate: CacheCandidate, _ offset: Int, _ tally: Tally, _ cache: SequenceCache,
        isBase: Bool
    ) -> TextRecord {
        TextRecord(
            cache: candidate.name, text: name, offset: offset, context: options.context,
            prefill: options.prefill, scoredFrom: options.scoredFrom, loss: tally.loss,
            difference: isBase ? nil : tally.difference,
            divergence: isBase ? nil : tally.divergence,
            divergences: isBase ? nil : tally.divergences,
            agreements: isBase ? nil : tally.agreements, cacheBytes: cache.allocatedBytes,
            bitsPerElement: cache.byteCount.bitsPerElement, seconds: tally.seconds)
    }
}
