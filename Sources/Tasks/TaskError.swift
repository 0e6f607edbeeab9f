public import Foundation

/// Why a task cannot be read or judged; each message says what to do.
public enum TaskError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// A file that cannot be read at all.
    case unreadable(path: String, reason: String)
    /// A line that is not what the task needs; lines count from 1.
    case badLine(path: String, line: Int, reason: String)
    /// A file without a single usable line.
    case noSamples(path: String)
    case parameterOutOfRange(String)
    /// The sandbox cannot be set up on this machine, or its interpreter is missing.
    case sandboxUnavailable(String)
    /// The file at `path` is not JSON lines of any task that is known here.
    case unknownTask(String)

    public var description: String {
        switch self {
        case .unreadable(let path, let reason): "cannot read \(path): \(reason)."
        case .badLine(let path, let line, let reason):
            "\(path), line \(line): \(reason). Mend the line, or leave such lines out with --bad-lines skip."
        case .noSamples(let path): "\(path) holds no sample that can be used; give another file."
        case .parameterOutOfRange(let what): "\(what)."
        case .sandboxUnavailable(let why): "generated code cannot be run safely here: \(why)."
        case .unknownTask(let what): what
        }
    }

    public var errorDescription: String? { description }
}
