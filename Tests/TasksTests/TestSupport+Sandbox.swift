import Foundation
import Tasks
import Testing

/// The folder of real task files that INNERQ_TASK_DATA names.
enum TaskData {
    static func path(_ name: String) -> String {
        (ProcessInfo.processInfo.environment["INNERQ_TASK_DATA"] ?? "/nowhere") + "/" + name
    }

    static func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }
}

/// The sandboxes that work on this machine.
enum Sandboxes {
    static let limits = PythonSandbox.Limits(
        seconds: 20, memoryBytes: 512 << 20, processes: 8, diskBytes: 4 << 20, outputBytes: 4096)
    static let all: [PythonSandbox] = PythonSandbox.Mechanism.allCases.compactMap {
        try? PythonSandbox(limits: limits, mechanisms: [$0])
    }

    /// The same, with a second on the clock.
    static func hasty(_ box: PythonSandbox) throws -> PythonSandbox {
        var limits = limits
        limits.seconds = 1
        return try PythonSandbox(limits: limits, mechanisms: [box.mechanism])
    }

    static let any: PythonSandbox? = try? PythonSandbox()
}

/// The suites that run programs: one after another, as their limits count processes and seconds.
@Suite(.enabled(if: !Sandboxes.all.isEmpty, "no sandbox here"), .serialized) enum InSandbox {}
