import Foundation
import InnerQ

/// Shows on standard error how far a long prompt has come.
final class PrefillLine: Sendable {
    private let line = ProgressLine()
    private let task: Task<Void, Never>?

    init(_ session: Session) {
        guard Console.isTerminal else {
            task = nil
            return
        }
        task = Task { [line] in
            while !Task.isCancelled {
                if let fraction = session.prefillProgress {
                    line.show(
                        "reading the prompt: "
                            + ProgressLine.remaining(fraction, elapsed: line.elapsed))
                }
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    func end() {
        task?.cancel()
        line.end()
    }
}
