import InnerQ
import Synchronization

/// The progress of an evaluation for the line that is shown while a step runs.
final class LastProgress: Sendable {
    private let state = Mutex((progress: EvaluationProgress(), first: Int?.none))

    func set(_ progress: EvaluationProgress) {
        state.withLock { state in
            // What an earlier run has done takes no time and says nothing about the rest.
            if state.first == nil { state.first = progress.done }
            state.progress = progress
        }
    }

    func text(elapsed: Double) -> String {
        state.withLock { state in
            let progress = state.progress
            let skipped = state.first ?? 0
            let left = max(progress.total - skipped, 1)
            return "\(progress.step): "
                + ProgressLine.remaining(
                    Double(progress.done - skipped) / Double(left), elapsed: elapsed)
        }
    }
}
