import Foundation
import KVCache
import ModelFiles
import Synchronization
import Testing
import Threading
import Transformer

/// What a pass promises beyond its numbers.
@Suite struct ForwardPassTests {
    private let fixture = ModelFixture(name: "gemma3-bf16")

    private func cache(_ model: TransformerModel, _ policy: CachePolicy = .float16) throws
        -> SequenceCache
    {
        try SequenceCache(shape: model.cacheShape, policy: policy, workers: model.workers)
    }

    @Test func computesOnlyTheRowsAskedFor() throws {
        let model = try fixture.model()
        let tokens = try fixture.expected().tokens
        let vocabulary = model.configuration.vocabularySize
        let all = try model.allLogits(tokens, attention: DenseAttention(model.cacheShape))
        let workspace = model.makeWorkspace()
        #expect(workspace.logits.isEmpty)

        func rows(_ wanted: LogitRows) throws -> [Int: [Float]] {
            var rows: [Int: [Float]] = [:]
            try model.run(
                tokens: tokens, attention: DenseAttention(model.cacheShape), meaning: .prompt,
                logits: wanted, workspace: workspace
            ) { row, logits in rows[row] = Array(logits) }
            return rows
        }
        #expect(try rows(.none).isEmpty)
        let last = try rows(.last)
        #expect(last.keys.sorted() == [47])
        #expect(largestDifference(last[47]!, Array(all[(47 * vocabulary)...])) < 1e-4)
        #expect(Array(workspace.logits) == last[47])
        let tail = try rows(.from(30))
        #expect(tail.keys.sorted() == Array(30..<48))
        for (row, logits) in tail {
            let expected = Array(all[row * vocabulary..<(row + 1) * vocabulary])
            #expect(largestDifference(logits, expected) < 1e-4)
        }
        #expect(Array(workspace.logits) == tail[47])
        #expect(try rows(.from(-5)).count == 48)
        #expect(try rows(.from(99)).isEmpty)
    }

    /// Chunks of 512 and the memory of a long prompt.
    @Test func runsLongTextInBoundedMemory() throws {
        let model = try ModelFixture(name: "mistral-f32").model()
        var generator = SeededGenerator(seed: 5)
        let tokens = (0..<1200).map { _ in Int32.random(in: 0..<256, using: &generator) }
        let workspace = model.makeWorkspace()

        var whole: [Float] = []
        try model.forward(
            tokens: tokens, cache: try cache(model), meaning: .prompt, logits: .from(1000),
            workspace: workspace
        ) { _, row in whole += row }
        let afterPrompt = workspace.byteCount

        var pieces: [Float] = []
        try model.forward(
            tokens: tokens, cache: try cache(model), meaning: .decode, logits: .from(1000),
            workspace: workspace
        ) { row, logits in
            #expect(row == 1000 + pieces.count / 256)
            pieces += logits
        }
        // With float16 there is nothing to tell the meanings apart, but that a prompt may be rounded to two bfloat16 a number.
        let tolerance: Float = FixtureLogitsTests.hasMatrixUnit ? 4e-3 : 1e-3
        #expect(largestDifference(whole, pieces) < tolerance)
        // hidden, queries, output; keys, values, angles; normed; wide; logits; scratch
        let floats = 512 * (64 + 2 * 256 + 2 * 128 + 64 + 64 + 512) + 16 * 256
        #expect(afterPrompt <= 4 * floats + model.makeWorkspace().byteCount)
        #expect(workspace.byteCount <= afterPrompt)
    }

    @Test func decodesLikeTokenByTokenThroughAQuantizedCache() throws {
        let model = try ModelFixture(name: "qwen2-f32").model()
        var generator = SeededGenerator(seed: 6)
        let tokens = (0..<330).map { _ in Int32.random(in: 0..<256, using: &generator) }
        let prompt = Array(tokens[..<100])
        func logits(pieces: [Int]) throws -> [Float] {
            let cache = try cache(model, .innerQBase.withStatistics(fromTokens: 0))
            let workspace = model.makeWorkspace()
            // Pieces of many tokens are float32 in any case.
            cache.arithmetic = .float
            workspace.arithmetic = .float
            try model.forward(
                tokens: prompt, cache: cache, meaning: .prompt, logits: .none, workspace: workspace)
            var rows: [Float] = []
            var start = 100
            for piece in pieces {
                try model.forward(
                    tokens: Array(tokens[start..<start + piece]), cache: cache, meaning: .decode,
                    logits: .all, workspace: workspace
                ) { _, row in rows += row }
                start += piece
            }
            #expect(cache.tokenCount == 330)
            #expect(cache.byteCount.body > 0)
            return rows
        }
        let single = try logits(pieces: [Int](repeating: 1, count: 230))
        #expect(largestDifference(try logits(pieces: [230]), single) < 1e-3)
        #expect(largestDifference(try logits(pieces: [3, 100, 127]), single) < 1e-3)
    }

    @Test func refusesWhatItCannotRun() throws {
        let model = try fixture.model()
        let workspace = model.makeWorkspace()
        let empty = try cache(model)
        #expect(throws: TransformerError.noTokens) {
            try model.forward(tokens: [], cache: empty, meaning: .prompt, workspace: workspace)
        }
        for token in [-1, 256, Int32.max, Int32.min] {
            #expect(
                throws: TransformerError.tokenOutOfRange(token, index: 1, vocabularySize: 256)
            ) {
                try model.forward(
                    tokens: [0, token], cache: empty, meaning: .prompt, workspace: workspace)
            }
        }
        let other = try ModelFixture(name: "qwen2-f32").model()
        let foreign = try SequenceCache(
            shape: other.cacheShape, policy: .float16, workers: model.workers)
        #expect(throws: TransformerError.foreignCache) {
            try model.forward(tokens: [1], cache: foreign, meaning: .prompt, workspace: workspace)
        }
        #expect(throws: TransformerError.foreignWorkspace) {
            try model.forward(
                tokens: [1], cache: empty, meaning: .prompt, workspace: other.makeWorkspace())
        }
        #expect(empty.tokenCount == 0)
    }

    @Test func stopsBetweenLayersAndMarksTheCache() throws {
        let model = try fixture.model()
        let workspace = model.makeWorkspace()
        let cache = try cache(model)
        let asked = Mutex(0)
        let stopAtSecond: @Sendable () -> Bool = {
            asked.withLock {
                $0 += 1
                return $0 > 1
            }
        }
        #expect(throws: TransformerError.cancelled) {
            try model.forward(
                tokens: [1, 2, 3], cache: cache, meaning: .prompt, workspace: workspace,
                isCancelled: stopAtSecond)
        }
        #expect(!cache.isConsistent)
        #expect(throws: TransformerError.brokenCache) {
            try model.forward(tokens: [4], cache: cache, meaning: .decode, workspace: workspace)
        }
    }

    @Test func heedsTheTasksCancellation() async throws {
        let model = try fixture.model()
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            let cache = try SequenceCache(
                shape: model.cacheShape, policy: .float16, workers: model.workers)
            try model.forward(
                tokens: [1], cache: cache, meaning: .prompt, workspace: model.makeWorkspace())
        }
        task.cancel()
        await #expect(throws: TransformerError.cancelled) { try await task.value }
    }

    @Test func givesEachLayerItsWindow() throws {
        let shape = try fixture.model().cacheShape
        #expect(shape.layers.map(\.slidingWindow) == [12, 12, nil])
        #expect(shape.layers.allSatisfy { $0.headSize == 256 && $0.queryHeads == 2 })
        #expect(shape.layers[0].attentionScale == Float(1 / 192.0.squareRoot()))
    }

    @Test func errorsSayWhatToDo() {
        let error = TransformerError.tokenOutOfRange(300, index: 2, vocabularySize: 256)
        #expect("\(error)".contains("300"))
        #expect((error as any Error).localizedDescription.contains("tokenizer"))
    }
}
