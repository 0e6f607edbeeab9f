import ModelFiles
import Testing

@Suite struct ModelConfigurationTests {
    private func read(_ json: String) throws -> ModelConfiguration {
        try Array(json.utf8).withUnsafeBytes {
            try ModelConfiguration(configJSON: $0, path: "config.json")
        }
    }

    private func refusal(_ json: String) -> ModelFileError? {
        do {
            _ = try read(json)
            return nil
        } catch {
            return error as? ModelFileError
        }
    }

    /// The members that every test configuration shares; a test appends its own, later ones under other names.
    private func base(_ type: String, _ more: String) -> String {
        """
        {"model_type": "\(type)", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 12,
         "num_attention_heads": 4, "vocab_size": 1000, "max_position_embeddings": 2048,
         "rms_norm_eps": 1e-06\(more)}
        """
    }

    @Test func readsLlama3() throws {
        let llama = try read(
            base(
                "llama",
                """
                , "num_key_value_heads": 2, "rope_theta": 500000.0, "head_dim": null, "hidden_act": "silu",
                "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                  "original_max_position_embeddings": 8192, "rope_type": "llama3"},
                "tie_word_embeddings": true, "attention_bias": false, "mlp_bias": false
                """))
        #expect(llama.architecture == .llama)
        #expect(llama.headSize == 64)
        #expect(llama.kvHeadCount == 2)
        #expect(llama.headsPerKVHead == 2)
        #expect(llama.hasTiedEmbeddings)
        #expect(llama.attentionScale == 0.125)
        #expect(llama.rotary.pairing == .halfSplit)
        #expect(
            llama.rotary.scaling
                == .llama3(
                    factor: 32, lowFrequencyFactor: 1, highFrequencyFactor: 4,
                    originalContext: 8192))
        #expect(llama.slidingWindows == [Int?](repeating: nil, count: 12))
        #expect(!llama.hasQKVBias && !llama.hasQKNorm && !llama.hasPostNorms)
        #expect(llama.embeddingScale == 1)
        #expect(llama.activation == .silu)
    }

    @Test func readsTheNewerRoPEParameters() throws {
        let llama = try read(
            base("llama", #", "rope_parameters": {"rope_theta": 250000.0, "rope_type": "default"}"#)
        )
        #expect(llama.rotary.theta == 250_000)
        #expect(llama.rotary.scaling == .none)
        #expect(llama.kvHeadCount == 4)
        let gemma = try read(
            base(
                "gemma3_text",
                """
                , "rope_parameters": {
                    "full_attention": {"rope_theta": 1000000.0, "rope_type": "linear", "factor": 8.0},
                    "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}}
                """))
        #expect(
            gemma.rotary
                == RotaryConfiguration(
                    theta: 1e6, pairing: .halfSplit, scaling: .linear(factor: 8)))
        #expect(gemma.localRotary == RotaryConfiguration(theta: 1e4, pairing: .halfSplit))
    }

    @Test func readsMistral() throws {
        let window = try read(
            base("mistral", #", "num_key_value_heads": 2, "sliding_window": 96, "head_dim": 128"#))
        #expect(window.slidingWindows == [Int?](repeating: 96, count: 12))
        #expect(window.headSize == 128)
        #expect(window.querySize == 512)
        let none = try read(base("mistral", #", "sliding_window": null"#))
        #expect(none.slidingWindows == [Int?](repeating: nil, count: 12))
        // The library's default.
        let absent = try read(base("mistral", ""))
        #expect(absent.slidingWindows == [Int?](repeating: 4096, count: 12))
    }

    @Test func readsQwen2() throws {
        let plain = try read(
            base(
                "qwen2",
                #", "use_sliding_window": false, "sliding_window": 128, "max_window_layers": 4"#))
        #expect(plain.slidingWindows == [Int?](repeating: nil, count: 12))
        #expect(plain.hasQKVBias)
        #expect(!plain.hasAttentionOutputBias)
        #expect(plain.layerTensors.contains(.queryBias))
        let sliding = try read(
            base(
                "qwen2",
                #", "use_sliding_window": true, "sliding_window": 128, "max_window_layers": 4"#))
        #expect(sliding.slidingWindows[3] == nil)
        #expect(sliding.slidingWindows[4] == 128)
    }

    @Test func readsGemma3() throws {
        let gemma = try read(
            base(
                "gemma3_text",
                """
                , "num_key_value_heads": 1, "head_dim": 256, "query_pre_attn_scalar": 168,
                "sliding_window": 512, "sliding_window_pattern": 6, "rope_theta": 1000000,
                "rope_local_base_freq": 10000, "hidden_activation": "gelu_pytorch_tanh",
                "final_logit_softcapping": null, "attn_logit_softcapping": null
                """))
        #expect(gemma.architecture == .gemma3)
        #expect(gemma.slidingWindows.enumerated().allSatisfy { ($0 % 6 == 5) == ($1 == nil) })
        #expect(gemma.rotary(layer: 5).theta == 1_000_000)
        #expect(gemma.rotary(layer: 4).theta == 10_000)
        #expect(gemma.attentionScale == Float(1 / 168.0.squareRoot()))
        #expect(gemma.embeddingScale == 16)
        #expect(gemma.hasTiedEmbeddings && gemma.hasQKNorm && gemma.hasPostNorms)
        #expect(gemma.normWeightsLackOne)
        #expect(gemma.activation == .geluTanh)
        let layers = (0..<12).map {
            $0 == 2 ? "\"full_attention\"" : "\"sliding_attention\""
        }.joined(separator: ",")
        let typed = try read(
            base("gemma3_text", ", \"sliding_window\": 7, \"layer_types\": [\(layers)]"))
        #expect(typed.slidingWindows.enumerated().allSatisfy { ($0 == 2) == ($1 == nil) })
    }

    @Test func readsNestedGemmaWithDefaults() throws {
        let gemma = try read(
            """
            {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 2560,
             "intermediate_size": 10240, "num_hidden_layers": 34, "sliding_window": 1024,
             "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}}
            """)
        #expect(gemma.headCount == 8)
        #expect(gemma.kvHeadCount == 4)
        #expect(gemma.headSize == 256)
        #expect(gemma.vocabularySize == 262_208)
        #expect(gemma.rotary.scaling == .linear(factor: 8))
        #expect(gemma.localRotary?.scaling == RotaryConfiguration.Scaling.none)
    }

    @Test func namesWhatIsSupported() {
        let architecture = refusal(base("mixtral", ""))
        #expect(architecture?.reason == .unsupported)
        #expect(architecture?.detail.contains("llama, mistral, qwen2, gemma3") == true)
        let head = refusal(base("llama", #", "head_dim": 72"#))
        #expect(head?.reason == .unsupported)
        #expect(head?.detail.contains("64, 80, 96, 128, 256") == true)
        #expect(refusal(base("llama", #", "head_dim": 512"#))?.reason == .unsupported)
        #expect(refusal(base("llama", #", "hidden_act": "relu""#))?.reason == .unsupported)
        #expect(refusal(base("llama", #", "mlp_bias": true"#))?.reason == .unsupported)
        #expect(
            refusal(base("llama", #", "rope_scaling": {"rope_type": "yarn", "factor": 4}"#))?
                .reason == .unsupported)
        #expect(
            refusal(base("gemma3", #", "final_logit_softcapping": 30.0"#))?.reason == .unsupported)
    }

    @Test(arguments: [
        #", "num_key_value_heads": 3"#, #", "num_key_value_heads": 0"#,
        #", "num_key_value_heads": -1"#, #", "rope_theta": 0"#,
        #", "rope_scaling": {"type": "linear", "factor": 0}"#,
        #", "rope_scaling": {"type": "linear"}"#, #", "head_dim": "x""#,
        """
        , "rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4,
        "original_max_position_embeddings": 8192}
        """,
    ]) func refusesImpossibleNumbers(more: String) {
        #expect(refusal(base("llama", more))?.reason == .malformed)
    }

    @Test func readsGGUFOfLlama() throws {
        var writer = TinyModel.gguf(tied: true)
        var configuration = try ModelConfiguration(
            gguf: GGUFReader(file: MappedFile(writer.bytes())))
        #expect(configuration.name == "tiny")
        #expect(configuration.rotary.pairing == .interleaved)
        #expect(configuration.rotary.scaling == .none)
        #expect(configuration.hasTiedEmbeddings)
        #expect(configuration.vocabularySize == 8)
        #expect(!configuration.normWeightsLackOne)

        writer.add("rope_freqs.weight", [8], [1, 1, 1, 1, 2, 4, 8, 8])
        writer.pairs.append(("llama.attention.sliding_window", .u32(24)))
        configuration = try ModelConfiguration(gguf: GGUFReader(file: MappedFile(writer.bytes())))
        #expect(configuration.rotary.scaling == .tensor)
        #expect(configuration.slidingWindows == [24, 24])
        #expect(configuration.tensorNames.contains(.ropeFactors))
    }

    private func gemmaGGUF(_ more: [(String, GGUFWriter.Value)] = []) -> GGUFWriter {
        var writer = GGUFWriter()
        writer.pairs =
            [
                ("general.architecture", .string("gemma3")), ("gemma3.block_count", .u32(7)),
                ("gemma3.context_length", .u32(64)), ("gemma3.embedding_length", .u32(64)),
                ("gemma3.feed_forward_length", .u32(48)), ("gemma3.attention.head_count", .u32(4)),
                ("gemma3.attention.head_count_kv", .u32(1)), ("gemma3.vocab_size", .u32(8)),
                ("gemma3.attention.key_length", .u32(32)),
                ("gemma3.attention.value_length", .u32(32)),
                ("gemma3.attention.layer_norm_rms_epsilon", .f32(1e-6)),
                ("gemma3.attention.sliding_window", .u32(512)),
            ] + more
        return writer
    }

    @Test func readsGGUFOfGemma() throws {
        let plain = try ModelConfiguration(
            gguf: GGUFReader(file: MappedFile(gemmaGGUF().bytes())))
        #expect(plain.slidingWindows == [512, 512, 512, 512, 512, nil, 512])
        #expect(plain.rotary == RotaryConfiguration(theta: 1e6, pairing: .halfSplit))
        #expect(plain.localRotary?.theta == 1e4)
        #expect(plain.embeddingScale == 8)
        #expect(plain.headSize == 32)
        #expect(!plain.normWeightsLackOne)
        let scaled = try ModelConfiguration(
            gguf: GGUFReader(
                file: MappedFile(
                    gemmaGGUF([
                        ("gemma3.rope.scaling.type", .string("linear")),
                        ("gemma3.rope.scaling.factor", .f32(8)),
                        ("gemma3.attention.sliding_window_pattern", .u32(2)),
                    ]).bytes())))
        #expect(scaled.rotary.scaling == .linear(factor: 8))
        #expect(scaled.slidingWindows == [512, nil, 512, nil, 512, nil, 512])
    }

    @Test func refusesGGUFVariants() {
        func reasonWith(_ key: String, _ value: GGUFWriter.Value) -> ModelFileError.Reason? {
            var writer = TinyModel.gguf()
            writer.pairs.removeAll { $0.0 == key }
            writer.pairs.append((key, value))
            return reason {
                _ = try ModelConfiguration(gguf: GGUFReader(file: MappedFile(writer.bytes())))
            }
        }
        #expect(reasonWith("general.architecture", .string("mamba")) == .unsupported)
        #expect(reasonWith("llama.expert_count", .u32(8)) == .unsupported)
        #expect(reasonWith("llama.rope.dimension_count", .u32(8)) == .unsupported)
        #expect(reasonWith("llama.rope.scaling.type", .string("yarn")) == .unsupported)
        #expect(reasonWith("llama.block_count", .u32(0)) == .malformed)
        #expect(reasonWith("llama.block_count", .u64(1 << 63)) == .malformed)
        #expect(reasonWith("llama.block_count", .string("2")) == .malformed)
        #expect(reasonWith("llama.attention.head_count", .i32(-2)) == .malformed)
        #expect(
            reasonWith("llama.attention.layer_norm_rms_epsilon", .f32(.nan)) == .malformed)
        #expect(
            reasonWith("llama.attention.head_count_kv", .array(4, [.u32(1), .u32(1)])) == nil)
        #expect(
            reasonWith("llama.attention.head_count_kv", .array(4, [.u32(1), .u32(2)]))
                == .malformed)
    }

    @Test func scalesFrequencies() {
        let plain = RotaryConfiguration(theta: 10000, pairing: .halfSplit)
        #expect(plain.frequencies(headSize: 4) == [1, 0.01])
        let linear = RotaryConfiguration(
            theta: 10000, pairing: .halfSplit, scaling: .linear(factor: 4))
        #expect(linear.frequencies(headSize: 4) == [0.25, 0.0025])
        let tensor = RotaryConfiguration(theta: 10000, pairing: .interleaved, scaling: .tensor)
        #expect(tensor.frequencies(headSize: 4, factors: [2, 4]) == [0.5, 0.0025])
        // Turns over 8192 tokens: 1304, 13.04, 0.1304, so kept, kept, divided; in between, smooth.
        let llama = RotaryConfiguration(
            theta: 1e6, pairing: .halfSplit,
            scaling: .llama3(
                factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 8192))
        let scaled = llama.frequencies(headSize: 6)
        #expect(scaled[0] == 1)
        #expect(abs(scaled[1] - 0.01) < 1e-12)
        #expect(abs(scaled[2] - 0.0001 / 8) < 1e-12)
        let between = RotaryConfiguration(
            theta: 1e6, pairing: .halfSplit,
            scaling: .llama3(
                factor: 8, lowFrequencyFactor: 10, highFrequencyFactor: 20, originalContext: 8192))
        let turns = 8192 * 0.01 / (2 * Double.pi)
        let smooth = (turns - 10) / 10
        let expected = (1 - smooth) * 0.01 / 8 + smooth * 0.01
        #expect(abs(between.frequencies(headSize: 6)[1] - expected) < 1e-12)
    }
}
