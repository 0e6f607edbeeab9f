extension ModelConfiguration {
    /// Reads the metadata of a GGUF file, and from its tensors what metadata does not say (biases, tied embeddings,
    /// RoPE factors, the vocabulary's size).
    ///
    /// - Throws: ``ModelFileError`` with reason `unsupported` for an architecture or a variant that InnerQ does not
    ///   run, `malformed` for missing or impossible values.
    public init(gguf: GGUFReader) throws(ModelFileError) {
        let keys = try GGUFKeys(gguf)
        let architecture = keys.architecture
        let path = gguf.file.path

        let layers = try keys.integer("block_count")
        let hidden = try keys.integer("embedding_length")
        let heads = try keys.integer("attention.head_count")
        let kvHeads = try keys.optionalInteger("attention.head_count_kv") ?? heads
        guard (1...1 << 10).contains(layers), heads > 0 else {
            throw ModelFileError(
                .malformed, path: path,
                "The metadata says \(layers) layers and \(heads) heads. The file is damaged; download it again."
            )
        }
        let headSize = try keys.optionalInteger("attention.key_length") ?? hidden / heads
        try keys.refuseVariants(headSize: headSize)

        self.architecture = architecture
        name = gguf["general.name"]?.string ?? ""
        layerCount = layers
        hiddenSize = hidden
        headCount = heads
        kvHeadCount = kvHeads
        self.headSize = headSize
        feedForwardSize = try keys.integer("feed_forward_length")
        contextLength = try keys.integer("context_length")
        rmsEpsilon = Float(try keys.number("attention.layer_norm_rms_epsilon"))
        vocabularySize =
            try keys.optionalInteger("vocab_size")
            ?? gguf.tensor(named: "token_embd.weight")?.shape.first
            ?? gguf["tokenizer.ggml.tokens"]?.array?.count ?? 0

        let isGemma = architecture == .gemma3
        rotary = try keys.rotary(isGemma: isGemma)
        localRotary = nil
        slidingWindows = [Int?](repeating: nil, count: layers)
        attentionScale = 1 / Float(max(headSize, 1)).squareRoot()
        if isGemma {
            // GGUF has no key for the query scale; only the 27B model (62 layers) differs from the head size.
            if layers == 62 { attentionScale = 1 / Float(hidden / heads).squareRoot() }
            let localTheta = try keys.optionalNumber("rope.freq_base_swa") ?? 10_000
            localRotary = RotaryConfiguration(theta: localTheta, pairing: .halfSplit)
            slidingWindows = try keys.gemmaWindows(layers: layers)
        } else if let window = try keys.optionalInteger("attention.sliding_window"), window > 0 {
            slidingWindows = [Int?](repeating: window, count: layers)
        }
        hasTiedEmbeddings = gguf.tensor(named: "output.weight") == nil
        activation = isGemma ? .geluTanh : .silu
        hasQKVBias = gguf.tensor(named: "blk.0.attn_q.bias") != nil
        hasAttentionOutputBias = gguf.tensor(named: "blk.0.attn_output.bias") != nil
        hasQKNorm = isGemma
        hasPostNorms = isGemma
        normWeightsLackOne = false
        embeddingScale = isGemma ? Float(hidden).squareRoot() : 1
        try validate(path: path)
    }
}

/// Metadata keys under the architecture's prefix, with errors that name the key.
private struct GGUFKeys {
    let gguf: GGUFReader
    let architecture: ModelArchitecture
    private let prefix: String

    init(_ gguf: GGUFReader) throws(ModelFileError) {
        self.gguf = gguf
        guard let name = gguf["general.architecture"]?.string else {
            throw ModelFileError(
                .malformed, path: gguf.file.path,
                "The metadata has no general.architecture. Give a GGUF file of a whole language model."
            )
        }
        guard let architecture = ModelArchitecture(rawValue: name) else {
            throw ModelFileError(
                .unsupported, path: gguf.file.path,
                "The architecture \"\(name)\" is not supported. Supported: \(ModelArchitecture.supportedNames)."
            )
        }
        self.architecture = architecture
        prefix = name + "."
    }

    private func malformed(_ key: String, _ what: String) -> ModelFileError {
        ModelFileError(
            .malformed, path: gguf.file.path,
            "The metadata key \(prefix)\(key) \(what). Convert the model again, or download it again."
        )
    }

    func optionalInteger(_ key: String) throws(ModelFileError) -> Int? {
        guard let value = gguf[prefix + key] else { return nil }
        if let integer = value.integer { return integer }
        // Some converters write one value per layer; only equal ones can be used.
        if let values = value.array?.integers(), let first = values.first,
            values.allSatisfy({ $0 == first })
        {
            return Int(first)
        }
        throw malformed(key, "is not one integer")
    }

    func integer(_ key: String) throws(ModelFileError) -> Int {
        guard let value = try optionalInteger(key) else { throw malformed(key, "is missing") }
        return value
    }

    func optionalNumber(_ key: String) throws(ModelFileError) -> Double? {
        guard let value = gguf[prefix + key] else { return nil }
        guard let number = value.number else { throw malformed(key, "is not a number") }
        return number
    }

    func number(_ key: String) throws(ModelFileError) -> Double {
        guard let value = try optionalNumber(key) else { throw malformed(key, "is missing") }
        return value
    }

    private func unsupported(_ what: String) -> ModelFileError {
        ModelFileError(.unsupported, path: gguf.file.path, what)
    }

    /// Refuses what shares the architecture's name but not its mathematics.
    func refuseVariants(headSize: Int) throws(ModelFileError) {
        if let experts = try optionalInteger("expert_count"), experts > 0 {
            throw unsupported(
                "The model mixes \(experts) experts; InnerQ runs dense models only. Choose a dense model."
            )
        }
        if let valueSize = try optionalInteger("attention.value_length"), valueSize != headSize {
            throw unsupported(
                "Values have \(valueSize) channels a head and keys \(headSize); InnerQ needs equal sizes."
            )
        }
        if let turned = try optionalInteger("rope.dimension_count"), turned != headSize {
            throw unsupported(
                "RoPE turns \(turned) of \(headSize) channels; InnerQ supports RoPE over whole heads only."
            )
        }
        for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
            if let cap = try optionalNumber(key), cap != 0 {
                throw unsupported(
                    "The model caps its logits (\(key) \(cap)), which is not supported.")
            }
        }
    }

    func rotary(isGemma: Bool) throws(ModelFileError) -> RotaryConfiguration {
        let pairing: RotaryConfiguration.Pairing =
            architecture == .llama || architecture == .mistral ? .interleaved : .halfSplit
        let theta = try optionalNumber("rope.freq_base") ?? (isGemma ? 1_000_000 : 10_000)
        var rotary = RotaryConfiguration(theta: theta, pairing: pairing)
        let older = try optionalNumber("rope.scale_linear")
        let factor = try optionalNumber("rope.scaling.factor") ?? older ?? 1
        switch gguf[prefix + "rope.scaling.type"]?.string ?? (factor == 1 ? "none" : "linear") {
        case "none": break
        case "linear": if factor != 1 { rotary.scaling = .linear(factor: factor) }
        case let name:
            throw unsupported(
                "RoPE scaling \"\(name)\" is not supported. Supported: none, linear, llama3 (rope_freqs)."
            )
        }
        if gguf.tensor(named: "rope_freqs.weight") != nil {
            guard rotary.scaling == .none else {
                throw unsupported("The file has both rope_freqs and linear RoPE scaling.")
            }
            rotary.scaling = .tensor
        }
        return rotary
    }

    func gemmaWindows(layers: Int) throws(ModelFileError) -> [Int?] {
        let window = try integer("attention.sliding_window")
        let key = "attention.sliding_window_pattern"
        // Either one flag per layer, or every how many layers one sees everything.
        if let flags = gguf[prefix + key]?.array?.integers() {
            guard flags.count == layers else { throw malformed(key, "does not fit the layers") }
            return flags.map { $0 != 0 ? window : nil }
        }
        let pattern = try optionalInteger(key) ?? 6
        guard pattern >= 1 else { throw malformed(key, "is not positive") }
        return ModelConfiguration.windows(layers: layers, window: window, pattern: pattern)
    }
}
