public import Foundation

/// Why a question cannot be put to a model; the message says what to do.
public enum EvaluationError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    case questionTooLong(task: String, id: String, tokens: Int, limit: Int)

    public var description: String {
        switch self {
        case .questionTooLong(let task, let id, let tokens, let limit):
            "question \(id) of \(task) takes \(tokens) tokens with its answer, and the model's context has \(limit); leave such questions out with --longest-prompt, or take fewer --shots or shorter --lengths."
        }
    }

    public var errorDescription: String? { description }
}
