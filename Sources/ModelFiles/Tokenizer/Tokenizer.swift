public import Foundation

/// Turns text into token ids and back, exactly as the tokenizer that the model was trained with.
///
/// Two kinds are read, from GGUF metadata and from Hugging Face's `tokenizer.json`: byte-level
/// byte-pair encoding (GPT-2, SmolLM, Llama 3, Qwen2) and SentencePiece's byte-pair encoding with
/// scores (Llama 2, Mistral, Gemma). Ids equal those of Hugging Face's `tokenizers`.
///
/// Everything that can be wrong with a file is found when the tokenizer is made; encoding and
/// decoding never fail. An instance does not change and may be used from many threads at once.
///
/// Bytes that are not UTF-8 are accepted. Byte-level vocabularies encode them as they are, so that
/// decoding gives them back; SentencePiece spells them in byte pieces if it has them, and writes
/// the unknown token if not. A byte-level vocabulary without a piece for some byte (SmolLM2 has
/// none for twenty-one bytes that hardly occur) drops it, as Hugging Face does.
public final class Tokenizer: Sendable {
    /// How text is cut into tokens.
    public let model: TokenizerFields.Model
    /// The number of ids: valid ones are `0 ..< vocabularySize`.
    public let vocabularySize: Int
    public let beginningOfSequence: Int32?
    public let endOfSequence: Int32?
    /// The token that ends a chat turn, if the vocabulary has one (`<|im_end|>`, `<|eot_id|>`, …).
    public let endOfTurn: Int32?
    public let padding: Int32?
    public let unknown: Int32?
    /// Every id after which a model has nothing more to say, in ascending order: the end of the
    /// sequence, of the turn, of the text.
    public let endOfGeneration: [Int32]
    /// The chat template's Jinja source, if the file has one.
    public let chatTemplateSource: String?
    public let rules: TokenizerRules

    /// Pieces as the file writes them (SentencePiece: with `▁` for every blank).
    let pieces: PieceTable
    /// What each id stands for in text.
    let texts: PieceTable
    let special: [Bool]
    let byteIDs: ConstantTable<Int32>
    /// Rules by rank; `nil` for SentencePiece with scores.
    let merges: MergeTable?
    /// For each id, its place among the scores; `UInt32.max` if text cannot become this piece.
    let priorities: ConstantTable<UInt32>
    /// The id written for what has no piece, or -1.
    let unknownID: Int32
    /// For each byte, whether SentencePiece pieces join it with a following `▁`.
    let joinsMarker: ConstantTable<Bool>
    let rawMatcher: AddedTokenMatcher
    let normalizedMatcher: AddedTokenMatcher
    /// The raw matcher for prompts in segments: special tokens of both sorts.
    let segmentMatcher: AddedTokenMatcher

    /// Makes a tokenizer from what a model file says.
    ///
    /// - Throws: ``TokenizerError`` for lists of unequal length, ids outside of the vocabulary,
    ///   pieces that occur twice, missing or impossible merges, scores that are not numbers, and
    ///   pre-tokenizers that are not supported.
    public init(fields: TokenizerFields) throws(TokenizerError) {
        let build = try TokenizerBuild(fields)
        model = fields.model
        vocabularySize = fields.pieces.count
        beginningOfSequence = fields.beginningOfSequence
        endOfSequence = fields.endOfSequence
        endOfTurn = build.endOfTurn
        padding = fields.padding
        unknown = fields.unknown
        endOfGeneration = build.endOfGeneration
        chatTemplateSource = fields.chatTemplate
        rules = build.rules
        pieces = build.pieces
        texts = build.texts
        special = build.special
        byteIDs = ConstantTable(build.byteIDs)
        merges = build.merges
        priorities = ConstantTable(build.priorities)
        unknownID = build.unknownID
        joinsMarker = ConstantTable(build.joinsMarker)
        rawMatcher = build.rawMatcher
        normalizedMatcher = build.normalizedMatcher
        segmentMatcher = build.segmentMatcher
    }

    /// Makes a tokenizer from Hugging Face's files.
    ///
    /// - Parameters:
    ///   - json: `tokenizer.json`.
    ///   - config: `tokenizer_config.json`, which names the special tokens and holds the chat
    ///     template.
    ///   - chatTemplate: `chat_template.jinja`, if the template lies in a file of its own.
    /// - Throws: ``TokenizerError``.
    public convenience init(
        json: Data, config: Data? = nil, chatTemplate: String? = nil
    ) throws(TokenizerError) {
        try self.init(
            fields: TokenizerFields(json: json, config: config, chatTemplate: chatTemplate))
    }

    /// Whether the token steers the model instead of being text; `false` outside of the vocabulary.
    public func isSpecial(_ id: Int32) -> Bool {
        guard id >= 0, Int(id) < vocabularySize else { return false }
        return special[Int(id)]
    }

    /// Whether generation ends with this token.
    public func endsGeneration(_ id: Int32) -> Bool { endOfGeneration.contains(id) }

    /// The id of the token that the file writes exactly like this (`<|im_end|>`, `Ġthe`, `▁the`).
    public func id(ofPiece piece: String) -> Int32? { pieces.find(Array(piece.utf8)) }
}

extension Tokenizer: CustomStringConvertible {
    public var description: String {
        let kind =
            switch model {
            case .byteLevelBPE: "byte-level BPE (\(rules.preTokenizer?.rawValue ?? "?"))"
            case .sentencePiece: merges == nil ? "SentencePiece" : "SentencePiece with merges"
            }
        return "\(kind), \(vocabularySize) tokens"
    }
}
