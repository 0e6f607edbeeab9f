/// What a model file says about its tokenizer, before any of it is interpreted.
///
/// Both kinds of file, GGUF metadata and `tokenizer.json`, are brought to this shape.
/// Pieces are bytes, not `String`: Swift compares strings by canonical equivalence, and a vocabulary may hold two
/// pieces that differ only in normalization.
public struct TokenizerFields: Sendable {
    /// How text is cut into tokens.
    public enum Model: Sendable, Equatable {
        /// Byte-level byte-pair encoding with ranked merges (GPT-2, SmolLM, Llama 3, Qwen2).
        case byteLevelBPE
        /// SentencePiece with scores and byte fallback (Llama 2, Mistral, Gemma).
        case sentencePiece
    }

    /// SentencePiece's kinds of piece, with the numbers that GGUF stores.
    public enum Kind: Int32, Sendable {
        case normal = 1
        case unknown = 2
        case control = 3
        case userDefined = 4
        case unused = 5
        case byte = 6
    }

    public var model: Model
    /// The pre-tokenizer's name as GGUF writes it (`gpt-2`, `smollm`, `llama-bpe`, `qwen2`, …); `nil` if unnamed.
    public var preTokenizer: String?
    /// UTF-8 bytes of each piece, in the file's own alphabet (byte-level BPE stores bytes as printable characters).
    public var pieces: [[UInt8]]
    public var scores: [Float]
    public var kinds: [Kind]
    /// Merge rules, best first, each `left right` with one blank between.
    public var merges: [[UInt8]]
    public var beginningOfSequence: Int32?
    public var endOfSequence: Int32?
    public var endOfTurn: Int32?
    public var unknown: Int32?
    public var padding: Int32?
    public var addsBeginningOfSequence: Bool
    public var addsEndOfSequence: Bool
    public var addsSpacePrefix: Bool
    /// The chat template's Jinja source, if the file has one.
    public var chatTemplate: String?
    /// How text is normalized, cut and joined, where the file spells it out (`tokenizer.json`).
    /// `nil` where it only names it (GGUF): see ``TokenizerRules/init(inferredFrom:)``.
    public var rules: TokenizerRules?

    public init(
        model: Model, preTokenizer: String? = nil, pieces: [[UInt8]], scores: [Float] = [],
        kinds: [Kind] = [],
        merges: [[UInt8]] = [], beginningOfSequence: Int32? = nil, endOfSequence: Int32? = nil,
        endOfTurn: Int32? = nil, unknown: Int32? = nil, padding: Int32? = nil,
        addsBeginningOfSequence: Bool = false,
        addsEndOfSequence: Bool = false, addsSpacePrefix: Bool = false, chatTemplate: String? = nil,
        rules: TokenizerRules? = nil
    ) {
        self.model = model
        self.preTokenizer = preTokenizer
        self.pieces = pieces
        self.scores = scores
        self.kinds = kinds
        self.merges = merges
        self.beginningOfSequence = beginningOfSequence
        self.endOfSequence = endOfSequence
        self.endOfTurn = endOfTurn
        self.unknown = unknown
        self.padding = padding
        self.addsBeginningOfSequence = addsBeginningOfSequence
        self.addsEndOfSequence = addsEndOfSequence
        self.addsSpacePrefix = addsSpacePrefix
        self.chatTemplate = chatTemplate
        self.rules = rules
    }
}
