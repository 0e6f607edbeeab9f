/// Runs the same body over many task numbers on a fixed set of threads, and waits for all of them (fork–join).
///
/// Matrix products and attention over a long cache split their work through one pool per model.
///
/// A decode step makes hundreds of short runs, so between runs the threads first spin for about 100 µs, which
/// makes a run start within a microsecond, and then sleep, so an idle pool uses no processor. A run does
/// not wait for a thread that is still asleep: whoever is awake takes the tasks.
///
/// Simultaneous runs from several threads take turns. A run from inside a body of the same pool executes at
/// once on the calling thread, under that thread's worker number.
public final class WorkerPool: Sendable {
    /// Threads that take part, the caller's own included.
    public let threads: Int

    private let crew: Crew
    private let helpers: [HelperThread]

    /// - Parameter threads: threads that take part, 1 to 65535. One is the caller of ``run(count:_:)``; the
    ///   others are started here and end when the pool is deinitialised. If the system refuses a thread, the
    ///   pool has fewer (see ``threads``).
    public init(threads: Int) {
        precondition((1...0xFFFF).contains(threads), "a worker pool has 1 to 65535 threads")
        let crew = Crew(capacity: threads)
        var helpers: [HelperThread] = []
        for worker in 1..<max(1, threads) {
            guard let helper = HelperThread({ crew.help(worker: worker) }) else { break }
            crew.register(helper.identity, worker: worker)
            helpers.append(helper)
        }
        self.crew = crew
        self.helpers = helpers
        self.threads = helpers.count + 1
    }

    deinit {
        crew.dismiss()
        for helper in helpers { helper.join() }
    }

    /// Calls `body(task, worker)` once for each task in `0 ..< count`, from up to `threads` threads, and returns
    /// when all calls have returned. `worker` is in `0 ..< threads`; no two simultaneous calls share it, so it can
    /// index scratch memory. Tasks are handed out in order, one at a time.
    ///
    /// Lending the closure to other threads allocates one small object (about 30 ns); see
    /// ``run(count:context:_:)`` for none.
    public func run(count: Int, _ body: (_ task: Int, _ worker: Int) -> Void) {
        withoutActuallyEscaping(body) { body in
            withUnsafePointer(to: LentBody(call: body)) { lent in
                run(count: count, context: lent) { context, task, worker in
                    context.assumingMemoryBound(to: LentBody.self).pointee.call(task, worker)
                }
            }
        }
    }

    /// The same with a function that captures nothing and is given `context` instead: neither allocates nor counts
    /// references.
    ///
    /// - Parameter context: what all calls share, valid until the run returns.
    public func run(
        count: Int, context: UnsafeRawPointer,
        _ body: @convention(c) (_ context: UnsafeRawPointer, _ task: Int, _ worker: Int) -> Void
    ) {
        guard count > 0 else { return }
        if let worker = crew.workerOfCurrentThread() {
            for task in 0..<count { body(context, task, worker) }
            return
        }
        crew.lead {
            if count == 1 || threads == 1 {
                for task in 0..<count { body(context, task, 0) }
            } else {
                crew.perform(Job(count: count, context: context, body: body))
            }
        }
    }
}

/// In a struct, because a closure passed as a generic argument would be wrapped in another one.
private struct LentBody {
    let call: (Int, Int) -> Void
}
