import Foundation
import Generation
import KVCache
import ModelFiles
import Testing
import Threading
import Transformer

/// The random models of TransformerTests with a byte-level tokenizer: vocabulary 256, context 256 or as asked.
enum Fixture {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("TransformerTests/Fixtures")

    static let tokenizer: Tokenizer = {
        let path = folder.appendingPathComponent("byte-tokenizer/tokenizer.json")
        // A test without its fixture cannot go on.
        return try! Tokenizer(json: Data(contentsOf: path))
    }()

    /// - Parameter context: instead of the file's own. InnerQ's presets seal nothing before 512 tokens.
    static func model(
        _ name: String = "llama3-bf16-shards", context: Int? = nil, threads: Int = 1
    ) throws -> LanguageModel {
        try LanguageModel(
            checkpoint: checkpoint(name, context: context), tokenizer: tokenizer,
            chatTemplate: ChatTemplate(.chatML), workers: WorkerPool(threads: threads))
    }

    /// A model whose context is so long that only a stop can end it.
    static func endlessModel() throws -> LanguageModel {
        try LanguageModel(
            checkpoint: checkpoint("llama3-bf16-shards", context: 1_000_000),
            tokenizer: tokenizer, chatTemplate: nil, workers: WorkerPool(threads: 1))
    }

    private static func checkpoint(_ name: String, context: Int?) throws -> Checkpoint {
        let source = folder.appendingPathComponent(name)
        guard let context else { return try .open(path: source.path) }
        let copy = FileManager.default.temporaryDirectory
            .appendingPathComponent("innerq-fixture-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: source, to: copy)
        // Opened files stay mapped.
        defer { try? FileManager.default.removeItem(at: copy) }
        let config = copy.appendingPathComponent("config.json")
        let text = try String(contentsOf: config, encoding: .utf8)
        let changed = text.replacing(
            "\"max_position_embeddings\": 256", with: "\"max_position_embeddings\": \(context)")
        try #require(changed != text)
        try changed.write(to: config, atomically: true, encoding: .utf8)
        return try .open(path: copy.path)
    }

    /// Tokens without the special ones, the same in every run.
    static func tokens(_ count: Int, seed: UInt64 = 1) -> [Int32] {
        var numbers = Numbers(seed)
        return (0..<count).map { _ in 3 + Int32(numbers.next() % 253) }
    }

    static func temporaryFile() -> String {
        FileManager.default.temporaryDirectory
            .appendingPathComponent("innerq-\(UUID().uuidString).session").path
    }
}

/// SplitMix64.
struct Numbers: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension GenerationOptions {
    /// The most likely tokens, `count` of them whatever they are.
    static func greedy(_ count: Int?) -> GenerationOptions {
        GenerationOptions(sampling: .greedy, maxTokens: count, ignoresEndOfGeneration: true)
    }

    static func random(_ count: Int?, seed: UInt64?) -> GenerationOptions {
        GenerationOptions(
            sampling: SamplingParameters(
                temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1.1, seed: seed),
            maxTokens: count, ignoresEndOfGeneration: true)
    }
}

extension TokenStream {
    /// Ids and text of all tokens.
    func collect() async throws -> (ids: [Int32], text: String) {
        var ids: [Int32] = []
        var text = ""
        for try await token in self {
            if let id = token.id { ids.append(id) }
            text += token.text
        }
        return (ids, text)
    }
}
