public import Foundation

extension TokenizerFields {
    /// Reads Hugging Face's `tokenizer.json` and `tokenizer_config.json`.
    ///
    /// - Parameters:
    ///   - json: `tokenizer.json`, whose model must be BPE.
    ///   - config: `tokenizer_config.json`: the names of the special tokens, `add_bos_token`,
    ///     `add_eos_token`, `chat_template`.
    ///   - chatTemplate: `chat_template.jinja`, which takes precedence over the one in `config`.
    /// - Throws: ``TokenizerError``.
    public init(
        json: Data, config: Data? = nil, chatTemplate: String? = nil
    ) throws(TokenizerError) {
        var reader = HuggingFaceReader(tree: try JSONTree(json, file: "tokenizer.json"))
        try reader.readVocabulary()
        try reader.readAddedTokens(
            reader.tree, reader.tree.member(reader.tree.root, "added_tokens"))
        if let config {
            try reader.readConfig(JSONTree(config, file: "tokenizer_config.json"))
        }
        self = try reader.fields()
        if let chatTemplate { self.chatTemplate = chatTemplate }
    }
}

/// Gathers the parts of `tokenizer.json` and its companion.
private struct HuggingFaceReader {
    let tree: JSONTree
    private var pieces: [[UInt8]] = []
    private var isTaken: [Bool] = []
    private var idOfSpecial: [[UInt8]: Int32] = [:]
    private var added: [Int32: TokenizerRules.AddedToken] = [:]
    private var model = JSONTree.Node.null
    private var named: [String: Int32] = [:]
    private var addsBeginning: Bool?
    private var addsEnd: Bool?
    private var template: String?

    /// Ids may have gaps, but not so many that a damaged file could ask for gigabytes.
    private static let gapLimit = 1 << 16

    init(tree: JSONTree) { self.tree = tree }

    mutating func readVocabulary() throws(TokenizerError) {
        guard case .object = tree.root else {
            throw .wrongType(path: "tokenizer.json", expected: "an object")
        }
        guard let model = tree.member(tree.root, "model") else { throw .missing(path: "model") }
        self.model = model
        let type = tree.string(tree.member(model, "type")) ?? "BPE"
        guard type == "BPE" else {
            throw .unsupported(what: "model type", found: type, supported: "BPE")
        }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let node = tree.member(model, key), tree.string(node) != "" {
                throw .unsupported(what: "model.\(key)", found: "set", supported: "none")
            }
        }
        if let node = tree.member(model, "dropout") {
            guard case .number(let rate) = node, rate == 0 else {
                throw .unsupported(what: "model.dropout", found: "set", supported: "none")
            }
        }
        guard case .object(let vocabulary) = tree.member(model, "vocab") else {
            throw .wrongType(path: "model.vocab", expected: "an object from pieces to ids")
        }
        for (key, value) in vocabulary {
            guard let id = tree.id(value) else {
                throw .wrongType(
                    path: "model.vocab[“\(preview(tree.bytes(key)))”]", expected: "an id")
            }
            try put(Array(tree.bytes(key)), at: id, limit: vocabulary.count)
        }
    }

    private mutating func put(
        _ piece: [UInt8], at id: Int32, limit: Int
    ) throws(TokenizerError) {
        guard id >= 0, Int(id) < limit + Self.gapLimit else {
            throw .idOutOfRange(what: "the id of “\(preview(piece))”", id: Int(id), count: limit)
        }
        let index = Int(id)
        if index >= pieces.count {
            pieces.append(contentsOf: repeatElement([], count: index + 1 - pieces.count))
            isTaken.append(contentsOf: repeatElement(false, count: index + 1 - isTaken.count))
        }
        if isTaken[index], pieces[index] != piece {
            throw .duplicateID(id: index, first: preview(pieces[index]), second: preview(piece))
        }
        pieces[index] = piece
        isTaken[index] = true
    }

    mutating func readAddedTokens(
        _ tree: JSONTree, _ node: JSONTree.Node?
    ) throws(TokenizerError) {
        guard let node else { return }
        guard case .array(let list) = node else {
            throw .wrongType(path: "added_tokens", expected: "a list")
        }
        let limit = pieces.count + list.count
        for (index, entry) in list.enumerated() {
            guard let id = tree.id(tree.member(entry, "id")) else {
                throw .wrongType(path: "added_tokens[\(index)].id", expected: "an id")
            }
            try readAddedToken(tree, entry, id, path: "added_tokens[\(index)]", limit: limit)
        }
    }

    private mutating func readAddedToken(
        _ tree: JSONTree, _ entry: JSONTree.Node, _ id: Int32, path: String, limit: Int
    ) throws(TokenizerError) {
        guard case .string(let text) = tree.member(entry, "content") else {
            throw .wrongType(path: "\(path).content", expected: "a string")
        }
        let content = Array(tree.bytes(text))
        try put(content, at: id, limit: limit)
        let isSpecial = tree.bool(tree.member(entry, "special")) ?? false
        added[id] = TokenizerRules.AddedToken(
            id: id, content: content, isSpecial: isSpecial,
            matchesNormalized: tree.bool(tree.member(entry, "normalized")) ?? !isSpecial,
            stripsLeft: tree.bool(tree.member(entry, "lstrip")) ?? false,
            stripsRight: tree.bool(tree.member(entry, "rstrip")) ?? false,
            isSingleWord: tree.bool(tree.member(entry, "single_word")) ?? false)
        idOfSpecial[content] = id
    }

    mutating func readConfig(_ config: JSONTree) throws(TokenizerError) {
        guard case .object = config.root else {
            throw .wrongType(path: "tokenizer_config.json", expected: "an object")
        }
        // A newer home of the added tokens: {"2": {"content": "<bos>", …}, …}.
        if case .object(let members) = config.member(config.root, "added_tokens_decoder") {
            for (key, entry) in members {
                let name = config.string(key)
                guard let id = Int32(name) else {
                    throw .wrongType(path: "added_tokens_decoder[\(name)]", expected: "an id")
                }
                try readAddedToken(
                    config, entry, id, path: "added_tokens_decoder[\(name)]",
                    limit: pieces.count + members.count)
            }
        }
        for key in ["bos_token", "eos_token", "unk_token", "pad_token"] {
            guard let node = config.member(config.root, key) else { continue }
            guard case .string(let text) = config.member(node, "content") ?? node else {
                throw .wrongType(path: key, expected: "a string or an object with content")
            }
            named[key] = try id(of: Array(config.bytes(text)), key)
        }
        addsBeginning = config.bool(config.member(config.root, "add_bos_token"))
        addsEnd = config.bool(config.member(config.root, "add_eos_token"))
        template = chatTemplate(config)
    }

    private func id(of piece: [UInt8], _ what: String) throws(TokenizerError) -> Int32 {
        if let id = idOfSpecial[piece] { return id }
        guard let index = pieces.firstIndex(of: piece) else {
            throw .missing(path: "\(what) “\(preview(piece))” in the vocabulary")
        }
        return Int32(index)
    }

    /// A template, or a list of named ones of which the one called `default` counts.
    private func chatTemplate(_ config: JSONTree) -> String? {
        guard let node = config.member(config.root, "chat_template") else { return nil }
        if let text = config.string(node) { return text }
        guard case .array(let list) = node else { return nil }
        let entry =
            list.first { config.string(config.member($0, "name")) == "default" } ?? list.first
        return entry.flatMap { config.string(config.member($0, "template")) }
    }

    mutating func fields() throws(TokenizerError) -> TokenizerFields {
        let recognized = try HuggingFaceRules(tree)
        var rules = recognized.rules
        rules.ignoresMerges = tree.bool(tree.member(model, "ignore_merges")) ?? false
        rules.fusesUnknown = tree.bool(tree.member(model, "fuse_unk")) ?? false
        rules.fallsBackToBytes = tree.bool(tree.member(model, "byte_fallback")) ?? false
        if case .string(let text) = tree.member(model, "unk_token") {
            named["unk_token"] = try id(of: Array(tree.bytes(text)), "model.unk_token")
            rules.emitsUnknown = true
        }
        rules.addedTokens = added.values.sorted { $0.id < $1.id }
        try readPostProcessor(&rules)

        var kinds = [TokenizerFields.Kind](repeating: .normal, count: pieces.count)
        for id in pieces.indices {
            if !isTaken[id] {
                kinds[id] = .unused
            } else if rules.fallsBackToBytes, TokenizerBuild.byte(spelledBy: pieces[id]) != nil {
                kinds[id] = .byte
            }
        }
        for (id, token) in added { kinds[Int(id)] = token.isSpecial ? .control : .userDefined }
        if rules.emitsUnknown, let id = named["unk_token"] { kinds[Int(id)] = .unknown }
        let beginning = named["bos_token"] ?? rules.prefix.first
        let end = named["eos_token"]
        if let addsBeginning, let beginning { rules.prefix = addsBeginning ? [beginning] : [] }
        if let addsEnd, let end { rules.suffix = addsEnd ? [end] : [] }
        return TokenizerFields(
            model: recognized.isByteLevel ? .byteLevelBPE : .sentencePiece,
            preTokenizer: rules.preTokenizer?.rawValue, pieces: pieces, kinds: kinds,
            merges: try merges(), beginningOfSequence: beginning, endOfSequence: end,
            unknown: named["unk_token"], padding: named["pad_token"],
            addsBeginningOfSequence: !rules.prefix.isEmpty,
            addsEndOfSequence: !rules.suffix.isEmpty,
            addsSpacePrefix: rules.spacePrefix != .never, chatTemplate: template, rules: rules)
    }

    /// `"left right"` in older files, `["left", "right"]` in newer ones.
    private func merges() throws(TokenizerError) -> [[UInt8]] {
        guard case .array(let list) = tree.member(model, "merges") else {
            throw .wrongType(path: "model.merges", expected: "a list")
        }
        if list.isEmpty { throw .missingMerges }
        var result: [[UInt8]] = []
        result.reserveCapacity(list.count)
        for (index, node) in list.enumerated() {
            switch node {
            case .string(let text):
                result.append(Array(tree.bytes(text)))
            case .array(let pair):
                guard pair.count == 2, case .string(let left) = pair[0],
                    case .string(let right) = pair[1]
                else {
                    throw .invalidMerge(index: index, reason: "is not a pair of strings")
                }
                result.append(tree.bytes(left) + [0x20] + tree.bytes(right))
            default:
                throw .invalidMerge(index: index, reason: "is not a pair of strings")
            }
        }
        return result
    }

    /// What is put around a text: `TemplateProcessing`, alone or in a sequence with `ByteLevel`.
    private func readPostProcessor(_ rules: inout TokenizerRules) throws(TokenizerError) {
        guard let node = tree.member(tree.root, "post_processor") else { return }
        var pending = [node]
        while let next = pending.popLast() {
            switch tree.string(tree.member(next, "type")) {
            case "Sequence":
                guard case .array(let parts) = tree.member(next, "processors") else {
                    throw .wrongType(path: "post_processor.processors", expected: "a list")
                }
                pending.append(contentsOf: parts.reversed())
            case "ByteLevel":
                continue
            case "TemplateProcessing":
                try readTemplate(next, &rules)
            case let other:
                throw .unsupported(
                    what: "post-processor", found: other ?? "without a type",
                    supported: "TemplateProcessing, ByteLevel")
            }
        }
    }

    /// `"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": …}, …]`, with ids by name in
    /// `"special_tokens": {"<s>": {"ids": [1]}}`.
    private func readTemplate(
        _ node: JSONTree.Node, _ rules: inout TokenizerRules
    ) throws(TokenizerError) {
        guard case .array(let parts) = tree.member(node, "single") else {
            throw .wrongType(path: "post_processor.single", expected: "a list")
        }
        var before: [Int32] = []
        var after: [Int32] = []
        var seen = false
        for part in parts {
            if tree.member(part, "Sequence") != nil {
                seen = true
                continue
            }
            guard let entry = tree.member(part, "SpecialToken"),
                case .string(let name) = tree.member(entry, "id"),
                let table = tree.member(node, "special_tokens"),
                let token = tree.member(table, tree.string(name)),
                case .array(let ids) = tree.member(token, "ids")
            else {
                throw .wrongType(path: "post_processor.single", expected: "made of known tokens")
            }
            for idNode in ids {
                guard let id = tree.id(idNode) else {
                    throw .wrongType(path: "post_processor.special_tokens", expected: "ids")
                }
                if seen { after.append(id) } else { before.append(id) }
            }
        }
        rules.prefix = before
        rules.suffix = after
    }
}
