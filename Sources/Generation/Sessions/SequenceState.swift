import Foundation
package import KVCache
import ModelFiles
import Transformer

/// A sequence's tokens, cache and memory, and the passes that advance it. Not thread-safe.
///
///     tokens   t₀ t₁ t₂ t₃ t₄ t₅ t₆ t₇
///     cache    ───────────────── ▲ tokenCount: t₆ and t₇ have not run
///
/// The cache may lag behind the tokens: the last generated token has not run yet, nor has a cancelled prompt.
package final class SequenceState {
    /// Passes of fewer tokens are finished before cancellation is heeded.
    static let shortPass = 32

    let model: LanguageModel
    let policy: CachePolicy
    package private(set) var cache: SequenceCache
    private let workspace: Workspace
    package private(set) var tokens: [Int32] = []
    /// The sampler's random numbers after the last run.
    var randomState: UInt64?
    /// Whether the workspace, or `restoredLogits`, is about the token after the last one that ran.
    private var hasLogits = false
    /// Logits that came from a file.
    private var restoredLogits: [Float] = []

    /// - Parameter calibration: of the model, for policies that need one.
    package convenience init(
        model: LanguageModel, policy: CachePolicy, calibration: CacheCalibration? = nil
    ) throws(PolicyError) {
        self.init(
            model: model,
            cache: try SequenceCache(
                shape: model.transformer.cacheShape, policy: policy, calibration: calibration,
                workers: model.transformer.workers))
    }

    private init(model: LanguageModel, cache: SequenceCache) {
        self.model = model
        self.cache = cache
        policy = cache.policy
        workspace = model.transformer.makeWorkspace()
    }

    /// A state to be filled from a file, which brings its codebooks along.
    static func awaitingRestore(
        model: LanguageModel, policy: CachePolicy
    ) throws(PolicyError) -> SequenceState {
        let shape = model.transformer.cacheShape
        return SequenceState(
            model: model,
            cache: try SequenceCache(
                shape: shape, policy: policy, calibration: nil, workers: model.transformer.workers
            ) { layer, layerPolicy in
                CodebookState(policy: layerPolicy, shape: shape.layers[layer], tables: nil)
            })
    }

    func reset() throws(PolicyError) {
        cache = try cache.emptied(workers: model.transformer.workers)
        tokens = []
        randomState = nil
        forgetLogits()
    }

    private func forgetLogits() {
        hasLogits = false
        restoredLogits = []
    }

    // MARK: - Advancing

    /// Appends tokens that have not run. The caller has checked that they are in the vocabulary.
    package func append(_ new: some Sequence<Int32>) { tokens += new }

    /// Whether there is something to predict from without another pass.
    var isCurrent: Bool { hasLogits && cache.tokenCount == tokens.count }

    package func advance(isCancelled: @Sendable () -> Bool) throws {
        try advance(progress: nil, isCancelled: isCancelled)
    }

    /// Runs every token that the cache does not hold, several of them as a prompt. Afterwards ``withLogits(_:)`` is
    /// about the next token.
    ///
    /// A pass that stops between layers leaves a cache that can only be thrown away, so one over a filled cache works
    /// on a copy, which takes its memory twice for that time. Short ones are not worth it and do not stop.
    ///
    /// - Throws: ``GenerationError/cancelled``. No token and nothing of the cache is lost; the next call does it again.
    func advance(progress: PrefillProgress?, isCancelled: @Sendable () -> Bool) throws {
        let pending = Array(tokens[cache.tokenCount...])
        guard !pending.isEmpty else { return }
        if isCancelled() { throw GenerationError.cancelled }
        let isShort = pending.count < Self.shortPass
        let target = isShort ? cache : try cache.copy(workers: model.transformer.workers)
        progress?.begin(layers: cache.shape.layers.count)
        defer { progress?.end() }
        forgetLogits()
        do {
            try model.transformer.forward(
                tokens: pending, cache: target, meaning: pending.count > 1 ? .prompt : .decode,
                workspace: workspace,
                isCancelled: {
                    progress?.step()
                    return !isShort && isCancelled()
                })
        } catch TransformerError.cancelled {
            throw GenerationError.cancelled
        }
        cache = target
        hasLogits = true
    }

    /// Calls `body` with the logits of the next token, which it may change. Only after ``advance(isCancelled:)``.
    package func withLogits<Result>(
        _ body: (UnsafeMutableBufferPointer<Float>) -> Result
    ) -> Result {
        if restoredLogits.isEmpty { return body(workspace.logits) }
        return restoredLogits.withUnsafeMutableBufferPointer { body($0) }
    }

    // MARK: - Saving

    /// What a file holds besides tokens and cache.
    private struct Saved: Codable {
        var randomState: UInt64?
        /// float32, little endian; only if the cache holds every token, so that none is left to compute them from.
        var logits: Data?
    }

    func save(to path: String) throws(SnapshotError) {
        var saved = Saved(randomState: randomState, logits: nil)
        if isCurrent { saved.logits = withLogits { Data(buffer: $0) } }
        let data: Data
        do { data = try JSONEncoder().encode(saved) } catch {
            throw .cannotWrite(path: path, bytes: cache.allocatedBytes, reason: "\(error)")
        }
        try CacheSnapshot.write(
            cache, tokens: tokens, fingerprint: model.fingerprint, state: data, to: path)
    }

    /// Fills a new state from a file. If this throws, the state must be thrown away.
    func restore(from path: String) throws(SnapshotError) {
        let contents = try CacheSnapshot.read(path, into: cache, fingerprint: model.fingerprint)
        let vocabulary = Int32(clamping: model.configuration.vocabularySize)
        guard contents.tokens.allSatisfy({ (0..<vocabulary).contains($0) }) else {
            throw .damaged(path: path, "a token is not in the vocabulary")
        }
        guard let data = contents.state,
            let saved = try? JSONDecoder().decode(Saved.self, from: data)
        else { throw .damaged(path: path, "its session cannot be read") }
        tokens = contents.tokens
        randomState = saved.randomState
        guard let logits = saved.logits, cache.tokenCount == tokens.count,
            logits.count == 4 * model.configuration.vocabularySize
        else { return }
        restoredLogits = logits.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map {
                Float(
                    bitPattern: UInt32(
                        littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
            }
        }
        hasLogits = true
    }
}
