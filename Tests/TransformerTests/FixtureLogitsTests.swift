import KVCache
import ModelFiles
import Testing
import Threading
import Transformer

/// Logits of small random models against transformers in float32.
@Suite struct FixtureLogitsTests {
    static let hasMatrixUnit = AttentionKernels.best.name.hasSuffix("-amx")

    @Test(arguments: ModelFixture.all) func equalTransformers(fixture: ModelFixture) throws {
        let model = try fixture.model()
        let expected = try fixture.expected()
        #expect(expected.tokens.count == 48)
        let logits = try model.allLogits(
            expected.tokens, attention: DenseAttention(model.cacheShape))
        #expect(largestDifference(logits, expected.logits) < 1e-3)
    }

    /// The same with an InnerQ cache that holds float16: its rounding is all that differs.
    @Test(arguments: ModelFixture.all) func equalTransformersWithAFloat16Cache(
        fixture: ModelFixture
    ) throws {
        let model = try fixture.model()
        let expected = try fixture.expected()
        let cache = try SequenceCache(
            shape: model.cacheShape, policy: .float16, workers: model.workers)
        let workspace = model.makeWorkspace()
        var logits: [Float] = []
        try model.forward(
            tokens: expected.tokens, cache: cache, meaning: .prompt, logits: .all,
            workspace: workspace
        ) { _, row in logits += row }
        #expect(cache.tokenCount == 48)
        let deviation = largestDifference(logits, expected.logits)
        #expect(deviation < 2e-2, "\(deviation)")
    }

    @Test(arguments: ModelFixture.all) func doNotDependOnTheCut(fixture: ModelFixture) throws {
        let model = try fixture.model()
        let tokens = try fixture.expected().tokens
        let whole = try model.allLogits(tokens, attention: DenseAttention(model.cacheShape))
        for pieces in [[Int](repeating: 1, count: 48), [7, 1, 30, 2, 8]] {
            let cut = try model.allLogits(
                tokens, pieces: pieces, attention: DenseAttention(model.cacheShape))
            // A prompt of more than eight tokens is rounded to two bfloat16 a number where there is a matrix unit.
            #expect(largestDifference(cut, whole) < (Self.hasMatrixUnit ? 1e-3 : 1e-4))
        }
    }

    @Test(arguments: ModelFixture.all) func doNotDependOnTheThreads(fixture: ModelFixture) throws {
        let tokens = try fixture.expected().tokens
        let one = try fixture.model(threads: 1)
        let three = try fixture.model(threads: 3)
        #expect(
            try one.allLogits(tokens, attention: DenseAttention(one.cacheShape))
                == three.allLogits(tokens, attention: DenseAttention(three.cacheShape)))
    }

    /// A position off by one must show, or the tests above would prove little.
    @Test(arguments: ModelFixture.all) func dependOnPositions(fixture: ModelFixture) throws {
        let model = try fixture.model()
        let expected = try fixture.expected()
        let shifted = [expected.tokens[0]] + expected.tokens.dropLast()
        let logits = try model.allLogits(shifted, attention: DenseAttention(model.cacheShape))
        #expect(largestDifference(logits, expected.logits) > 0.5)
    }
}
