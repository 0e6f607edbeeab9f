import Foundation
import KVCache
import ModelFiles
import Transformer

/// Tokens that went through the model together, and what they saw of each other.
///
/// A sequence remembers its passes, so that a cache lost to a cancelled pass can be made again bit for bit: a token
/// of a prompt saw the whole prompt in float16, a decoded one did not.
struct TokenPass: Codable, Hashable {
    var count: Int
    var isPrompt: Bool

    var meaning: AttentionMeaning { isPrompt ? .prompt : .decode }
}

/// A sequence's tokens, cache and memory, and the passes that advance it. Not thread-safe.
///
///     tokens   t₀ t₁ t₂ t₃ t₄ t₅ t₆ t₇
///     passes   [ prompt  ][decode]          planned: those that ran, and a cancelled one that has to run again
///     cache    ───────────────── ▲ tokenCount
///
/// The cache may lag behind the tokens: the last generated token has not run yet, and after a cancelled pass the
/// cache may be empty.
final class SequenceState {
    let model: LanguageModel
    let policy: CachePolicy
    private(set) var cache: SequenceCache
    private let workspace: Workspace
    private(set) var tokens: [Int32] = []
    private(set) var passes: [TokenPass] = []
    /// The sampler's random numbers after the last run.
    var randomState: UInt64?
    /// Whether the workspace, or `restoredLogits`, is about the token after the last one.
    private var hasLogits = false
    /// Logits that came from a file.
    private var restoredLogits: [Float] = []

    init(model: LanguageModel, policy: CachePolicy) throws(PolicyError) {
        self.model = model
        self.policy = policy
        workspace = model.transformer.makeWorkspace()
        cache = try SequenceCache(
            shape: model.transformer.cacheShape, policy: policy, workers: model.transformer.workers)
    }

    func reset() {
        tokens = []
        passes = []
        randomState = nil
        dropCache()
    }

    private func dropCache() {
        hasLogits = false
        restoredLogits = []
        // The policy fitted this model before.
        if let fresh = try? SequenceCache(
            shape: cache.shape, policy: policy, workers: model.transformer.workers)
        {
            cache = fresh
        }
    }

    // MARK: - Advancing

    /// Appends tokens that have not run. The caller has checked that they are in the vocabulary.
    func append(_ new: some Sequence<Int32>) { tokens += new }

    /// Whether there is something to predict from without another pass.
    var isCurrent: Bool { hasLogits && cache.tokenCount == tokens.count }

    /// Runs every token that the cache does not hold. Afterwards ``withLogits(_:)`` is about the next token.
    ///
    /// - Throws: ``GenerationError/cancelled``: no token is lost, and the next call starts over.
    func advance(progress: PrefillProgress? = nil, isCancelled: @Sendable () -> Bool) throws {
        plan()
        progress?.begin(layers: layersDue)
        defer { progress?.end() }
        let cache = cache
        var start = 0
        for pass in passes {
            let end = start + pass.count
            defer { start = end }
            let first = max(start, cache.tokenCount)
            guard first < end else { continue }
            hasLogits = false
            restoredLogits = []
            do {
                try model.transformer.forward(
                    tokens: Array(tokens[first..<end]), cache: cache, meaning: pass.meaning,
                    logits: end == tokens.count ? .last : .none, workspace: workspace,
                    isCancelled: {
                        progress?.step()
                        return isCancelled()
                    })
            } catch TransformerError.cancelled {
                if !cache.isConsistent { dropCache() }
                throw GenerationError.cancelled
            }
            hasLogits = end == tokens.count
        }
    }

    /// Plans passes for tokens that no pass covers. Single tokens join the decoding before them.
    private func plan() {
        let new = tokens.count - passes.reduce(0) { $0 + $1.count }
        guard new > 0 else { return }
        if new == 1, let last = passes.last, !last.isPrompt {
            passes[passes.count - 1].count += 1
        } else {
            passes.append(TokenPass(count: new, isPrompt: new > 1))
        }
    }

    /// Layers that the planned passes still have to go through.
    private var layersDue: Int {
        var start = 0
        var chunks = 0
        for pass in passes {
            let end = start + pass.count
            let left = end - max(start, min(end, cache.tokenCount))
            chunks += pass.isPrompt ? min(left, 1) : (left + Workspace.chunk - 1) / Workspace.chunk
            start = end
        }
        return chunks * cache.shape.layers.count
    }

    /// Calls `body` with the logits of the next token, which it may change. Only after ``advance(progress:isCancelled:)``.
    func withLogits<Result>(
        _ body: (UnsafeMutableBufferPointer<Float>) -> Result
    ) -> Result {
        if restoredLogits.isEmpty { return body(workspace.logits) }
        return restoredLogits.withUnsafeMutableBufferPointer { body($0) }
    }

    // MARK: - Saving

    /// What a file holds besides tokens and cache.
    private struct Saved: Codable {
        var passes: [TokenPass]
        var randomState: UInt64?
        /// float32, little endian; only if the cache holds every token, so that none is left to compute them from.
        var logits: Data?
    }

    func save(to path: String) throws(SnapshotError) {
        var saved = Saved(passes: passes, randomState: randomState, logits: nil)
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
            let saved = try? JSONDecoder().decode(Saved.self, from: data),
            Self.covers(saved.passes, cached: cache.tokenCount, tokens: contents.tokens.count)
        else { throw .damaged(path: path, "its session cannot be read") }
        tokens = contents.tokens
        passes = saved.passes
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

    /// Whether passes add up to at least what is cached and at most what there is.
    private static func covers(_ passes: [TokenPass], cached: Int, tokens: Int) -> Bool {
        var left = tokens
        for pass in passes {
            guard pass.count > 0, pass.count <= left else { return false }
            left -= pass.count
        }
        return tokens - left >= cached
    }
}
