import Dispatch
import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Ctrl-C: the first calls an action, the next one kills, unless it is armed again.
final class Interrupt: Sendable {
    /// The exit code of a program that SIGINT ended.
    static let exitCode: Int32 = 130

    private struct State {
        var action: (@Sendable () -> Void)?
        var hasFired = false
    }
    private let state = Mutex(State())
    // Only made and cancelled here; Dispatch objects may be used from any thread.
    private nonisolated(unsafe) let source: any DispatchSourceSignal

    init() {
        source = DispatchSource.makeSignalSource(
            signal: SIGINT, queue: DispatchQueue(label: "innerq.interrupt", qos: .userInteractive))
        signal(SIGINT, SIG_IGN)
        source.setEventHandler { [weak self] in self?.fire() }
        source.resume()
    }

    convenience init(_ action: @escaping @Sendable () -> Void) {
        self.init()
        arm(action)
    }

    deinit {
        source.cancel()
        signal(SIGINT, SIG_DFL)
    }

    /// Whether the action of the last ``arm(_:)`` was called.
    var hasFired: Bool { state.withLock { $0.hasFired } }

    /// Sets what the next Ctrl-C does.
    func arm(_ action: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.action = action
            state.hasFired = false
        }
    }

    /// The next Ctrl-C ends the program.
    func disarm() {
        state.withLock { $0.action = nil }
    }

    private func fire() {
        let action = state.withLock { state in
            defer {
                state.action = nil
                state.hasFired = true
            }
            return state.action
        }
        guard let action else {
            if Console.isTerminal { Console.say() }
            exit(Self.exitCode)
        }
        action()
    }
}
