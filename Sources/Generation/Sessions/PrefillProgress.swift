import Synchronization

/// How far the pass in work has come, counted in layers; read from any thread.
final class PrefillProgress: Sendable {
    private let done = Atomic<Int>(0)
    private let due = Atomic<Int>(0)

    func begin(layers: Int) {
        done.store(0, ordering: .relaxed)
        due.store(layers, ordering: .relaxed)
    }

    func step() { done.add(1, ordering: .relaxed) }

    func end() { due.store(0, ordering: .relaxed) }

    /// From 0 to 1; `nil` between passes.
    var fraction: Double? {
        let due = due.load(ordering: .relaxed)
        guard due > 0 else { return nil }
        // A layer is counted when it begins.
        let done = done.load(ordering: .relaxed)
        return min(1, Double(max(0, done - 1)) / Double(due))
    }
}

/// Set from one thread, read from another.
final class CancellationFlag: Sendable {
    private let value = Atomic<Bool>(false)
    var isCancelled: Bool { value.load(ordering: .relaxed) }
    func cancel() { value.store(true, ordering: .relaxed) }
}
