import Foundation
import ModelFiles

/// Writes GGUF files for tests, right or deliberately wrong.
struct GGUFWriter {
    indirect enum Value {
        case u8(UInt8)
        case i8(Int8)
        case u16(UInt16)
        case i16(Int16)
        case u32(UInt32)
        case i32(Int32)
        case f32(Float)
        case bool(Bool)
        case string(String)
        case u64(UInt64)
        case i64(Int64)
        case f64(Double)
        case array(UInt32, [Value])

        var type: UInt32 {
            switch self {
            case .u8: 0
            case .i8: 1
            case .u16: 2
            case .i16: 3
            case .u32: 4
            case .i32: 5
            case .f32: 6
            case .bool: 7
            case .string: 8
            case .array: 9
            case .u64: 10
            case .i64: 11
            case .f64: 12
            }
        }

        var bytes: [UInt8] {
            switch self {
            case .u8(let v): [v]
            case .i8(let v): littleEndian(v)
            case .u16(let v): littleEndian(v)
            case .i16(let v): littleEndian(v)
            case .u32(let v): littleEndian(v)
            case .i32(let v): littleEndian(v)
            case .f32(let v): littleEndian(v.bitPattern)
            case .bool(let v): [v ? 1 : 0]
            case .string(let v): GGUFWriter.string(v)
            case .u64(let v): littleEndian(v)
            case .i64(let v): littleEndian(v)
            case .f64(let v): littleEndian(v.bitPattern)
            case .array(let type, let values):
                littleEndian(type) + littleEndian(UInt64(values.count)) + values.flatMap(\.bytes)
            }
        }
    }

    struct Tensor {
        var name: String
        var type: UInt32
        /// Innermost first, as the file has it.
        var ne: [UInt64]
        var data: [UInt8]
        /// In place of the one that follows from the order.
        var offset: UInt64?
    }

    var version: UInt32 = 3
    var pairs: [(String, Value)] = []
    var tensors: [Tensor] = []
    var alignment = 32

    static func string(_ text: String) -> [UInt8] {
        littleEndian(UInt64(text.utf8.count)) + Array(text.utf8)
    }

    /// Adds a float32 tensor with shape `[out, in]` (or `[n]`).
    mutating func add(_ name: String, _ shape: [Int], _ values: [Float]) {
        tensors.append(
            Tensor(
                name: name, type: 0, ne: shape.reversed().map { UInt64($0) },
                data: littleEndian(values)))
    }

    func bytes() -> [UInt8] {
        var out: [UInt8] = Array("GGUF".utf8) + littleEndian(version)
        out += littleEndian(UInt64(tensors.count)) + littleEndian(UInt64(pairs.count))
        for (key, value) in pairs {
            out += Self.string(key) + littleEndian(value.type) + value.bytes
        }
        var data: [UInt8] = []
        for tensor in tensors {
            while data.count % alignment != 0 { data.append(0) }
            out += Self.string(tensor.name) + littleEndian(UInt32(tensor.ne.count))
            out += tensor.ne.flatMap { littleEndian($0) }
            out += littleEndian(tensor.type) + littleEndian(tensor.offset ?? UInt64(data.count))
            data += tensor.data
        }
        while out.count % alignment != 0 { out.append(0) }
        return out + data
    }
}

/// Writes safetensors files for tests.
enum SafetensorsWriter {
    static func bytes(header: String, data: [UInt8]) -> [UInt8] {
        littleEndian(UInt64(header.utf8.count)) + Array(header.utf8) + data
    }

    static func bytes(_ tensors: [(name: String, shape: [Int], values: [Float])]) -> [UInt8] {
        var entries: [String] = []
        var data: [UInt8] = []
        for (name, shape, values) in tensors {
            let end = data.count + 4 * values.count
            entries.append(
                """
                "\(name)":{"dtype":"F32","shape":\(shape),"data_offsets":[\(data.count),\(end)]}
                """)
            data += littleEndian(values)
        }
        return bytes(header: "{" + entries.joined(separator: ",") + "}", data: data)
    }
}

/// A model small enough to write in a test: 2 layers, 32 channels, 2 heads of 16 sharing 1 KV head, 8 tokens.
enum TinyModel {
    /// Seeded values, different for each tensor.
    static func values(_ shape: [Int], seed: Int) -> [Float] {
        var generator = SeededGenerator(seed: UInt64(seed))
        return (0..<shape.reduce(1, *)).map { _ in Float.random(in: -1...1, using: &generator) }
    }

    static func gguf(tied: Bool = false) -> GGUFWriter {
        var writer = GGUFWriter()
        writer.pairs = [
            ("general.architecture", .string("llama")), ("general.name", .string("tiny")),
            ("llama.block_count", .u32(2)), ("llama.context_length", .u32(64)),
            ("llama.embedding_length", .u32(32)), ("llama.feed_forward_length", .u32(48)),
            ("llama.attention.head_count", .u32(2)), ("llama.attention.head_count_kv", .u32(1)),
            ("llama.rope.freq_base", .f32(10000)), ("llama.rope.dimension_count", .u32(16)),
            ("llama.attention.layer_norm_rms_epsilon", .f32(1e-5)),
            ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string("smollm")),
            ("tokenizer.ggml.tokens", .array(8, "abcdefgh".map { .string(String($0)) })),
            ("tokenizer.ggml.token_type", .array(5, [3, 1, 1, 1, 1, 1, 1, 6].map { .i32($0) })),
            ("tokenizer.ggml.merges", .array(8, [.string("a b"), .string("c d")])),
            ("tokenizer.ggml.bos_token_id", .u32(0)), ("tokenizer.ggml.eos_token_id", .u32(1)),
            ("tokenizer.ggml.padding_token_id", .u32(0xFFFF_FFFF)),
            ("tokenizer.chat_template", .string("{{ messages }}")),
        ]
        var tensors: [(String, [Int])] = [("token_embd.weight", [8, 32])]
        for layer in 0..<2 {
            tensors += [
                ("attn_norm", [32]), ("attn_q", [32, 32]), ("attn_k", [16, 32]),
                ("attn_v", [16, 32]), ("attn_output", [32, 32]), ("ffn_norm", [32]),
                ("ffn_gate", [48, 32]), ("ffn_up", [48, 32]), ("ffn_down", [32, 48]),
            ].map { ("blk.\(layer).\($0.0).weight", $0.1) }
        }
        tensors.append(("output_norm.weight", [32]))
        if !tied { tensors.append(("output.weight", [8, 32])) }
        for (seed, (name, shape)) in tensors.enumerated() {
            writer.add(name, shape, values(shape, seed: seed))
        }
        return writer
    }

    static let config = """
        {"model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 8,
         "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "hidden_act": "silu",
         "tie_word_embeddings": false}
        """

    /// The same tensors under Hugging Face's names.
    static func huggingFace() -> [(name: String, shape: [Int], values: [Float])] {
        var tensors: [(String, [Int])] = [("model.embed_tokens.weight", [8, 32])]
        for layer in 0..<2 {
            tensors += [
                ("input_layernorm", [32]), ("self_attn.q_proj", [32, 32]),
                ("self_attn.k_proj", [16, 32]), ("self_attn.v_proj", [16, 32]),
                ("self_attn.o_proj", [32, 32]), ("post_attention_layernorm", [32]),
                ("mlp.gate_proj", [48, 32]), ("mlp.up_proj", [48, 32]),
                ("mlp.down_proj", [32, 48]),
            ].map { ("model.layers.\(layer).\($0.0).weight", $0.1) }
        }
        tensors += [("model.norm.weight", [32]), ("lm_head.weight", [8, 32])]
        return tensors.enumerated().map { ($1.0, $1.1, values($1.1, seed: $0)) }
    }
}
