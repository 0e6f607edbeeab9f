import Foundation

/// A model on disk, of either kind: what it is, where its weights are, and what it says about its tokenizer.
///
///     let checkpoint = try Checkpoint.open(path: "SmolLM2-135M-Instruct.Q4_1.gguf")
///     let weights = try checkpoint.tensor(.layer(0, .query))      // [query size, hidden], in the file
///
/// Opening checks that every tensor that the configuration needs is present with the right shape; nothing is copied.
public struct Checkpoint: Sendable {
    enum Source: Sendable {
        case gguf(GGUFReader)
        /// With the prefix of the decoder's tensor names.
        case folder(SafetensorsFolder, prefix: String)
    }

    /// As given to ``open(path:)``.
    public let path: String
    public let configuration: ModelConfiguration
    let source: Source

    /// Opens a `.gguf` file, or a folder with `config.json` and safetensors files.
    ///
    /// - Throws: ``ModelFileError`` if the file is damaged, a model of another kind, or not complete.
    public static func open(path: String) throws(ModelFileError) -> Checkpoint {
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory),
            isDirectory.boolValue
        {
            return try Checkpoint(folder: path)
        }
        return try Checkpoint(gguf: GGUFReader(path: path))
    }

    /// A checkpoint in a GGUF file that is already open.
    public init(gguf: GGUFReader) throws(ModelFileError) {
        path = gguf.file.path
        configuration = try ModelConfiguration(gguf: gguf)
        source = .gguf(gguf)
        try checkTensors()
    }

    private init(folder: String) throws(ModelFileError) {
        let configPath = folder + "/config.json"
        guard FileManager.default.fileExists(atPath: configPath) else {
            throw ModelFileError(
                .missing, path: folder,
                "The folder has no config.json. Give a .gguf file or a folder in Hugging Face's layout."
            )
        }
        let config = try MappedFile(path: configPath)
        path = folder
        configuration = try ModelConfiguration(configJSON: config.bytes, path: configPath)
        withExtendedLifetime(config) {}
        let weights = try SafetensorsFolder(path: folder)
        // Text-only checkpoints, two ways of nesting the decoder beside a vision tower, and a bare decoder.
        let prefixes = ["model.", "language_model.model.", "model.language_model.", ""]
        guard let prefix = prefixes.first(where: { weights.contains($0 + "embed_tokens.weight") })
        else {
            throw ModelFileError(
                .missingTensor, path: folder,
                "No tensor is named like a token embedding (model.embed_tokens.weight). "
                    + "Give a folder with the whole model.")
        }
        source = .folder(weights, prefix: prefix)
        try checkTensors()
    }

    private func checkTensors() throws(ModelFileError) {
        for name in configuration.tensorNames { _ = try tensor(name) }
    }

    /// The tensor that plays this part.
    ///
    /// - Throws: ``ModelFileError`` with reason `missingTensor` if the file has none, `wrongTensor` if its shape is not
    ///   ``ModelConfiguration/shape(of:)`` or a vector is block-quantized.
    public func tensor(_ name: TensorName) throws(ModelFileError) -> TensorView {
        let wanted = configuration.shape(of: name)
        guard let (fileName, view) = try find(name) else {
            throw ModelFileError(
                .missingTensor, path: path,
                "The file has no tensor for \(name). It is not complete; download it again.")
        }
        guard view.shape == wanted else {
            throw ModelFileError(
                .wrongTensor, path: view.file.path, offset: view.offset,
                "The tensor \"\(fileName)\" has shape \(view.shape); the configuration needs \(wanted). "
                    + "The files do not belong together; download the model again.")
        }
        guard wanted.count > 1 || view.type.blockSize == 1 else {
            throw ModelFileError(
                .wrongTensor, path: view.file.path, offset: view.offset,
                "The vector \"\(fileName)\" is stored as \(view.type.rawValue). "
                    + "Convert the model with norms and biases as f32.")
        }
        return view
    }

    private func find(_ name: TensorName) throws(ModelFileError) -> (String, TensorView)? {
        if case .layer(let layer, _) = name, !(0..<configuration.layerCount).contains(layer) {
            return nil
        }
        switch source {
        case .gguf(let reader):
            return reader.tensor(named: name.ggufName).map { (name.ggufName, $0) }
        case .folder(let folder, let prefix):
            guard
                let fileName = name.huggingFaceName(configuration.architecture, prefix: prefix),
                let view = try folder.tensor(named: fileName)
            else { return nil }
            return (fileName, view)
        }
    }

    /// The GGUF file behind this checkpoint, if it is one.
    public var gguf: GGUFReader? { if case .gguf(let reader) = source { reader } else { nil } }

    /// Bytes of all tensors that the model uses.
    public var weightByteCount: Int {
        configuration.tensorNames.reduce(0) {
            $0 + ((try? tensor($1))?.byteCount ?? 0)
        }
    }
}
