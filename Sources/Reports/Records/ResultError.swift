public import Foundation

/// Why results cannot be read, written or shown; each message says what to do.
public enum ResultError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    case unreadable(path: String, reason: String)
    case badLine(path: String, line: Int, reason: String)
    case unwritable(path: String, reason: String)
    /// The file is of another run.
    case otherRun(path: String, what: String)
    case nothingToShow(String)

    public var description: String {
        switch self {
        case .unreadable(let path, let reason): "cannot read \(path): \(reason)."
        case .badLine(let path, let line, let reason):
            "\(path), line \(line): \(reason). The file is damaged or not one of results; remove the line, or give another file."
        case .unwritable(let path, let reason):
            "cannot write \(path): \(reason). What was measured until then is kept in it."
        case .otherRun(let path, let what):
            "\(path) holds results of another run (\(what)); give another file, or remove it to start anew."
        case .nothingToShow(let what): "\(what)."
        }
    }

    public var errorDescription: String? { description }
}
