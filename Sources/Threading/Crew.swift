internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The tasks of one run.
struct Job {
    let count: Int
    let context: UnsafeRawPointer
    let body: @convention(c) (UnsafeRawPointer, Int, Int) -> Void
}

/// What the threads of one ``WorkerPool`` share. The helpers keep it alive, not the pool.
///
/// One word of state tells helpers about runs:
///
///     generation (47 bits) | closed (1 bit) | helpers that entered (16 bits)
///
/// The leader publishes a job, then a new generation with `closed` clear. A helper takes part by incrementing the
/// word (compare and exchange), which only succeeds while the run is open. When no task is left, the leader sets
/// `closed` and so learns how many helpers had entered, and waits until as many have left; a helper that
/// wakes up later finds the run closed and leaves the job alone. Only then may the job change.
final class Crew: @unchecked Sendable {
    /// Reads of the clock are between batches of this many looks at the state.
    private static let looksPerBatch = 32
    /// How long a helper spins for the next run before it sleeps, and a leader for helpers before it yields.
    private static let spinNanoseconds: UInt64 = 100_000

    private static let closed: UInt64 = 1 << 16
    private static let enteredMask: UInt64 = closed - 1
    private static let generationUnit: UInt64 = 1 << 17
    private static let dismissed = UInt64.max

    // Each counter in cache lines of its own (two of 64 bytes, since processors fetch them in pairs).
    private static let lineBytes = 128
    private let memory: UnsafeMutableRawPointer
    private let state: UnsafeMutablePointer<Atomic<UInt64>>
    private let nextTask: UnsafeMutablePointer<Atomic<Int>>
    private let left: UnsafeMutablePointer<Atomic<Int>>
    private let sleepers: UnsafeMutablePointer<Atomic<Int>>
    /// The thread that is leading a run; 0 if none.
    private let leader: UnsafeMutablePointer<Atomic<UInt>>

    private let turn = SystemLock()
    private let sleep = SystemLock()
    private let wake = SystemCondition()

    /// Identities of the helpers by worker number.
    private let identities: UnsafeMutablePointer<UInt>
    private let capacity: Int

    private var job: Job?

    init(capacity: Int) {
        self.capacity = capacity
        identities = .allocate(capacity: capacity)
        identities.initialize(repeating: 0, count: capacity)
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: 5 * Self.lineBytes, alignment: Self.lineBytes)
        self.memory = memory
        state = Self.place(Atomic(Self.closed), in: memory, line: 0)
        nextTask = Self.place(Atomic(0), in: memory, line: 1)
        left = Self.place(Atomic(0), in: memory, line: 2)
        sleepers = Self.place(Atomic(0), in: memory, line: 3)
        leader = Self.place(Atomic(0), in: memory, line: 4)
    }

    private static func place<Value: ~Copyable>(
        _ value: consuming Value, in memory: UnsafeMutableRawPointer, line: Int
    ) -> UnsafeMutablePointer<Value> {
        let pointer = (memory + line * lineBytes).bindMemory(to: Value.self, capacity: 1)
        pointer.initialize(to: value)
        return pointer
    }

    deinit {
        identities.deallocate()
        memory.deallocate()
    }

    // MARK: The leader's side

    /// Names a helper before its first run.
    func register(_ identity: UInt, worker: Int) { identities[worker] = identity }

    /// The worker number of the current thread if it is inside a body of this crew.
    func workerOfCurrentThread() -> Int? {
        let me = currentThreadIdentity()
        if leader.pointee.load(ordering: .relaxed) == me { return 0 }
        // A helper runs nothing but bodies.
        for worker in 1..<max(1, capacity) where identities[worker] == me { return worker }
        return nil
    }

    /// Makes the current thread worker 0 while `action` runs; others wait for their turn.
    func lead(_ action: () -> Void) {
        turn.lock()
        leader.pointee.store(currentThreadIdentity(), ordering: .relaxed)
        action()
        leader.pointee.store(0, ordering: .relaxed)
        turn.unlock()
    }

    /// Runs all tasks with the helpers. Only inside ``lead(_:)``.
    func perform(_ job: Job) {
        self.job = job
        nextTask.pointee.store(0, ordering: .relaxed)
        left.pointee.store(0, ordering: .relaxed)
        let old = state.pointee.load(ordering: .relaxed)
        let new = (old & ~(Self.closed | Self.enteredMask)) &+ Self.generationUnit
        // Publishing and then looking for sleepers, against a helper that announces its sleep and then looks at
        // the state: sequential consistency makes sure that one of them sees the other.
        _ = state.pointee.exchange(new, ordering: .sequentiallyConsistent)
        if sleepers.pointee.load(ordering: .sequentiallyConsistent) > 0 {
            sleep.lock()
            wake.broadcast()
            sleep.unlock()
        }
        takeTasks(worker: 0)
        let entered = Int(
            state.pointee.bitwiseOr(Self.closed, ordering: .acquiringAndReleasing).oldValue
                & Self.enteredMask)
        var patience = Patience(nanoseconds: Self.spinNanoseconds)
        while left.pointee.load(ordering: .acquiring) != entered {
            if patience.isExhausted { yieldProcessor() }
        }
    }

    /// Ends the helpers. No run may be under way.
    func dismiss() {
        _ = state.pointee.exchange(Self.dismissed, ordering: .sequentiallyConsistent)
        sleep.lock()
        wake.broadcast()
        sleep.unlock()
    }

    // MARK: The helpers' side

    /// The life of a helper thread.
    func help(worker: Int) {
        var seen = Self.closed
        while true {
            var current = awaitChange(from: seen)
            if current == Self.dismissed { return }
            let generation = current / Self.generationUnit
            while current & Self.closed == 0, current / Self.generationUnit == generation {
                let (entered, original) = state.pointee.compareExchange(
                    expected: current, desired: current + 1, ordering: .acquiringAndReleasing)
                if entered {
                    takeTasks(worker: worker)
                    left.pointee.add(1, ordering: .releasing)
                    break
                }
                current = original
            }
            if current == Self.dismissed { return }
            seen = generation * Self.generationUnit
        }
    }

    /// Waits until the state shows another generation than `seen` does.
    private func awaitChange(from seen: UInt64) -> UInt64 {
        let generation = seen / Self.generationUnit
        var patience = Patience(nanoseconds: Self.spinNanoseconds)
        while !patience.isExhausted {
            for _ in 0..<Self.looksPerBatch {
                let current = state.pointee.load(ordering: .acquiring)
                if current / Self.generationUnit != generation { return current }
            }
        }
        sleep.lock()
        defer { sleep.unlock() }
        sleepers.pointee.add(1, ordering: .sequentiallyConsistent)
        defer { sleepers.pointee.subtract(1, ordering: .relaxed) }
        while true {
            let current = state.pointee.load(ordering: .sequentiallyConsistent)
            if current / Self.generationUnit != generation { return current }
            wake.wait(sleep)
        }
    }

    // MARK: Both sides

    private func takeTasks(worker: Int) {
        guard let job else { return }
        while true {
            let task = nextTask.pointee.add(1, ordering: .relaxed).oldValue
            if task >= job.count { return }
            job.body(job.context, task, worker)
        }
    }
}
