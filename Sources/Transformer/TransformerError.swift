public import Foundation

/// Why a forward pass did not happen or did not finish.
public enum TransformerError: Error, Sendable, Equatable {
    /// There were no tokens.
    case noTokens
    /// A token is not in the vocabulary.
    case tokenOutOfRange(Int32, index: Int, vocabularySize: Int)
    /// The cache was made for another shape than ``TransformerModel/cacheShape``.
    case foreignCache
    /// The workspace was made by another model.
    case foreignWorkspace
    /// The layers of the cache hold different tokens, after a pass that was cancelled.
    case brokenCache
    /// The caller asked to stop. The cache must be thrown away.
    case cancelled
}

extension TransformerError: CustomStringConvertible, LocalizedError {
    public var description: String {
        switch self {
        case .noTokens:
            "There are no tokens to run. Give at least one, for example the beginning-of-sequence token."
        case .tokenOutOfRange(let token, let index, let size):
            "Token \(token) at index \(index) is not in the vocabulary of \(size). Use the model's own tokenizer."
        case .foreignCache:
            "The cache was made for a model of another shape. Make it with the model's cacheShape."
        case .foreignWorkspace:
            "The workspace was made by another model. Make it with this model's makeWorkspace()."
        case .brokenCache:
            "The cache is left over from a cancelled pass. Start a new one."
        case .cancelled: "The pass was cancelled; its cache cannot be used any more."
        }
    }

    public var errorDescription: String? { description }
}
