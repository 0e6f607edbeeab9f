import Foundation
import ModelFiles
import Testing
import Threading
import Transformer

/// A Hugging Face checkpoint rewritten as GGUF, the way converters do it, computes the same: permuted rows of W_Q and
/// W_K with interleaved RoPE, RoPE factors as a tensor, Gemma's norms with one added.
@Suite struct GGUFEquivalenceTests {
    @Test(arguments: ["llama3-bf16-shards", "llama2-linear-f16", "qwen2-f32", "gemma3-bf16"])
    func computesTheSameFromBothKindsOfFile(name: String) throws {
        let fixture = ModelFixture(name: name)
        let folder = try Checkpoint.open(path: fixture.path)
        let bytes = try GGUFRewriter(folder).bytes()
        let file = try bytes.withUnsafeBytes { try MappedFile(copying: $0, path: "\(name).gguf") }
        let gguf = try Checkpoint(gguf: GGUFReader(file: file))
        let isLlama = gguf.configuration.architecture == .llama
        #expect((gguf.configuration.rotary.pairing == .interleaved) == isLlama)
        let expected = try fixture.expected()
        let model = try TransformerModel(checkpoint: gguf, workers: WorkerPool(threads: 2))
        let logits = try model.allLogits(
            expected.tokens, attention: DenseAttention(model.cacheShape))
        let deviation = largestDifference(logits, expected.logits)
        #expect(deviation < 1e-3, "\(deviation)")
    }
}

/// Writes a checkpoint as a float32 GGUF file.
private struct GGUFRewriter {
    private let checkpoint: Checkpoint
    private let configuration: ModelConfiguration
    private var out: [UInt8] = []
    private var pairCount = 0

    init(_ checkpoint: Checkpoint) {
        self.checkpoint = checkpoint
        configuration = checkpoint.configuration
    }

    private func integer(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }
    }

    private func string(_ text: String) -> [UInt8] {
        integer(UInt64(text.utf8.count)) + Array(text.utf8)
    }

    private mutating func pair(_ key: String, _ value: Int) {
        out += string(key) + integer(UInt32(4)) + integer(UInt32(value))
        pairCount += 1
    }

    private mutating func pair(_ key: String, _ value: Double) {
        out += string(key) + integer(UInt32(6)) + integer(Float(value).bitPattern)
        pairCount += 1
    }

    private mutating func pair(_ key: String, _ value: String) {
        out += string(key) + integer(UInt32(8)) + string(value)
        pairCount += 1
    }

    private mutating func writeMetadata() {
        let name = configuration.architecture.rawValue
        pair("general.architecture", name)
        pair("\(name).block_count", configuration.layerCount)
        pair("\(name).context_length", configuration.contextLength)
        pair("\(name).embedding_length", configuration.hiddenSize)
        pair("\(name).feed_forward_length", configuration.feedForwardSize)
        pair("\(name).attention.head_count", configuration.headCount)
        pair("\(name).attention.head_count_kv", configuration.kvHeadCount)
        pair("\(name).attention.key_length", configuration.headSize)
        pair("\(name).vocab_size", configuration.vocabularySize)
        pair("\(name).attention.layer_norm_rms_epsilon", Double(configuration.rmsEpsilon))
        pair("\(name).rope.freq_base", configuration.rotary.theta)
        if case .linear(let factor) = configuration.rotary.scaling {
            pair("\(name).rope.scaling.type", "linear")
            pair("\(name).rope.scaling.factor", factor)
        }
        if let window = configuration.slidingWindows[0] {
            pair("\(name).attention.sliding_window", window)
            pair("\(name).attention.sliding_window_pattern", 3)
        }
    }

    /// Rows of each head from half-split to interleaved order: row 2i + j of the result is row i + j·d/2.
    private func interleaved(_ values: [Float], columns: Int) -> [Float] {
        let d = configuration.headSize
        return (0..<values.count / columns).flatMap { row in
            let (head, place) = (row / d, row % d)
            let source = head * d + place / 2 + place % 2 * (d / 2)
            return values[source * columns..<(source + 1) * columns]
        }
    }

    private func tensor(_ name: TensorName) throws -> (shape: [Int], values: [Float]) {
        let view = try checkpoint.tensor(name)
        var values = try #require(view.floats())
        guard case .layer(_, let part) = name else {
            if name == .outputNorm, configuration.normWeightsLackOne {
                values = values.map { $0 + 1 }
            }
            return (view.shape, values)
        }
        switch part {
        case .query, .key:
            if configuration.architecture == .llama {
                values = interleaved(values, columns: view.columns)
            }
        case .attentionNorm, .postAttentionNorm, .feedForwardNorm, .postFeedForwardNorm, .queryNorm,
            .keyNorm:
            if configuration.normWeightsLackOne { values = values.map { $0 + 1 } }
        default: break
        }
        return (view.shape, values)
    }

    private func fileName(_ name: TensorName) -> String {
        switch name {
        case .tokenEmbedding: return "token_embd.weight"
        case .output: return "output.weight"
        case .outputNorm: return "output_norm.weight"
        case .ropeFactors: return "rope_freqs.weight"
        case .layer(let layer, let part):
            let names: [LayerTensor: String] = [
                .attentionNorm: "attn_norm.weight", .query: "attn_q.weight",
                .key: "attn_k.weight", .value: "attn_v.weight",
                .attentionOutput: "attn_output.weight", .queryBias: "attn_q.bias",
                .keyBias: "attn_k.bias", .valueBias: "attn_v.bias",
                .queryNorm: "attn_q_norm.weight", .keyNorm: "attn_k_norm.weight",
                .postAttentionNorm: "post_attention_norm.weight",
                .feedForwardNorm: "ffn_norm.weight", .gate: "ffn_gate.weight",
                .up: "ffn_up.weight", .down: "ffn_down.weight",
                .postFeedForwardNorm: "post_ffw_norm.weight",
            ]
            return "blk.\(layer).\(names[part]!)"
        }
    }

    /// The whole file. Gemma's query scale has no key in GGUF and is folded into the query norm instead.
    func bytes() throws -> [UInt8] {
        var writer = self
        writer.writeMetadata()
        var tensors: [(name: String, shape: [Int], values: [Float])] = []
        for name in configuration.tensorNames {
            var (shape, values) = try tensor(name)
            if case .layer(_, .queryNorm) = name {
                let ratio =
                    configuration.attentionScale * Float(configuration.headSize).squareRoot()
                values = values.map { $0 * ratio }
            }
            tensors.append((fileName(name), shape, values))
        }
        if case .llama3 = configuration.rotary.scaling {
            let plain = RotaryConfiguration(
                theta: configuration.rotary.theta, pairing: .halfSplit)
            let factors = zip(
                plain.frequencies(headSize: configuration.headSize),
                configuration.rotary.frequencies(headSize: configuration.headSize)
            ).map { Float($0 / $1) }
            tensors.append(("rope_freqs.weight", [factors.count], factors))
        }
        var head = Array("GGUF".utf8) + integer(UInt32(3)) + integer(UInt64(tensors.count))
        head += integer(UInt64(writer.pairCount)) + writer.out
        var data: [UInt8] = []
        for (name, shape, values) in tensors {
            while data.count % 32 != 0 { data.append(0) }
            head += string(name) + integer(UInt32(shape.count))
            for length in shape.reversed() { head += integer(UInt64(length)) }
            head += integer(UInt32(0)) + integer(UInt64(data.count))
            for value in values { data += integer(value.bitPattern) }
        }
        while head.count % 32 != 0 { head.append(0) }
        return head + data
    }
}
