import Synchronization
import Testing
import Threading

/// Counters that bodies on several threads increment.
private final class Counters: @unchecked Sendable {
    private let cells: UnsafeMutablePointer<Atomic<Int>>
    private let count: Int

    init(_ count: Int) {
        self.count = count
        cells = .allocate(capacity: count)
        for i in 0..<count { (cells + i).initialize(to: Atomic(0)) }
    }

    deinit { cells.deallocate() }

    func increment(_ i: Int) { cells[i].add(1, ordering: .relaxed) }
    var array: [Int] { (0..<count).map { cells[$0].load(ordering: .relaxed) } }
}

@Suite struct WorkerPoolTests {
    @Test(arguments: [1, 2, 3, 8]) func everyTaskRunsExactlyOnce(threads: Int) {
        let pool = WorkerPool(threads: threads)
        #expect(pool.threads == threads)
        for count in [0, 1, 2, 7, 100, 1000] {
            let counters = Counters(count)
            pool.run(count: count) { task, worker in
                #expect((0..<threads).contains(worker))
                counters.increment(task)
            }
            #expect(counters.array == Array(repeating: 1, count: count))
        }
    }

    @Test func aFunctionWithAContextRunsLikeAClosure() {
        let pool = WorkerPool(threads: 3)
        let counters = Counters(100)
        pool.run(count: 100, context: Unmanaged.passUnretained(counters).toOpaque()) {
            context, task, _ in
            Unmanaged<Counters>.fromOpaque(context).takeUnretainedValue().increment(task)
        }
        #expect(counters.array == Array(repeating: 1, count: 100))
    }

    @Test func noTwoSimultaneousCallsShareAWorker() {
        let pool = WorkerPool(threads: 4)
        let busy = (0..<4).map { _ in Flag() }
        let collisions = Atomic(0)
        let sink = Atomic(0)
        for _ in 0..<50 {
            pool.run(count: 64) { task, worker in
                if !busy[worker].raise() { collisions.add(1, ordering: .relaxed) }
                for i in 0..<200 { sink.add(i ^ task, ordering: .relaxed) }
                busy[worker].lower()
            }
        }
        #expect(collisions.load(ordering: .relaxed) == 0)
    }

    /// Writes of the bodies are visible after the run, and those before it inside.
    @Test func shortRunsByTheThousandsStayCorrect() {
        let pool = WorkerPool(threads: 3)
        let cells = UnsafeMutablePointer<Int>.allocate(capacity: 8)
        cells.initialize(repeating: 0, count: 8)
        defer { cells.deallocate() }
        nonisolated(unsafe) let shared = cells
        var wrong = 0
        for round in 1...100_000 {
            let count = 1 + round % 8
            pool.run(count: count) { task, _ in shared[task] += task + 1 }
            for task in 0..<count {
                if cells[task] != task + 1 { wrong += 1 }
                cells[task] = 0
            }
        }
        #expect(wrong == 0)
    }

    @Test func aPoolThatHasSleptWakesUp() async throws {
        let pool = WorkerPool(threads: 2)
        for _ in 0..<5 {
            try await Task.sleep(for: .milliseconds(5))
            let counters = Counters(16)
            pool.run(count: 16) { task, _ in counters.increment(task) }
            #expect(counters.array == Array(repeating: 1, count: 16))
        }
    }

    @Test func bothThreadsTakePart() {
        let pool = WorkerPool(threads: 2)
        // Each of two tasks waits for the other to begin: only two threads can finish this.
        let begun = Atomic(0)
        pool.run(count: 2) { _, _ in
            begun.add(1, ordering: .sequentiallyConsistent)
            while begun.load(ordering: .sequentiallyConsistent) < 2 {}
        }
        #expect(begun.load(ordering: .relaxed) == 2)
    }

    @Test(arguments: [1, 3]) func aNestedRunExecutesInlineOnTheSameWorker(threads: Int) {
        let pool = WorkerPool(threads: threads)
        let total = Atomic(0)
        let moved = Atomic(0)
        pool.run(count: 20) { _, outer in
            pool.run(count: 5) { _, inner in
                if inner != outer { moved.add(1, ordering: .relaxed) }
                total.add(1, ordering: .relaxed)
            }
        }
        #expect(total.load(ordering: .relaxed) == 100)
        #expect(moved.load(ordering: .relaxed) == 0)
    }

    @Test func runsFromSeveralThreadsTakeTurns() async {
        let pool = WorkerPool(threads: 2)
        let inside = Atomic(0)
        let overlaps = Atomic(0)
        let total = Atomic(0)
        // The outer pool's threads are the callers.
        let callers = WorkerPool(threads: 4)
        callers.run(count: 200) { caller, _ in
            pool.run(count: 1 + caller % 3) { _, worker in
                if worker == 0 {
                    if inside.add(1, ordering: .sequentiallyConsistent).oldValue != 0 {
                        overlaps.add(1, ordering: .relaxed)
                    }
                    inside.subtract(1, ordering: .sequentiallyConsistent)
                }
                total.add(1, ordering: .relaxed)
            }
        }
        #expect(overlaps.load(ordering: .relaxed) == 0)
        #expect(total.load(ordering: .relaxed) == (0..<200).reduce(0) { $0 + 1 + $1 % 3 })
    }

    @Test func poolsComeAndGo() {
        for round in 0..<200 {
            let pool = WorkerPool(threads: 1 + round % 5)
            if round % 2 == 0 { continue }
            let counters = Counters(10)
            pool.run(count: 10) { task, _ in counters.increment(task) }
            #expect(counters.array == Array(repeating: 1, count: 10))
        }
    }

    @Test func theRecommendationIsPositive() {
        #expect(WorkerPool.recommendedThreads >= 1)
    }

    @Test func processorListsAreRead() {
        #expect(WorkerPool.processors(inList: "0-3,8,10-11") == [0, 1, 2, 3, 8, 10, 11])
        #expect(WorkerPool.processors(inList: "5") == [5])
        #expect(WorkerPool.processors(inList: "") == [])
        for bad in ["a", "3-1", "1-2-3", "-1", "0-99999999999", "1-"] {
            #expect(WorkerPool.processors(inList: bad) == nil)
        }
    }
}

private final class Flag: Sendable {
    private let raised = Atomic(false)
    /// Whether it was down.
    func raise() -> Bool { !raised.exchange(true, ordering: .acquiringAndReleasing) }
    func lower() { raised.store(false, ordering: .releasing) }
}
