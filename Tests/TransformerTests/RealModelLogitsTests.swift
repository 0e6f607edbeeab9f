import Foundation
import KVCache
import ModelFiles
import Testing
import Threading
import Transformer

/// Logits of real GGUF files against transformers in float32, where the files are at hand: in the cache folder that
/// `innerq pull` fills, or where `INNERQ_MODEL` points (a file, or a folder of files).
@Suite struct RealModelLogitsTests {
    struct Model: Sendable, CustomTestStringConvertible {
        let fixture: String
        /// What a file's name must contain, in lower case.
        let words: [String]

        var testDescription: String { fixture }

        var file: String? {
            RealModelLogitsTests.files.first { path in
                let name = (path as NSString).lastPathComponent.lowercased()
                return name.hasSuffix(".gguf") && words.allSatisfy { name.contains($0) }
            }
        }
    }

    static let models = [
        Model(fixture: "smollm2-135m", words: ["smollm2"]),
        Model(fixture: "qwen2.5-coder-0.5b", words: ["qwen2.5", "0.5b"]),
        Model(fixture: "gemma-3-270m", words: ["gemma-3", "270m"]),
    ]

    static let files: [String] = {
        let environment = ProcessInfo.processInfo.environment
        let cache = environment["XDG_CACHE_HOME"] ?? NSHomeDirectory() + "/.cache"
        let places = [environment["INNERQ_MODEL"], cache + "/innerq"].compactMap { $0 }
        return places.flatMap { place -> [String] in
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: place, isDirectory: &isFolder) else {
                return []
            }
            if !isFolder.boolValue { return [place] }
            let names = (try? FileManager.default.subpathsOfDirectory(atPath: place)) ?? []
            return names.map { place + "/" + $0 }
        }
    }()

    static var found: [Model] { models.filter { $0.file != nil } }

    private func open(_ model: Model) throws -> (TransformerModel, SafetensorsReader) {
        let checkpoint = try Checkpoint.open(path: model.file!)
        return (
            try TransformerModel(checkpoint: checkpoint, workers: WorkerPool(threads: 2)),
            try SafetensorsReader(
                path: ModelFixture.root + "gguf-logits/\(model.fixture).safetensors")
        )
    }

    @Test(.enabled(if: !found.isEmpty, "no model file at hand"), arguments: found)
    func equalTransformers(model: Model) throws {
        let (transformer, expected) = try open(model)
        let tokens = expected.integers("tokens")
        let topIDs = expected.integers("top_ids")
        let topLogits = try #require(try expected.tensor(named: "top_logits")?.floats())
        let all = try expected.tensor(named: "logits")?.floats()
        let workspace = transformer.makeWorkspace()
        var start = 0
        for (prompt, length) in expected.integers("prompts").map({ Int($0) }).enumerated() {
            let attention = DenseAttention(transformer.cacheShape)
            try transformer.run(
                tokens: Array(tokens[start..<start + length]), attention: attention,
                meaning: .prompt, logits: .last, workspace: workspace)
            start += length
            let logits = Array(workspace.logits)
            let ids = topIDs[20 * prompt..<20 * (prompt + 1)].map { Int($0) }
            let worst = largestDifference(
                ids.map { logits[$0] }, Array(topLogits[20 * prompt..<20 * (prompt + 1)]))
            #expect(worst < 1e-2, "prompt \(prompt): \(worst)")
            let top = logits.indices.sorted { logits[$0] > logits[$1] }
            #expect(Array(top[..<5]) == Array(ids[..<5]))
            if let all {
                let row = Array(all[prompt * logits.count..<(prompt + 1) * logits.count])
                let worst = largestDifference(logits, row)
                #expect(worst < 1e-2, "prompt \(prompt): \(worst)")
            }
        }
    }

    /// A prompt on a matrix unit is rounded to two bfloat16 a number; elsewhere both are the same float32.
    @Test(.enabled(if: !found.isEmpty, "no model file at hand"), arguments: found)
    func promptsEqualFloat32(model: Model) throws {
        let (transformer, expected) = try open(model)
        let own = expected.integers("tokens").map { Int32($0) }
        let tokens = (0..<400).map { own[$0 % own.count] }
        func logits(_ arithmetic: ProductArithmetic) throws -> [Float] {
            // A cache in float32: one in float16 would turn some roundings over.
            let workspace = transformer.makeWorkspace()
            workspace.arithmetic = arithmetic
            try transformer.run(
                tokens: tokens, attention: DenseAttention(transformer.cacheShape), meaning: .prompt,
                logits: .last, workspace: workspace)
            return Array(workspace.logits)
        }
        let difference = largestDifference(try logits(.integer), try logits(.float))
        print("\(model): prompts of 400 tokens move logits by \(difference) at most")
        #expect(difference < 1e-2)
    }
}
