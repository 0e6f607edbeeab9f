public import Foundation

/// Why a tokenizer could not be made from a file's fields.
///
/// Encoding and decoding never fail: every error is found when the tokenizer is built.
public enum TokenizerError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// The bytes are not JSON (RFC 8259); `offset` counts bytes from the file's beginning.
    case malformedJSON(file: String, offset: Int, reason: String)
    /// A JSON member has another type than the format prescribes.
    case wrongType(path: String, expected: String)
    /// A member that the tokenizer cannot do without.
    case missing(path: String)
    /// The file asks for something that this library does not implement.
    case unsupported(what: String, found: String, supported: String)
    /// There are no pieces.
    case emptyVocabulary
    /// Two lists that run in parallel differ in length.
    case countMismatch(what: String, found: Int, expected: Int)
    /// An id points outside of the vocabulary.
    case idOutOfRange(what: String, id: Int, count: Int)
    /// Two ids share one piece.
    case duplicatePiece(piece: String, first: Int, second: Int)
    /// Two pieces share one id.
    case duplicateID(id: Int, first: String, second: String)
    /// A byte-pair vocabulary without merge rules.
    case missingMerges
    /// A merge rule that does not name two pieces whose concatenation is a piece.
    case invalidMerge(index: Int, reason: String)
    /// A score that is not a number.
    case invalidScore(id: Int)
    /// A file or list beyond what this library accepts.
    case tooLarge(what: String, found: Int, limit: Int)

    public var description: String {
        switch self {
        case .malformedJSON(let file, let offset, let reason):
            "\(file) is not valid JSON at byte \(offset): \(reason). Download the file again."
        case .wrongType(let path, let expected):
            "tokenizer: \(path) is not \(expected). Check that the file is a Hugging Face "
                + "tokenizer of a kind that this library reads (BPE)."
        case .missing(let path):
            "tokenizer: \(path) is missing. Re-export the model with its tokenizer."
        case .unsupported(let what, let found, let supported):
            "tokenizer: \(what) “\(found)” is not supported. Supported: \(supported)."
        case .emptyVocabulary:
            "tokenizer: the vocabulary is empty. Use a model file that contains its tokenizer."
        case .countMismatch(let what, let found, let expected):
            "tokenizer: \(found) \(what) for \(expected) pieces. The file is damaged; "
                + "download or convert it again."
        case .idOutOfRange(let what, let id, let count):
            "tokenizer: \(what) is \(id), outside of the \(count) pieces. The file is damaged "
                + "or its tokenizer belongs to another model."
        case .duplicatePiece(let piece, let first, let second):
            "tokenizer: ids \(first) and \(second) are both the piece “\(piece)”. "
                + "Convert the model again."
        case .duplicateID(let id, let first, let second):
            "tokenizer: “\(first)” and “\(second)” both have id \(id). Convert the model again."
        case .missingMerges:
            "tokenizer: byte-pair encoding needs merge rules and the file has none. "
                + "Convert the model again with its merges."
        case .invalidMerge(let index, let reason):
            "tokenizer: merge rule \(index) \(reason). The file is damaged or its merges "
                + "belong to another vocabulary."
        case .invalidScore(let id):
            "tokenizer: the score of piece \(id) is not a number. The file is damaged."
        case .tooLarge(let what, let found, let limit):
            "tokenizer: \(what) is \(found), more than the \(limit) accepted."
        }
    }

    public var errorDescription: String? { description }
}

/// Shows untrusted bytes in an error without letting them fill the terminal.
func preview(_ bytes: some Collection<UInt8>) -> String {
    let head = String(decoding: bytes.prefix(48), as: UTF8.self)
    let clean = String(
        head.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : Character($0) })
    return bytes.count > 48 ? clean + "…" : clean
}
