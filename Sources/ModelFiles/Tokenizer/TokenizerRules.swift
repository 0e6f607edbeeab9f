/// What surrounds the vocabulary: how text is normalized, cut before it is merged, and joined
/// again.
///
/// Hugging Face writes this out as `normalizer`, `pre_tokenizer`, `post_processor` and `decoder`;
/// GGUF only names it, so ``init(inferredFrom:)`` knows what each name stands for.
public struct TokenizerRules: Sendable, Equatable {
    /// The patterns that cut text into words for byte-level byte-pair encoding.
    ///
    /// The raw value is GGUF's name (`tokenizer.ggml.pre`).
    public enum PreTokenizer: String, Sendable, CaseIterable {
        /// GPT-2's pattern: ` ?\p{L}+| ?\p{N}+|…`.
        case gpt2 = "gpt-2"
        /// Every digit is a word of its own, then GPT-2's pattern on what lies between.
        case smolLM = "smollm"
        /// Llama 3's pattern, digits in groups of up to three.
        case llama3 = "llama-bpe"
        /// Llama 3's pattern with single digits.
        case qwen2 = "qwen2"
    }

    /// Where a blank is put before text, so that a first word looks like any other word.
    public enum SpacePrefix: Sendable, Equatable {
        case never
        /// Before every stretch between special tokens, even one that begins with a blank (the
        /// normalizer `Prepend`; also what GGUF's `add_space_prefix` means).
        case always
        /// Before every stretch that does not begin with a blank already (`Metaspace` `always`,
        /// `ByteLevel` with `add_prefix_space`).
        case unlessPresent
        /// The same, but only at the very beginning of the text (`Metaspace` `first`).
        case atStartUnlessPresent
    }

    /// A token that is matched as a whole before anything else is looked at.
    public struct AddedToken: Sendable, Equatable {
        public var id: Int32
        public var content: [UInt8]
        /// Special tokens are matched only where the caller allows it.
        public var isSpecial: Bool
        /// Matched after normalization instead of before it.
        public var matchesNormalized: Bool
        /// The token swallows whitespace on its left.
        public var stripsLeft: Bool
        /// The token swallows whitespace on its right.
        public var stripsRight: Bool
        /// Matched only where no word character touches it.
        public var isSingleWord: Bool

        public init(
            id: Int32, content: [UInt8], isSpecial: Bool, matchesNormalized: Bool = false,
            stripsLeft: Bool = false, stripsRight: Bool = false, isSingleWord: Bool = false
        ) {
            self.id = id
            self.content = content
            self.isSpecial = isSpecial
            self.matchesNormalized = matchesNormalized
            self.stripsLeft = stripsLeft
            self.stripsRight = stripsRight
            self.isSingleWord = isSingleWord
        }
    }

    /// `nil` for SentencePiece, which merges across the whole text.
    public var preTokenizer: PreTokenizer?
    /// Text is brought to Unicode's normalization form C first.
    public var composesCharacters = false
    public var spacePrefix = SpacePrefix.never
    /// SentencePiece only: every `▁` begins a word that merges do not cross (`Metaspace` with
    /// `split`).
    public var splitsAtSpaces = false
    /// A word that is a piece becomes that piece, whatever the merges would make of it (Llama 3).
    public var ignoresMerges = false
    /// What no piece covers becomes the unknown token; otherwise it is dropped.
    public var emitsUnknown = false
    /// Neighbouring unknown characters become one unknown token.
    public var fusesUnknown = false
    /// Characters without a piece are spelled in the byte pieces `<0x00>` … `<0xFF>`.
    public var fallsBackToBytes = false
    /// Decoding drops one blank at the beginning of the text, the counterpart of the prefix.
    public var dropsLeadingSpace = false
    /// Tokens matched as wholes. For an id that appears here, this entry is what counts.
    public var addedTokens: [AddedToken] = []
    /// Ids that `addSpecial` puts before the text.
    public var prefix: [Int32] = []
    /// Ids that `addSpecial` puts after the text.
    public var suffix: [Int32] = []
    /// Ids that end generation besides those known by field or by name.
    public var endsOfGeneration: [Int32] = []

    public init(preTokenizer: PreTokenizer? = nil) {
        self.preTokenizer = preTokenizer
    }

    /// GGUF's spellings of the supported pre-tokenizers.
    static let namesInGGUF: [String: PreTokenizer] = [
        "gpt-2": .gpt2, "smollm": .smolLM, "llama-bpe": .llama3, "llama3": .llama3,
        "llama-v3": .llama3, "qwen2": .qwen2, "deepseek-r1-qwen": .qwen2,
    ]

    /// Chat models end a turn with one of these. A file that calls them ordinary is not believed:
    /// text that a user typed must never become one.
    static let turnMarkers: Set<String> = [
        "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|start_header_id|>",
        "<|end_header_id|>", "<|begin_of_text|>", "<|end_of_text|>", "<start_of_turn>",
        "<end_of_turn>", "<|endoftext|>", "<bos>", "<eos>", "[INST]", "[/INST]",
    ]

    /// What the fields alone say, for files (GGUF) that name their rules instead of listing them.
    ///
    /// - Throws: ``TokenizerError/unsupported(what:found:supported:)`` for a pre-tokenizer that is
    ///   unnamed or not among the supported ones.
    public init(inferredFrom fields: TokenizerFields) throws(TokenizerError) {
        switch fields.model {
        case .byteLevelBPE:
            guard let name = fields.preTokenizer, let found = Self.namesInGGUF[name] else {
                throw .unsupported(
                    what: "pre-tokenizer", found: fields.preTokenizer ?? "(none named)",
                    supported: Self.namesInGGUF.keys.sorted().joined(separator: ", "))
            }
            self.init(preTokenizer: found)
            composesCharacters = found == .qwen2
            ignoresMerges = found == .llama3
            if fields.addsSpacePrefix { spacePrefix = .unlessPresent }
        case .sentencePiece:
            self.init(preTokenizer: nil)
            spacePrefix = fields.addsSpacePrefix ? .always : .never
            dropsLeadingSpace = fields.addsSpacePrefix
            emitsUnknown = true
            fusesUnknown = true
            fallsBackToBytes = true
        }
        if fields.addsBeginningOfSequence, let id = fields.beginningOfSequence { prefix = [id] }
        if fields.addsEndOfSequence, let id = fields.endOfSequence { suffix = [id] }
    }
}
