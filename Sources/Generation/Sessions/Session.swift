import Dispatch
import Foundation
public import KVCache
import ModelFiles
import Synchronization
import Transformer

/// One sequence: its tokens and their cache. Passes run one after another on the session's own queue, so a session
/// can be used from any task.
public final class Session: @unchecked Sendable {
    public let model: LanguageModel
    public let policy: CachePolicy
    private let queue = DispatchQueue(label: "innerq.session", qos: .userInitiated)
    // Touched on `queue` only.
    private let state: SequenceState
    private let published = Mutex(GenerationStatistics())
    private let progress = PrefillProgress()
    /// Flags of the run in work and of those that wait for it.
    private let running = Mutex<[CancellationFlag]>([])

    /// - Parameter calibration: of the model, for policies that need one (``CachePolicy/needsCalibration``).
    /// - Throws: `PolicyError` if the policy does not fit the model, or the calibration neither.
    public init(
        model: LanguageModel, policy: CachePolicy, calibration: CacheCalibration? = nil
    ) throws(PolicyError) {
        self.model = model
        self.policy = policy
        try calibration?.check(model)
        state = try SequenceState(model: model, policy: policy, calibration: calibration)
    }

    private init(model: LanguageModel, state: SequenceState) {
        self.model = model
        self.policy = state.policy
        self.state = state
    }

    /// Statistics of the last run; complete when its stream has ended.
    public var statistics: GenerationStatistics { published.withLock { $0 } }

    /// All tokens so far, prompts and replies. Waits for a run in progress.
    public var tokens: [Int32] { queue.sync { state.tokens } }

    /// Bytes of the cache. Waits for a run in progress.
    public var cacheBytes: CacheByteCount { queue.sync { state.cache.byteCount } }

    /// How far the prompt in work has come, from 0 to 1; `nil` when there is none.
    public var prefillProgress: Double? { progress.fraction }

    // MARK: - Generating

    /// Continues with a text. The first text of a session begins with the model's beginning-of-sequence token, if it
    /// uses one. An empty text goes on where the last run ended.
    ///
    /// - Parameter parsesSpecialTokens: whether text like `<|im_end|>` means the special token.
    /// - Returns: tokens as they come; iterating throws ``GenerationError``.
    public func generate(
        _ prompt: String, options: GenerationOptions = GenerationOptions(),
        parsesSpecialTokens: Bool = false
    ) -> TokenStream {
        run(options) { [tokenizer = model.tokenizer] tokens in
            if prompt.isEmpty, !tokens.isEmpty { return [] }
            return tokenizer.encode(
                prompt, addSpecial: tokens.isEmpty, parseSpecial: parsesSpecialTokens)
        }
    }

    /// Continues with tokens. None goes on where the last run ended.
    public func generate(
        tokens: [Int32], options: GenerationOptions = GenerationOptions()
    ) -> TokenStream {
        run(options) { _ in tokens }
    }

    /// Ends the run in work after its present layer, and those that wait for it. Their streams end as usual, with
    /// ``StopReason/cancelled`` in the statistics, and the session stays usable.
    public func cancel() {
        running.withLock { for flag in $0 { flag.cancel() } }
    }

    /// Forgets everything. Waits for a run in progress.
    public func reset() {
        queue.sync {
            // The policy fitted the model when the session was made.
            try? state.reset()
            published.withLock { $0 = GenerationStatistics() }
        }
    }

    /// - Parameter prompt: makes the prompt from the tokens so far.
    func run(
        _ options: GenerationOptions,
        prompt: @escaping @Sendable (_ tokens: [Int32]) throws -> [Int32]
    ) -> TokenStream {
        let flag = CancellationFlag()
        running.withLock { $0.append(flag) }
        let (stream, continuation) = AsyncThrowingStream<GeneratedToken, any Error>.makeStream()
        continuation.onTermination = { _ in flag.cancel() }
        queue.async { [self] in
            let result = Result {
                try GenerationRun(
                    state: state, options: options, progress: progress,
                    isCancelled: { flag.isCancelled }
                ).run(
                    prompt(state.tokens),
                    statistics: { value in published.withLock { $0 = value } },
                    emit: { continuation.yield($0) })
            }
            running.withLock { flags in flags.removeAll { $0 === flag } }
            switch result {
            case .success: continuation.finish()
            case .failure(let error): continuation.finish(throwing: error)
            }
        }
        return TokenStream(stream: stream, flag: flag)
    }

    // MARK: - Saving

    /// Saves tokens, cache and the sampler's random numbers to a file. Waits for a run in progress.
    public func save(to path: String) throws(SnapshotError) {
        let result: Result<Void, SnapshotError> = queue.sync {
            do throws(SnapshotError) {
                return .success(try state.save(to: path))
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    /// The session that was saved in a file, to continue bit for bit.
    ///
    /// - Parameter policy: refuses a file of another policy; `nil` takes the file's.
    /// - Throws: `SnapshotError`, or `PolicyError` if the file's policy does not fit the model.
    public static func restore(
        from path: String, model: LanguageModel, policy: CachePolicy? = nil
    ) throws -> Session {
        let policy = try policy ?? CacheSnapshot.policy(of: path)
        let state = try SequenceState.awaitingRestore(model: model, policy: policy)
        try state.restore(from: path)
        return Session(model: model, state: state)
    }
}
