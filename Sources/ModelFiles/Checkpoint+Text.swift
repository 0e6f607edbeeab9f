public import Foundation

extension Checkpoint {
    /// Sidecar files longer than this are refused; Gemma's `tokenizer.json` has 33 MB.
    private static let longestSidecar = 256 << 20

    /// The bytes of a file beside the weights; `nil` for a GGUF checkpoint or if there is no such file.
    private func sidecar(_ name: String) throws(ModelFileError) -> Data? {
        guard case .folder(let folder, _) = source else { return nil }
        let path = folder.path + "/" + name
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let file = try MappedFile(path: path)
        guard file.count <= Self.longestSidecar else {
            throw ModelFileError(
                .malformed, path: path,
                "The file has \(file.count) bytes, too many for its purpose. Download it again.")
        }
        return withExtendedLifetime(file) { Data(file.bytes) }
    }

    /// The folder's `tokenizer.json`, uninterpreted.
    public func tokenizerJSON() throws(ModelFileError) -> Data? { try sidecar("tokenizer.json") }

    /// The folder's `tokenizer_config.json`, uninterpreted.
    public func tokenizerConfigurationJSON() throws(ModelFileError) -> Data? {
        try sidecar("tokenizer_config.json")
    }

    /// The folder's `generation_config.json`, uninterpreted: the tokens that end generation, among others.
    public func generationConfigurationJSON() throws(ModelFileError) -> Data? {
        try sidecar("generation_config.json")
    }

    /// What a GGUF file says about its tokenizer; `nil` for a folder, whose ``tokenizerJSON()`` says it.
    public func tokenizerFields() throws(ModelFileError) -> TokenizerFields? {
        guard case .gguf(let reader) = source else { return nil }
        return try TokenizerFields(gguf: reader)
    }

    /// The chat template's Jinja source, if the model has one.
    public func chatTemplate() throws(ModelFileError) -> String? {
        if case .gguf(let reader) = source { return reader["tokenizer.chat_template"]?.string }
        if let data = try sidecar("chat_template.jinja") {
            return String(decoding: data, as: UTF8.self)
        }
        guard let data = try tokenizerConfigurationJSON() else { return nil }
        let parsed: Result<FileJSON, ModelFileError> = data.withUnsafeBytes { bytes in
            do throws(ModelFileError) {
                return .success(
                    try FileJSON(parsing: bytes, path: path + "/tokenizer_config.json"))
            } catch {
                return .failure(error)
            }
        }
        let template = try parsed.get()["chat_template"]
        if let text = template?.string { return text }
        // Some models have several by name.
        let named = template?.array?.first { $0["name"]?.string == "default" }
        return named?["template"]?.string
    }
}
