extension Tokenizer {
    /// The tokenizer of a model: from a GGUF file's metadata, or from `tokenizer.json` and its
    /// companions in a folder.
    ///
    /// - Throws: ``ModelFileError`` if the files cannot be read, ``TokenizerError`` if what they
    ///   say is wrong or not supported.
    public convenience init(checkpoint: Checkpoint) throws {
        if let fields = try checkpoint.tokenizerFields() {
            try self.init(fields: fields)
            return
        }
        guard let json = try checkpoint.tokenizerJSON() else {
            throw TokenizerError.missing(path: "\(checkpoint.path)/tokenizer.json")
        }
        var fields = try TokenizerFields(
            json: json, config: checkpoint.tokenizerConfigurationJSON(),
            chatTemplate: checkpoint.chatTemplate())
        if let generation = try checkpoint.generationConfigurationJSON() {
            let tree = try JSONTree(generation, file: "generation_config.json")
            let ends = try Self.ends(tree, fields)
            fields.rules?.endsOfGeneration = ends
        }
        try self.init(fields: fields)
    }

    /// `eos_token_id`, a number or a list of them.
    private static func ends(
        _ tree: JSONTree, _ fields: TokenizerFields
    ) throws(TokenizerError) -> [Int32] {
        guard let node = tree.member(tree.root, "eos_token_id") else { return [] }
        let nodes: [JSONTree.Node]
        if case .array(let list) = node { nodes = list } else { nodes = [node] }
        var ids: [Int32] = []
        for node in nodes {
            guard let id = tree.id(node) else {
                throw .wrongType(path: "generation_config.json: eos_token_id", expected: "ids")
            }
            // Some models are configured with more ids than their vocabulary has pieces.
            if id >= 0, Int(id) < fields.pieces.count { ids.append(id) }
        }
        return ids
    }
}
