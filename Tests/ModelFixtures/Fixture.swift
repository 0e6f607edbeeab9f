package import Foundation
package import Generation
package import ModelFiles
import Threading

/// The random models of TransformerTests with a byte-level tokenizer: vocabulary 256, context 256 or as asked.
package enum Fixture {
    package static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("TransformerTests/Fixtures")

    package static let tokenizer: Tokenizer = {
        let path = folder.appendingPathComponent("byte-tokenizer/tokenizer.json")
        // A test without its fixture cannot go on.
        return try! Tokenizer(json: Data(contentsOf: path))
    }()

    /// - Parameter context: instead of the file's own. InnerQ's presets seal nothing before 512 tokens.
    package static func model(
        _ name: String = "llama3-bf16-shards", context: Int? = nil, threads: Int = 1
    ) throws -> LanguageModel {
        try LanguageModel(
            checkpoint: checkpoint(name, context: context), tokenizer: tokenizer,
            chatTemplate: ChatTemplate(.chatML), workers: WorkerPool(threads: threads))
    }

    /// A model whose context is so long that only a stop can end it.
    package static func endlessModel() throws -> LanguageModel {
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
        precondition(changed != text, "\(name) has another context than 256")
        try changed.write(to: config, atomically: true, encoding: .utf8)
        return try .open(path: copy.path)
    }

    /// Tokens without the special ones, the same in every run.
    package static func tokens(_ count: Int, seed: UInt64 = 1) -> [Int32] {
        var numbers = Numbers(seed)
        return (0..<count).map { _ in 3 + Int32(numbers.next() % 253) }
    }

    package static func temporaryFile() -> String {
        FileManager.default.temporaryDirectory
            .appendingPathComponent("innerq-\(UUID().uuidString).session").path
    }
}

/// SplitMix64.
package struct Numbers: RandomNumberGenerator {
    private var state: UInt64

    package init(_ seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// The default model, where `innerq pull` has put it or `INNERQ_MODEL` points; tests that need it are skipped by name without it.
package enum RealModel {
    package static let smollm2: String? = {
        let environment = ProcessInfo.processInfo.environment
        let cache = environment["XDG_CACHE_HOME"] ?? NSHomeDirectory() + "/.cache"
        for place in [environment["INNERQ_MODEL"], cache + "/innerq"].compactMap({ $0 }) {
            if place.hasSuffix(".gguf"), place.lowercased().contains("smollm2") { return place }
            let names = FileManager.default.enumerator(atPath: place)?.compactMap { $0 as? String }
            let name = (names ?? []).sorted().first {
                $0.hasSuffix(".gguf") && $0.lowercased().contains("smollm2")
            }
            if let name { return place + "/" + name }
        }
        return nil
    }()
}
