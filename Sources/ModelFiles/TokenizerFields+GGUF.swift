extension TokenizerFields {
    /// Reads the `tokenizer.ggml.*` metadata.
    ///
    /// - Throws: ``ModelFileError`` with reason `unsupported` for a tokenizer of another kind, `malformed` if arrays
    ///   that belong together have different lengths.
    public init(gguf: GGUFReader) throws(ModelFileError) {
        func malformed(_ what: String) -> ModelFileError {
            ModelFileError(
                .malformed, path: gguf.file.path, "\(what) The file is damaged; download it again.")
        }
        let key = { (name: String) in gguf["tokenizer.ggml." + name] }

        let model: Model
        switch key("model")?.string {
        case "gpt2": model = .byteLevelBPE
        case "llama": model = .sentencePiece
        case let name:
            throw ModelFileError(
                .unsupported, path: gguf.file.path,
                "The tokenizer \"\(name ?? "none")\" is not supported. Supported: gpt2 (byte-level BPE), "
                    + "llama (SentencePiece).")
        }
        guard let pieces = key("tokens")?.array?.strings(), !pieces.isEmpty,
            pieces.count <= 1 << 22
        else { throw malformed("tokenizer.ggml.tokens is not a list of pieces.") }

        let scores = key("scores")?.array?.floats() ?? []
        let types = key("token_type")?.array?.integers() ?? []
        guard scores.isEmpty || scores.count == pieces.count,
            types.isEmpty || types.count == pieces.count
        else { throw malformed("The tokenizer's arrays have different lengths.") }
        if model == .sentencePiece, scores.isEmpty {
            throw malformed("The SentencePiece tokenizer has no scores.")
        }
        let merges = key("merges")?.array?.strings() ?? []
        if model == .byteLevelBPE, merges.isEmpty {
            throw malformed("The byte-level BPE tokenizer has no merges.")
        }

        let pre = key("pre")?.string
        let isSentencePiece = model == .sentencePiece
        // What files leave out, as llama.cpp fills it in.
        let isLlama3 = ["llama3", "llama-v3", "llama-bpe"].contains(pre ?? "")
        self.init(
            model: model, preTokenizer: pre, pieces: pieces, scores: scores,
            // Kinds that are not in the enumeration are as good as unused.
            kinds: types.map { Int32(exactly: $0).flatMap { Kind(rawValue: $0) } ?? .unused },
            merges: merges,
            addsBeginningOfSequence: key("add_bos_token")?.bool ?? (isSentencePiece || isLlama3),
            addsEndOfSequence: key("add_eos_token")?.bool ?? false,
            addsSpacePrefix: key("add_space_prefix")?.bool ?? isSentencePiece,
            chatTemplate: gguf["tokenizer.chat_template"]?.string)

        // Files write −1 or the vocabulary's size for "none".
        func token(_ name: String, default fallback: Int32? = nil) -> Int32? {
            guard let value = key(name + "_token_id") else { return fallback }
            guard let id = value.integer, pieces.indices.contains(id) else { return nil }
            return Int32(id)
        }
        beginningOfSequence = token("bos", default: isSentencePiece ? 1 : nil)
        endOfSequence = token("eos", default: isSentencePiece ? 2 : nil)
        endOfTurn = token("eot")
        unknown = token("unknown", default: isSentencePiece ? 0 : nil)
        padding = token("padding")
    }
}
