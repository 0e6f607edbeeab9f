package import Generation
package import KVCache
package import Transformer

/// Caches that take the same prompt in one pass: the first attends, the others only store.
///
/// The tokens of a prompt see each other in float16, so what the model makes of an empty cache's prompt does not depend on
/// the cache; only what is kept of it does. N caches cost one pass instead of N.
package final class SharedPrompt: AttentionStore {
    private let first: SequenceCache
    private let others: [SequenceCache]

    /// - Parameter caches: empty ones, at least one.
    init(_ caches: [SequenceCache]) {
        first = caches[0]
        others = Array(caches.dropFirst())
    }

    /// Fresh caches that hold the tokens, read in one pass.
    ///
    /// - Parameter arithmetic: of the caches; the workspace has its own.
    /// - Throws: `PolicyError`, or `TransformerError.cancelled`.
    package static func read(
        _ tokens: [Int32], _ candidates: [CacheCandidate], model: LanguageModel,
        workspace: Workspace? = nil, arithmetic: ProductArithmetic = .integer,
        isCancelled: @Sendable () -> Bool
    ) throws -> [SequenceCache] {
        let caches = try candidates.map { try $0.makeCache(for: model) }
        for cache in caches { cache.arithmetic = arithmetic }
        if !tokens.isEmpty, !caches.isEmpty {
            try model.transformer.run(
                tokens: tokens, attention: SharedPrompt(caches), meaning: .prompt, logits: .none,
                workspace: workspace ?? model.transformer.makeWorkspace(),
                isCancelled: isCancelled)
        }
        return caches
    }

    package var tokenCount: Int { first.tokenCount }

    package func attend(
        layer: Int, queries: UnsafePointer<Float>, keys: UnsafePointer<Float>,
        values: UnsafePointer<Float>, count: Int, meaning: AttentionMeaning,
        output: UnsafeMutablePointer<Float>
    ) {
        first.attend(
            layer: layer, queries: queries, keys: keys, values: values, count: count,
            meaning: meaning, output: output)
        for cache in others {
            cache.appendPrompt(
                layer: layer, queries: queries, keys: keys, values: values, count: count)
        }
    }
}
