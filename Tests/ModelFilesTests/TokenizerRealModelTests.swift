import Foundation
import ModelFiles
import Testing

/// Tokenizers of real GGUF files against Hugging Face's, where the files are at hand: in the cache
/// folder that `innerq pull` fills, or where `INNERQ_SMOLLM2` (this model) or `INNERQ_MODEL` (a
/// file, or a folder of files) point.
@Suite("Real tokenizers")
struct TokenizerRealModelTests {
    struct Model: Sendable, CustomTestStringConvertible {
        let fixture: String
        /// What a file's name must contain, in lower case.
        let word: String
        let family: ChatTemplate.Family?

        var testDescription: String { fixture }

        var file: String? {
            TokenizerRealModelTests.files.first { path in
                let name = (path as NSString).lastPathComponent.lowercased()
                return name.hasSuffix(".gguf") && name.contains(word)
            }
        }
    }

    static let models = [
        Model(fixture: "real-smollm2", word: "smollm2", family: .chatML),
        Model(fixture: "real-qwen2", word: "qwen2.5", family: .chatML),
        Model(fixture: "real-gemma3", word: "gemma-3", family: .gemma),
    ]

    static let files: [String] = {
        let environment = ProcessInfo.processInfo.environment
        let cache = environment["XDG_CACHE_HOME"] ?? NSHomeDirectory() + "/.cache"
        let places = [
            environment["INNERQ_SMOLLM2"], environment["INNERQ_MODEL"], cache + "/innerq",
        ]
        return places.compactMap { $0 }.flatMap { place -> [String] in
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

    @Test(.enabled(if: !found.isEmpty, "no model file at hand"), arguments: found)
    func equalHuggingFace(model: Model) throws {
        let tokenizer = try Tokenizer(checkpoint: Checkpoint.open(path: model.file!))
        let expected = try TokenizerFixtures.decode(
            TokenizerFixtures.Expected.self, "\(model.fixture).json")
        for text in try TokenizerFixtures.cases() {
            guard let ids = expected.plain[text.name] else { continue }
            #expect(tokenizer.encode(bytes: text.bytes, addSpecial: false) == ids, "\(text.name)")
            guard let string = text.text else { continue }
            #expect(
                tokenizer.encode(string, addSpecial: false, parseSpecial: true)
                    == expected.special[text.name] ?? ids, "\(text.name), special")
            let decoded = expected.decoded[text.name] ?? string
            #expect(Array(tokenizer.decode(ids).utf8) == Array(decoded.utf8), "\(text.name)")
        }
        let template = try #require(tokenizer.chatTemplate)
        #expect(template.family == model.family)
        let stops = template.stopTokens(tokenizer)
        #expect(tokenizer.endOfTurn.map(stops.contains) == true)
        #expect(stops.allSatisfy(tokenizer.isSpecial))
        let prompt = tokenizer.encode(
            try template.segments([.user("<|im_end|><end_of_turn>")], addGenerationPrompt: true))
        #expect(prompt.last == tokenizer.encode("\n", addSpecial: false).last)
        let ends = prompt.filter { $0 == tokenizer.endOfTurn }.count
        #expect(ends == (template.defaultSystem == nil ? 1 : 2))
    }
}
