extension ModelConfiguration {
    /// Reads a `config.json` in Hugging Face's layout, also one that nests the language model under `text_config`.
    ///
    /// - Parameters:
    ///   - configJSON: the file's bytes.
    ///   - path: of the file, for errors.
    /// - Throws: ``ModelFileError`` with reason `unsupported` for an architecture or a variant that InnerQ does not
    ///   run, `malformed` for missing or impossible values.
    public init(
        configJSON: UnsafeRawBufferPointer, path: String
    ) throws(ModelFileError) {
        let outer = try FileJSON(parsing: configJSON, path: path)
        let keys = try ConfigKeys(outer: outer, path: path)
        let isGemma = keys.architecture == .gemma3
        // Gemma's published configurations leave out what equals the library's defaults.
        func integer(_ key: String, gemma: Int) throws(ModelFileError) -> Int {
            if let value = try keys.optionalInteger(key) { return value }
            return isGemma ? gemma : try keys.integer(key)
        }

        architecture = keys.architecture
        name = outer["_name_or_path"]?.string ?? ""
        layerCount = try integer("num_hidden_layers", gemma: 26)
        hiddenSize = try integer("hidden_size", gemma: 2304)
        headCount = try integer("num_attention_heads", gemma: 8)
        kvHeadCount =
            try keys.optionalInteger("num_key_value_heads") ?? (isGemma ? 4 : headCount)
        guard (1...1 << 10).contains(layerCount), headCount > 0 else {
            throw ModelFileError(
                .malformed, path: path,
                "The configuration says \(layerCount) layers and \(headCount) heads. Download it again."
            )
        }
        headSize =
            try keys.optionalInteger("head_dim") ?? (isGemma ? 256 : hiddenSize / headCount)
        feedForwardSize = try integer("intermediate_size", gemma: 9216)
        vocabularySize = try integer("vocab_size", gemma: 262_208)
        contextLength = try integer("max_position_embeddings", gemma: 131_072)
        rmsEpsilon = Float(try keys.optionalNumber("rms_norm_eps") ?? 1e-6)
        try keys.refuseVariants()

        slidingWindows = try keys.slidingWindows(layers: layerCount)
        rotary = try keys.rotary(kind: "full_attention", theta: isGemma ? 1_000_000 : 10_000)
        localRotary = isGemma ? try keys.localRotary() : nil
        let queryScalar =
            isGemma
            ? try keys.optionalNumber("query_pre_attn_scalar") ?? 256 : Double(max(headSize, 1))
        attentionScale = Float(1 / queryScalar.squareRoot())
        hasTiedEmbeddings =
            outer["tie_word_embeddings"]?.bool ?? keys.bool("tie_word_embeddings") ?? isGemma
        activation = isGemma ? .geluTanh : .silu
        let attentionBias = keys.bool("attention_bias") ?? false
        hasQKVBias = architecture == .qwen2 || attentionBias
        hasAttentionOutputBias = attentionBias && architecture != .qwen2
        hasQKNorm = isGemma
        hasPostNorms = isGemma
        normWeightsLackOne = isGemma
        embeddingScale = isGemma ? Float(hiddenSize).squareRoot() : 1
        try validate(path: path)
    }
}

/// Members of the configuration object, with errors that name the key.
private struct ConfigKeys {
    let architecture: ModelArchitecture
    private let json: FileJSON
    private let path: String

    init(outer: FileJSON, path: String) throws(ModelFileError) {
        self.path = path
        json = outer["text_config"] ?? outer
        guard var name = json["model_type"]?.string ?? outer["model_type"]?.string else {
            throw ModelFileError(
                .malformed, path: path,
                "There is no model_type. Give the folder of a language model in Hugging Face's layout."
            )
        }
        if name == "gemma3_text" { name = "gemma3" }
        guard let architecture = ModelArchitecture(rawValue: name) else {
            throw ModelFileError(
                .unsupported, path: path,
                "The architecture \"\(name)\" is not supported. Supported: \(ModelArchitecture.supportedNames)."
            )
        }
        self.architecture = architecture
    }

    private func malformed(_ key: String, _ what: String) -> ModelFileError {
        ModelFileError(.malformed, path: path, "\(key) \(what). Download the file again.")
    }

    private func unsupported(_ what: String) -> ModelFileError {
        ModelFileError(.unsupported, path: path, what)
    }

    func optionalInteger(_ key: String) throws(ModelFileError) -> Int? {
        guard let value = json[key] else { return nil }
        guard let integer = value.integer else { throw malformed(key, "is not an integer") }
        return integer
    }

    func integer(_ key: String) throws(ModelFileError) -> Int {
        guard let value = try optionalInteger(key) else { throw malformed(key, "is missing") }
        return value
    }

    func optionalNumber(_ key: String) throws(ModelFileError) -> Double? {
        guard let value = json[key] else { return nil }
        guard let number = value.number else { throw malformed(key, "is not a number") }
        return number
    }

    func bool(_ key: String) -> Bool? { json[key]?.bool }

    /// Refuses what shares the architecture's name but not its mathematics.
    func refuseVariants() throws(ModelFileError) {
        let wanted = architecture == .gemma3 ? ["gelu_pytorch_tanh"] : ["silu", "swish"]
        let activation =
            json["hidden_activation"]?.string ?? json["hidden_act"]?.string ?? wanted[0]
        guard wanted.contains(activation) else {
            throw unsupported(
                "The activation \"\(activation)\" is not supported for \(architecture.rawValue). "
                    + "Supported: \(wanted[0]).")
        }
        if bool("mlp_bias") == true {
            throw unsupported("Biases in the feed-forward network (mlp_bias) are not supported.")
        }
        if let part = try optionalNumber("partial_rotary_factor"), part != 1 {
            throw unsupported("RoPE over part of a head (partial_rotary_factor) is not supported.")
        }
        if bool("use_bidirectional_attention") == true {
            throw unsupported(
                "The model attends in both directions; InnerQ runs causal models only.")
        }
        for key in ["attn_logit_softcapping", "final_logit_softcapping"] where json[key] != nil {
            throw unsupported("The model caps its logits (\(key)), which is not supported.")
        }
    }

    func slidingWindows(layers: Int) throws(ModelFileError) -> [Int?] {
        let none = [Int?](repeating: nil, count: layers)
        var window = try optionalInteger("sliding_window")
        switch architecture {
        case .llama: return none
        case .mistral:
            // Absent means the library's default; null means none.
            if window == nil, !has("sliding_window") { window = 4096 }
        case .qwen2: if bool("use_sliding_window") != true { return none }
        case .gemma3: window = window ?? 4096
        }
        guard let window else { return none }
        if let types = json["layer_types"]?.array {
            return try windows(types: types, window: window, layers: layers)
        }
        switch architecture {
        case .gemma3:
            let pattern = try optionalInteger("sliding_window_pattern") ?? 6
            guard pattern >= 1 else {
                throw malformed("sliding_window_pattern", "is not positive")
            }
            return ModelConfiguration.windows(layers: layers, window: window, pattern: pattern)
        case .qwen2:
            let full = try optionalInteger("max_window_layers") ?? 28
            return (0..<layers).map { $0 >= full ? window : nil }
        default: return [Int?](repeating: window, count: layers)
        }
    }

    private func has(_ key: String) -> Bool {
        json.members?.contains { $0.key == key } ?? false
    }

    private func windows(
        types: [FileJSON], window: Int, layers: Int
    ) throws(ModelFileError) -> [Int?] {
        guard types.count == layers else {
            throw malformed("layer_types", "does not have one entry per layer")
        }
        var windows: [Int?] = []
        for type in types {
            switch type.string {
            case "sliding_attention": windows.append(window)
            case "full_attention": windows.append(nil)
            default:
                throw unsupported(
                    "layer_types holds other kinds than sliding_attention and full_attention.")
            }
        }
        return windows
    }

    /// RoPE from `rope_theta` and `rope_scaling`, or from the newer `rope_parameters` (one object, or one per kind of
    /// layer).
    func rotary(kind: String, theta: Double) throws(ModelFileError) -> RotaryConfiguration {
        let parameters = json["rope_parameters"]
        let scaling = parameters?[kind] ?? parameters ?? json["rope_scaling"]
        let plain = try optionalNumber("rope_theta")
        let theta = scaling?["rope_theta"]?.number ?? plain ?? theta
        var rotary = RotaryConfiguration(theta: theta, pairing: .halfSplit)
        guard let scaling else { return rotary }
        func number(_ key: String) throws(ModelFileError) -> Double {
            guard let value = scaling[key]?.number else {
                throw malformed("rope_scaling.\(key)", "is missing or not a number")
            }
            return value
        }
        switch scaling["rope_type"]?.string ?? scaling["type"]?.string ?? "default" {
        case "default": break
        case "linear": rotary.scaling = .linear(factor: try number("factor"))
        case "llama3":
            guard
                let original = Int(exactly: try number("original_max_position_embeddings"))
            else {
                throw malformed("original_max_position_embeddings", "is not an integer")
            }
            rotary.scaling = .llama3(
                factor: try number("factor"), lowFrequencyFactor: try number("low_freq_factor"),
                highFrequencyFactor: try number("high_freq_factor"), originalContext: original)
        case let name:
            throw unsupported(
                "RoPE scaling \"\(name)\" is not supported. Supported: default, linear, llama3.")
        }
        return rotary
    }

    /// Gemma's RoPE of layers with a window: never scaled in the older layout.
    func localRotary() throws(ModelFileError) -> RotaryConfiguration {
        if json["rope_parameters"]?["sliding_attention"] != nil {
            return try rotary(kind: "sliding_attention", theta: 10_000)
        }
        let theta = try optionalNumber("rope_local_base_freq") ?? 10_000
        return RotaryConfiguration(theta: theta, pairing: .halfSplit)
    }
}
