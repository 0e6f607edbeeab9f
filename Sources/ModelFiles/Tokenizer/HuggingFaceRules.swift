/// Recognizes, in `tokenizer.json`, the normalizers, pre-tokenizers and decoders that this library
/// implements. Whatever else is there is refused, not ignored.
struct HuggingFaceRules {
    let tree: JSONTree
    var rules = TokenizerRules()
    var isByteLevel = false
    /// The normalizer has replaced blanks with `▁` already.
    private var replacesBlanks = false

    static let marker = "\u{2581}"
    static let supported =
        "byte-level BPE with the pre-tokenizers of GPT-2, SmolLM, Llama 3 and Qwen2; "
        + "SentencePiece BPE as in Llama 2, Mistral and Gemma"

    /// The patterns, letter for letter as their authors published them.
    static let patterns: [String: TokenizerRules.PreTokenizer] = [
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#: .gpt2,
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"#
            + #" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#: .llama3,
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"#
            + #" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#: .qwen2,
    ]

    init(_ tree: JSONTree) throws(TokenizerError) {
        self.tree = tree
        try readNormalizer()
        try readPreTokenizer()
        try readDecoder()
        if !isByteLevel, !replacesBlanks {
            throw refusal("pre-tokenizer", "one that neither maps bytes nor marks blanks")
        }
        if isByteLevel, replacesBlanks {
            throw refusal("normalizer", "Replace before ByteLevel")
        }
    }

    private func refusal(_ what: String, _ found: String) -> TokenizerError {
        .unsupported(what: what, found: found, supported: Self.supported)
    }

    /// The steps of a component, with sequences laid out flat.
    private func steps(
        _ name: String, list: String
    ) throws(TokenizerError) -> [(type: String, node: JSONTree.Node)] {
        guard let node = tree.member(tree.root, name) else { return [] }
        var result: [(String, JSONTree.Node)] = []
        var pending = [node]
        while let next = pending.popLast() {
            guard let type = tree.string(tree.member(next, "type")) else {
                throw .wrongType(path: name, expected: "an object with a type")
            }
            if type != "Sequence" {
                result.append((type, next))
                continue
            }
            guard case .array(let parts) = tree.member(next, list) else {
                throw .wrongType(path: "\(name).\(list)", expected: "a list")
            }
            pending.append(contentsOf: parts.reversed())
        }
        return result
    }

    private func replacement(_ node: JSONTree.Node) -> (from: String?, to: String?) {
        (
            tree.member(node, "pattern").flatMap { tree.string(tree.member($0, "String")) },
            tree.string(tree.member(node, "content"))
        )
    }

    private mutating func readNormalizer() throws(TokenizerError) {
        for (type, node) in try steps("normalizer", list: "normalizers") {
            switch type {
            case "NFC":
                rules.composesCharacters = true
            case "Prepend":
                guard tree.string(tree.member(node, "prepend")) == Self.marker else {
                    throw refusal("normalizer", "Prepend of something else than ▁")
                }
                rules.spacePrefix = .always
            case "Replace":
                guard replacement(node) == (" ", Self.marker) else {
                    throw refusal("normalizer", "Replace of something else than a blank with ▁")
                }
                replacesBlanks = true
            default:
                throw refusal("normalizer", type)
            }
        }
        if rules.spacePrefix == .always, !replacesBlanks {
            throw refusal("normalizer", "Prepend without Replace")
        }
        if rules.composesCharacters, replacesBlanks {
            throw refusal("normalizer", "NFC with Replace")
        }
    }

    private mutating func readPreTokenizer() throws(TokenizerError) {
        var cut: TokenizerRules.PreTokenizer?
        var splitsDigits = false
        for (type, node) in try steps("pre_tokenizer", list: "pretokenizers") {
            if isByteLevel { throw refusal("pre-tokenizer", "\(type) after ByteLevel") }
            switch type {
            case "Digits":
                guard tree.bool(tree.member(node, "individual_digits")) == true, cut == nil else {
                    throw refusal("pre-tokenizer", "Digits in groups")
                }
                splitsDigits = true
            case "Split":
                if isGemmaSplit(node) { continue }
                guard cut == nil, !splitsDigits else {
                    throw refusal("pre-tokenizer", "more than one Split")
                }
                cut = try pattern(node)
            case "ByteLevel":
                isByteLevel = true
                if tree.bool(tree.member(node, "use_regex")) ?? true {
                    guard cut == nil else {
                        throw refusal(
                            "pre-tokenizer", "Split before ByteLevel with its own pattern")
                    }
                    cut = splitsDigits ? .smolLM : .gpt2
                } else if splitsDigits || cut == nil {
                    throw refusal("pre-tokenizer", "ByteLevel without a pattern")
                }
                if tree.bool(tree.member(node, "add_prefix_space")) ?? true {
                    rules.spacePrefix = .unlessPresent
                }
            case "Metaspace":
                try readMetaspace(node)
            default:
                throw refusal("pre-tokenizer", type)
            }
        }
        if !isByteLevel, cut != nil || splitsDigits {
            throw refusal("pre-tokenizer", "Split without ByteLevel")
        }
        rules.preTokenizer = cut
    }

    /// Gemma cuts after blanks, of which its normalizer has left none.
    private func isGemmaSplit(_ node: JSONTree.Node) -> Bool {
        replacesBlanks
            && tree.member(node, "pattern").flatMap { tree.string(tree.member($0, "String")) }
                == " "
    }

    private func pattern(
        _ node: JSONTree.Node
    ) throws(TokenizerError) -> TokenizerRules.PreTokenizer {
        let regex = tree.member(node, "pattern").flatMap { tree.string(tree.member($0, "Regex")) }
        let behavior = tree.string(tree.member(node, "behavior"))
        let inverts = tree.bool(tree.member(node, "invert")) ?? false
        // The patterns match all of a text, so what is between matches is nothing.
        guard behavior == "Isolated" && !inverts || behavior == "Removed" && inverts else {
            throw refusal("pre-tokenizer", "Split with behavior \(behavior ?? "none")")
        }
        guard let regex, let found = Self.patterns[regex] else {
            throw refusal("pre-tokenizer", "Split with the pattern \(preview((regex ?? "").utf8))")
        }
        return found
    }

    private mutating func readMetaspace(_ node: JSONTree.Node) throws(TokenizerError) {
        guard tree.string(tree.member(node, "replacement")) == Self.marker,
            rules.spacePrefix == .never
        else { throw refusal("pre-tokenizer", "Metaspace with another mark than ▁") }
        replacesBlanks = true
        rules.splitsAtSpaces = tree.bool(tree.member(node, "split")) ?? true
        // Files from before prepend_scheme have add_prefix_space.
        let scheme =
            tree.string(tree.member(node, "prepend_scheme"))
            ?? (tree.bool(tree.member(node, "add_prefix_space")) ?? true ? "always" : "never")
        switch scheme {
        case "always": rules.spacePrefix = .unlessPresent
        case "first": rules.spacePrefix = .atStartUnlessPresent
        case "never": rules.spacePrefix = .never
        default: throw refusal("pre-tokenizer", "Metaspace with prepend_scheme \(scheme)")
        }
    }

    private mutating func readDecoder() throws(TokenizerError) {
        for (type, node) in try steps("decoder", list: "decoders") {
            switch type {
            case "ByteLevel", "ByteFallback", "Fuse":
                continue
            case "Replace":
                guard replacement(node) == (Self.marker, " ") else {
                    throw refusal("decoder", "Replace of something else than ▁ with a blank")
                }
            case "Strip":
                guard tree.string(tree.member(node, "content")) == " ",
                    tree.id(tree.member(node, "start")) ?? 0 <= 1,
                    tree.id(tree.member(node, "stop")) ?? 0 == 0
                else { throw refusal("decoder", "Strip of more than one leading blank") }
                rules.dropsLeadingSpace = tree.id(tree.member(node, "start")) == 1
            case "Metaspace":
                let scheme = tree.string(tree.member(node, "prepend_scheme")) ?? "always"
                rules.dropsLeadingSpace = scheme != "never"
            default:
                throw refusal("decoder", type)
            }
        }
    }
}
