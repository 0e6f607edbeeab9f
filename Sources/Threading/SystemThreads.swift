#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

// The few POSIX calls that the pool stands on, with types that look the same on Linux and Darwin.

/// A number that no other living thread has; never 0.
func currentThreadIdentity() -> UInt { threadIdentity(pthread_self()) }

#if canImport(Darwin)
    private func threadIdentity(_ thread: pthread_t) -> UInt { UInt(bitPattern: thread) }
#else
    private func threadIdentity(_ thread: pthread_t) -> UInt { UInt(thread) }
#endif

func yieldProcessor() { _ = sched_yield() }

/// A spin's time limit.
struct Patience {
    private let limit: UInt64
    private var start: UInt64 = 0

    init(nanoseconds: UInt64) { limit = nanoseconds }

    /// Whether the time since the first call is over. Reads the clock (about 25 ns), which also paces the spin.
    var isExhausted: Bool {
        mutating get {
            let now = monotonicNanoseconds()
            if start == 0 { start = now }
            return now &- start > limit
        }
    }

    private func monotonicNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}

/// A mutex that a condition can wait with.
final class SystemLock: @unchecked Sendable {
    fileprivate let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    init() {
        let status = pthread_mutex_init(mutex, nil)
        precondition(status == 0, "the system has no memory for a mutex")
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    func lock() { pthread_mutex_lock(mutex) }
    func unlock() { pthread_mutex_unlock(mutex) }
}

final class SystemCondition: @unchecked Sendable {
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        let status = pthread_cond_init(condition, nil)
        precondition(status == 0, "the system has no memory for a condition variable")
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
    }

    func wait(_ lock: SystemLock) { pthread_cond_wait(condition, lock.mutex) }
    func broadcast() { pthread_cond_broadcast(condition) }
}

/// A thread that runs one closure and is joined once.
struct HelperThread: @unchecked Sendable {
    private let thread: pthread_t

    private final class Entry {
        let action: @Sendable () -> Void
        init(_ action: @escaping @Sendable () -> Void) { self.action = action }
    }

    /// `nil` if the system refuses another thread.
    init?(_ action: @escaping @Sendable () -> Void) {
        let entry = Unmanaged.passRetained(Entry(action))
        #if canImport(Darwin)
            var created: pthread_t?
            let status = pthread_create(&created, nil, { Self.enter($0) }, entry.toOpaque())
        #else
            var created = pthread_t()
            let status = pthread_create(&created, nil, { Self.enter($0!) }, entry.toOpaque())
        #endif
        guard status == 0 else {
            entry.release()
            return nil
        }
        #if canImport(Darwin)
            thread = created!
        #else
            thread = created
        #endif
    }

    private static func enter(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        Unmanaged<Entry>.fromOpaque(argument).takeRetainedValue().action()
        return nil
    }

    var identity: UInt { threadIdentity(thread) }

    func join() { pthread_join(thread, nil) }
}
