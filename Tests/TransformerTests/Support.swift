import Foundation
import KVCache
import ModelFiles
import Testing
import Threading
import Transformer

/// A small random model in Hugging Face's layout, with transformers' logits of 48 tokens.
struct ModelFixture: Sendable, CustomTestStringConvertible {
    let name: String

    static let all = [
        "llama3-bf16-shards", "llama2-linear-f16", "mistral-f32", "qwen2-f32", "gemma3-bf16",
    ].map { ModelFixture(name: $0) }

    var testDescription: String { name }

    static var root: String { Bundle.module.bundlePath + "/Fixtures/" }
    var path: String { Self.root + name }

    func model(threads: Int = 2) throws -> TransformerModel {
        try TransformerModel(
            checkpoint: Checkpoint.open(path: path), workers: WorkerPool(threads: threads))
    }

    /// The prompt, and its logits row after row.
    func expected() throws -> (tokens: [Int32], logits: [Float]) {
        let file = try SafetensorsReader(path: path + "/expected.safetensors")
        return (file.integers("tokens"), try file.tensor(named: "logits")?.floats() ?? [])
    }
}

extension SafetensorsReader {
    /// An I32 tensor; empty if there is none.
    func integers(_ name: String) -> [Int32] {
        guard let entry = entry(named: name), entry.type == .i32 else { return [] }
        return (0..<entry.byteCount / 4).map {
            Int32(littleEndian: entry.bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self))
        }
    }
}

extension TransformerModel {
    /// All rows of logits, the tokens given to `attention` in pieces of these sizes.
    func allLogits(
        _ tokens: [Int32], pieces: [Int]? = nil, attention: some AttentionStore,
        meaning: AttentionMeaning = .prompt
    ) throws -> [Float] {
        let workspace = makeWorkspace()
        var rows: [Float] = []
        var start = 0
        for piece in pieces ?? [tokens.count] {
            let slice = Array(tokens[start..<start + piece])
            try run(
                tokens: slice, attention: attention, meaning: meaning, logits: .all,
                workspace: workspace
            ) { row, logits in
                precondition(row == rows.count / configuration.vocabularySize - start)
                rows += logits
            }
            start += piece
        }
        return rows
    }
}

/// The largest absolute difference; infinite if the counts differ or anything is NaN.
func largestDifference(_ left: [Float], _ right: [Float]) -> Float {
    guard left.count == right.count, !left.isEmpty else { return .infinity }
    var worst: Float = 0
    for (a, b) in zip(left, right) {
        let difference = abs(a - b)
        guard !difference.isNaN else { return .infinity }
        worst = max(worst, difference)
    }
    return worst
}

/// A small seeded generator (SplitMix64), the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
