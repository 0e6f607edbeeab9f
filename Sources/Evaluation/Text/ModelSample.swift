public import Generation
import KVCache
import ModelFiles
import Transformer

extension LanguageModel {
    /// Text that the model writes itself, drawn from its own distribution: a sample to compare caches on where no other is at
    /// hand. On it, the increase of the mean loss estimates the mean divergence from float16.
    ///
    /// - Parameters:
    ///   - count: tokens, in documents of at most 1024.
    ///   - seed: same seed, same text.
    ///   - progress: called with the tokens so far.
    ///   - isCancelled: asked between layers.
    /// - Throws: `GenerationError.cancelled`.
    public func sampleText(
        tokens count: Int, seed: UInt64, progress: (Int) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws -> [Int32] {
        let document = min(1024, configuration.contextLength)
        let workspace = transformer.makeWorkspace()
        var sampler = Sampler(
            SamplingParameters(temperature: 1, topK: 0, topP: 1, minP: 0, seed: seed))
        // Models without a token that begins texts get a line break.
        let beginning =
            tokenizer.rules.prefix.first ?? tokenizer.encode("\n", addSpecial: false).first ?? 0
        var text: [Int32] = []
        do {
            while text.count < count {
                let cache = try CacheCandidate.reference.makeCache(for: self)
                var next = beginning
                for _ in 0..<min(document, count - text.count) {
                    text.append(next)
                    try transformer.forward(
                        tokens: [next], cache: cache, meaning: .decode, workspace: workspace,
                        isCancelled: isCancelled)
                    next = sampler.sample(workspace.logits, history: [])
                    progress(text.count)
                }
            }
        } catch TransformerError.cancelled {
            throw GenerationError.cancelled
        }
        return text
    }
}
