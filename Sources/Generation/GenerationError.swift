public import Foundation

/// Why text cannot be generated or scored; each message says what to do.
public enum GenerationError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    case parameterOutOfRange(String)
    case emptyPrompt
    case contextTooLong(tokens: Int, limit: Int)
    case textTooShort(tokens: Int, needed: Int)
    case noChatTemplate
    case cancelled

    public var description: String {
        switch self {
        case .parameterOutOfRange(let what): "\(what)."
        case .emptyPrompt: "the prompt has no tokens; give some text."
        case .contextTooLong(let tokens, let limit):
            "\(tokens) tokens do not fit the model's context of \(limit); shorten the text, or start a new session."
        case .textTooShort(let tokens, let needed):
            "the text has \(tokens) tokens, but \(needed) are needed; give more text, or a smaller --context."
        case .noChatTemplate:
            "the model's chat template is missing or of a kind that is not supported (ChatML, Llama 2, Llama 3, Mistral and Gemma are); use a plain prompt."
        case .cancelled: "cancelled."
        }
    }

    public var errorDescription: String? { description }
}
