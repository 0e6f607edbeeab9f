/// The tensors of a model, by what they do; files name them in their own ways.
public enum TensorName: Sendable, Hashable {
    /// [vocabulary, hidden]
    case tokenEmbedding
    /// [vocabulary, hidden]; absent if embeddings are tied.
    case output
    /// [hidden]
    case outputNorm
    /// [head size / 2]; GGUF only, see ``RotaryConfiguration/Scaling/tensor``.
    case ropeFactors
    /// A tensor of one transformer block.
    case layer(Int, LayerTensor)
}

/// The tensors of one transformer block.
public enum LayerTensor: String, Sendable, Hashable, CaseIterable {
    /// [hidden]; before attention.
    case attentionNorm
    /// [query size, hidden]
    case query
    /// [KV size, hidden]
    case key
    /// [KV size, hidden]
    case value
    /// [hidden, query size]
    case attentionOutput
    /// [query size]
    case queryBias
    /// [KV size]
    case keyBias
    /// [KV size]
    case valueBias
    /// [hidden]
    case attentionOutputBias
    /// [head size]
    case queryNorm
    /// [head size]
    case keyNorm
    /// [hidden]; after attention (Gemma).
    case postAttentionNorm
    /// [hidden]; before the feed-forward network.
    case feedForwardNorm
    /// [feed-forward, hidden]
    case gate
    /// [feed-forward, hidden]
    case up
    /// [hidden, feed-forward]
    case down
    /// [hidden]; after the feed-forward network (Gemma).
    case postFeedForwardNorm
}

extension TensorName: CustomStringConvertible {
    public var description: String {
        switch self {
        case .tokenEmbedding: "token embedding"
        case .output: "output"
        case .outputNorm: "output norm"
        case .ropeFactors: "RoPE factors"
        case .layer(let layer, let tensor): "layer \(layer) \(tensor.rawValue)"
        }
    }

    /// The name in a GGUF file.
    var ggufName: String {
        switch self {
        case .tokenEmbedding: "token_embd.weight"
        case .output: "output.weight"
        case .outputNorm: "output_norm.weight"
        case .ropeFactors: "rope_freqs.weight"
        case .layer(let layer, let tensor): "blk.\(layer).\(tensor.ggufName)"
        }
    }

    /// The name in a Hugging Face checkpoint, under `prefix` (`model.` in most); `nil` if it has none.
    func huggingFaceName(_ architecture: ModelArchitecture, prefix: String) -> String? {
        switch self {
        case .tokenEmbedding: prefix + "embed_tokens.weight"
        // `model.` holds the decoder; the head lies beside it: `lm_head`, `language_model.lm_head`.
        case .output: prefix.dropLast("model.".count) + "lm_head.weight"
        case .outputNorm: prefix + "norm.weight"
        case .ropeFactors: nil
        case .layer(let layer, let tensor):
            prefix + "layers.\(layer).\(tensor.huggingFaceName(architecture))"
        }
    }
}

extension LayerTensor {
    fileprivate var ggufName: String {
        switch self {
        case .attentionNorm: "attn_norm.weight"
        case .query: "attn_q.weight"
        case .key: "attn_k.weight"
        case .value: "attn_v.weight"
        case .attentionOutput: "attn_output.weight"
        case .queryBias: "attn_q.bias"
        case .keyBias: "attn_k.bias"
        case .valueBias: "attn_v.bias"
        case .attentionOutputBias: "attn_output.bias"
        case .queryNorm: "attn_q_norm.weight"
        case .keyNorm: "attn_k_norm.weight"
        case .postAttentionNorm: "post_attention_norm.weight"
        case .feedForwardNorm: "ffn_norm.weight"
        case .gate: "ffn_gate.weight"
        case .up: "ffn_up.weight"
        case .down: "ffn_down.weight"
        case .postFeedForwardNorm: "post_ffw_norm.weight"
        }
    }

    fileprivate func huggingFaceName(_ architecture: ModelArchitecture) -> String {
        switch self {
        case .attentionNorm: "input_layernorm.weight"
        case .query: "self_attn.q_proj.weight"
        case .key: "self_attn.k_proj.weight"
        case .value: "self_attn.v_proj.weight"
        case .attentionOutput: "self_attn.o_proj.weight"
        case .queryBias: "self_attn.q_proj.bias"
        case .keyBias: "self_attn.k_proj.bias"
        case .valueBias: "self_attn.v_proj.bias"
        case .attentionOutputBias: "self_attn.o_proj.bias"
        case .queryNorm: "self_attn.q_norm.weight"
        case .keyNorm: "self_attn.k_norm.weight"
        case .postAttentionNorm: "post_attention_layernorm.weight"
        // Gemma gives the name that others use here to the norm after attention.
        case .feedForwardNorm:
            architecture == .gemma3
                ? "pre_feedforward_layernorm.weight" : "post_attention_layernorm.weight"
        case .gate: "mlp.gate_proj.weight"
        case .up: "mlp.up_proj.weight"
        case .down: "mlp.down_proj.weight"
        case .postFeedForwardNorm: "post_feedforward_layernorm.weight"
        }
    }
}

extension ModelConfiguration {
    /// The shape that a tensor must have, outermost axis first.
    public func shape(of name: TensorName) -> [Int] {
        switch name {
        case .tokenEmbedding, .output: [vocabularySize, hiddenSize]
        case .outputNorm: [hiddenSize]
        case .ropeFactors: [headSize / 2]
        case .layer(_, let tensor):
            switch tensor {
            case .attentionNorm, .postAttentionNorm, .feedForwardNorm, .postFeedForwardNorm,
                .attentionOutputBias:
                [hiddenSize]
            case .query: [querySize, hiddenSize]
            case .key, .value: [kvSize, hiddenSize]
            case .attentionOutput: [hiddenSize, querySize]
            case .queryBias: [querySize]
            case .keyBias, .valueBias: [kvSize]
            case .queryNorm, .keyNorm: [headSize]
            case .gate, .up: [feedForwardSize, hiddenSize]
            case .down: [hiddenSize, feedForwardSize]
            }
        }
    }

    /// The tensors that this model has, in the order of their use.
    public var tensorNames: [TensorName] {
        var names: [TensorName] = [.tokenEmbedding]
        if rotary.scaling == .tensor { names.append(.ropeFactors) }
        for layer in 0..<layerCount {
            names += layerTensors.map { .layer(layer, $0) }
        }
        names.append(.outputNorm)
        if !hasTiedEmbeddings { names.append(.output) }
        return names
    }

    /// The tensors that each block has.
    public var layerTensors: [LayerTensor] {
        LayerTensor.allCases.filter {
            switch $0 {
            case .queryBias, .keyBias, .valueBias: hasQKVBias
            case .attentionOutputBias: hasAttentionOutputBias
            case .queryNorm, .keyNorm: hasQKNorm
            case .postAttentionNorm, .postFeedForwardNorm: hasPostNorms
            default: true
            }
        }
    }
}
