public import KVCache
public import ModelFiles
public import Threading
public import Transformer

/// A model with its tokenizer and chat template: immutable, shared by any number of sessions.
///
/// ```swift
/// let model = try LanguageModel.load(path: "model.gguf")
/// let session = try model.makeSession(policy: .innerQBase)
/// for try await token in session.generate("The key-value cache") { print(token.text, terminator: "") }
/// ```
public final class LanguageModel: Sendable {
    public let path: String
    public let transformer: TransformerModel
    public let tokenizer: Tokenizer
    /// `nil` if the file has none, or one of a kind that is not supported.
    public let chatTemplate: ChatTemplate?
    /// 32 bytes that tell this model from others; saved sessions carry them.
    public let fingerprint: [UInt8]

    public var configuration: ModelConfiguration { transformer.configuration }

    /// Opens a `.gguf` file or a folder in Hugging Face's layout.
    ///
    /// - Parameters:
    ///   - threads: threads for products and attention; `nil` takes the processor's cores.
    ///   - storage: where quantized weights are read from.
    ///   - progress: called with the share that is loaded, 0 to 1.
    /// - Throws: `ModelFileError` or `TokenizerError`.
    public static func load(
        path: String, threads: Int? = nil, storage: WeightStorage = .interleaved,
        progress: (Double) -> Void = { _ in }
    ) throws -> LanguageModel {
        let checkpoint = try Checkpoint.open(path: path)
        return try LanguageModel(
            checkpoint: checkpoint,
            workers: WorkerPool(threads: threads ?? WorkerPool.recommendedThreads),
            storage: storage, progress: progress)
    }

    /// - Throws: `ModelFileError` or `TokenizerError`.
    public convenience init(
        checkpoint: Checkpoint, workers: WorkerPool, storage: WeightStorage = .interleaved,
        progress: (Double) -> Void = { _ in }
    ) throws {
        let tokenizer = try checkpoint.tokenizer()
        try self.init(
            checkpoint: checkpoint, tokenizer: tokenizer,
            chatTemplate: checkpoint.chatTemplate(tokenizer: tokenizer), workers: workers,
            storage: storage, progress: progress)
    }

    /// A model with a tokenizer from elsewhere, for files that have none.
    ///
    /// A tokenizer may have more tokens than the model; text that needs one of those is refused when it is run.
    /// - Throws: `ModelFileError`.
    public init(
        checkpoint: Checkpoint, tokenizer: Tokenizer, chatTemplate: ChatTemplate?,
        workers: WorkerPool, storage: WeightStorage = .interleaved,
        progress: (Double) -> Void = { _ in }
    ) throws(ModelFileError) {
        path = checkpoint.path
        // Before the weights are copied, after which the file's pages are given back.
        fingerprint = try checkpoint.fingerprint()
        transformer = try TransformerModel(
            checkpoint: checkpoint, workers: workers, storage: storage, progress: progress)
        self.tokenizer = tokenizer
        self.chatTemplate = chatTemplate
    }

    /// A session with an empty cache.
    /// - Parameter calibration: of this model, for policies that need one (``CachePolicy/needsCalibration``).
    /// - Throws: `PolicyError` if the policy does not fit the model, or the calibration neither.
    public func makeSession(
        policy: CachePolicy = .innerQBase, calibration: CacheCalibration? = nil
    ) throws(PolicyError) -> Session {
        try Session(model: self, policy: policy, calibration: calibration)
    }
}

extension CacheCalibration {
    /// Refuses the calibration of another model.
    func check(_ model: LanguageModel) throws(PolicyError) {
        do throws(CalibrationMismatch) {
            try check(fingerprint: model.fingerprint, shape: model.transformer.cacheShape)
        } catch {
            throw .calibrationMismatch(error.description)
        }
    }
}

extension Checkpoint {
    /// The chat template that the file contains or its vocabulary implies; `nil` for a kind that is not supported.
    public func chatTemplate(tokenizer: Tokenizer) throws(ModelFileError) -> ChatTemplate? {
        ChatTemplate.detect(
            jinja: try chatTemplate() ?? tokenizer.chatTemplateSource, tokenizer: tokenizer)
    }

    /// The tokenizer of a GGUF's metadata or of a folder's tokenizer.json.
    public func tokenizer() throws -> Tokenizer {
        if let fields = try tokenizerFields() { return try Tokenizer(fields: fields) }
        guard let json = try tokenizerJSON() else {
            throw ModelFileError(
                .missing, path: path,
                "There is no tokenizer.json beside the weights. Copy it from where the model came from."
            )
        }
        return try Tokenizer(json: json, config: try tokenizerConfigurationJSON())
    }
}
