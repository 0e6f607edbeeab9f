import Foundation
import InnerQ
import Synchronization

/// A line on standard error that shows how far something has come: one that changes on a terminal, a new one every
/// ten seconds elsewhere. Nothing is shown for the first half second.
final class ProgressLine: Sendable {
    private struct State {
        var shown: ContinuousClock.Instant?
        var isOpen = false
        var isDone = false
    }
    private let state = Mutex(State())
    private let start = ContinuousClock.now

    /// Seconds since it was made.
    var elapsed: Double { (ContinuousClock.now - start).seconds }

    /// Shows the text, unless the last was shown a moment ago.
    func show(_ text: @autoclosure () -> String) {
        let now = ContinuousClock.now
        state.withLock { state in
            guard !state.isDone else { return }
            let pause: Duration = Console.isTerminal ? .milliseconds(100) : .seconds(10)
            let wait: Duration = Console.isTerminal ? .milliseconds(500) : .seconds(10)
            guard now - start >= wait else { return }
            if let shown = state.shown, now - shown < pause { return }
            state.shown = now
            if Console.isTerminal {
                Console.replaceLine(text())
                state.isOpen = true
            } else {
                Console.say(text())
            }
        }
    }

    /// Clears the line; nothing is shown after that.
    func end() {
        state.withLock { state in
            state.isDone = true
            if state.isOpen { Console.replaceLine("") }
            state.isOpen = false
        }
    }

    /// Loads a model and shows how far it has come.
    static func loading<Model>(
        _ load: (_ progress: (Double) -> Void) throws -> Model
    ) rethrows -> Model {
        let line = ProgressLine()
        defer { line.end() }
        return try load { line.show("loading weights: \(Int(100 * $0)) %") }
    }

    /// "34 %, 12 s, 25 s left".
    static func remaining(_ fraction: Double, elapsed: Double) -> String {
        let percent = Int(100 * min(max(fraction, 0), 1))
        guard fraction > 0.01 else { return "\(percent) %, \(Format.seconds(elapsed))" }
        let left = elapsed / fraction - elapsed
        return "\(percent) %, \(Format.seconds(elapsed)), \(Format.seconds(left)) left"
    }
}
