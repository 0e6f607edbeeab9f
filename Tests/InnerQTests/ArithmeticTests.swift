import Foundation
import InnerQ
import ModelFixtures
import Testing

/// Integer products against float32 ones, on a real model.
@Suite(.enabled(if: RealModel.smollm2 != nil, "needs SmolLM2-135M; `make model` gets it"))
struct ArithmeticTests {
    private func compare(_ policy: CachePolicy) throws -> ArithmeticVerification {
        let path = try #require(RealModel.smollm2)
        let model = try LanguageModel.load(path: path, threads: 2)
        let text = CommandLineRun.tests.deletingLastPathComponent()
            .appendingPathComponent("docs/demo/long-text.txt")
        let tokens = model.tokenizer.encode(bytes: try Data(contentsOf: text))
        return try ArithmeticVerification.run(
            model: model.transformer, policy: policy, calibration: nil,
            tokens: Array(tokens[..<705]), prompt: 672, progress: { _ in }, isCancelled: { false })
    }

    @Test(arguments: [CachePolicy.innerQBase, .innerQHybrid, .q8])
    func logitsDifferByLessThanAHundredth(policy: CachePolicy) throws {
        let result = try compare(policy)
        #expect(result.decoded == 32)
        #expect(result.largestDifference < 1e-2)
        // They are two ways, not one.
        #expect(result.rootMeanSquare > 1e-6)
        #expect(abs(result.perplexityChange) < 2e-3)
        #expect(result.sameChoice == 32)
    }
}

@Suite(.enabled(if: CommandLineRun.binary != nil, "innerq is not built"))
struct VerifyLogitsCommandTests {
    private let text = String(repeating: "Attention over a cache. ", count: 20)

    private func run(_ arguments: [String]) throws -> CommandLineRun {
        let file = try CommandLineRun.temporaryFile(text)
        defer { try? FileManager.default.removeItem(atPath: file) }
        return try CommandLineRun(
            ["verify", "logits", "--model", CommandLineRun.model, "--file", file] + arguments)
    }

    @Test func differencesAreCounted() throws {
        let run = try run(["--cache", "q4", "--prompt", "60", "--tokens", "40", "--json"])
        let results = try #require(
            try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [[String: Any]])
        let result = try #require(results.first)
        #expect(result["cache"] as? String == "q4")
        #expect(result["decoded"] as? Int == 40)
        #expect((result["rootMeanSquare"] as? Double ?? 0) > 0)
        #expect((result["floatPerplexity"] as? Double ?? 0) > 1)
    }

    @Test func aMissedLimitIsAFailure() throws {
        let run = try run(["--cache", "q4", "--prompt", "60", "--tokens", "8", "--limit", "1e-12"])
        #expect(run.code == 1)
        #expect(run.errors.contains("differ too much with q4"))
    }

    @Test func aShortTextSaysWhatIsMissing() throws {
        let run = try run(["--prompt", "2000"])
        #expect(run.code == 1)
        #expect(run.errors.contains("Give a longer one"))
    }
}
