import Foundation
import Generation
import KVCache
import ModelFiles
import ModelFixtures
import Synchronization
import Testing
import Transformer

@Suite struct SessionTests {
    let prompt = Fixture.tokens(170)

    // MARK: - Runs

    @Test func textAndTokensOfAPromptGiveTheSame() async throws {
        let model = try Fixture.model()
        let text = "The quick brown fox"
        let byText = try await model.makeSession().generate(text, options: .greedy(12)).collect()
        let byTokens = try await model.makeSession()
            .generate(tokens: model.tokenizer.encode(text), options: .greedy(12)).collect()
        #expect(byText.ids == byTokens.ids)
        #expect(byText.ids.count == 12)
        #expect(byText.text == model.tokenizer.decode(byText.ids, skipSpecial: true))
    }

    @Test func statisticsCountWhatRan() async throws {
        let model = try Fixture.model()
        let session = try model.makeSession(policy: .innerQBase)
        _ = try await session.generate(tokens: prompt, options: .greedy(30)).collect()
        let statistics = session.statistics
        #expect(statistics.promptTokens == 170)
        #expect(statistics.generatedTokens == 30)
        #expect(statistics.stopReason == .maxTokens)
        // The last token has not run.
        #expect(statistics.cachedTokens == 199)
        let bytes = CachePolicy.innerQBase.byteCount(
            shape: model.configuration.cacheShape, tokens: 199)
        #expect(statistics.cacheBytes == bytes.total)
        #expect(statistics.float16Bytes == bytes.float16)
        #expect(statistics.bitsPerElement == bytes.bitsPerElement)
        #expect(statistics.prefillRate > 0 && statistics.decodeRate > 0)
        #expect(session.prefillProgress == nil)
    }

    @Test(arguments: ["innerq-base", "kivi-2", "float16"]) func aRunInPartsIsTheWholeRun(
        policy: String
    ) async throws {
        let model = try Fixture.model()
        let policy = try CachePolicy.named(policy)
        let whole = try await model.makeSession(policy: policy)
            .generate(tokens: prompt, options: .random(40, seed: 3)).collect()
        let session = try model.makeSession(policy: policy)
        var ids = try await session.generate(tokens: prompt, options: .random(15, seed: 3))
            .collect().ids
        ids += try await session.generate(tokens: [], options: .random(25, seed: nil)).collect().ids
        #expect(ids == whole.ids)
        #expect(session.tokens == prompt + ids)
    }

    @Test func aPromptCanBeReadFirstAndContinuedLater() async throws {
        let model = try Fixture.model()
        let whole = try await model.makeSession()
            .generate(tokens: prompt, options: .greedy(10)).collect()
        let session = try model.makeSession()
        let none = try await session.generate(tokens: prompt, options: .greedy(0)).collect()
        #expect(none.ids.isEmpty)
        #expect(session.statistics.cachedTokens == 170)
        #expect(
            try await session.generate(tokens: [], options: .greedy(10)).collect().ids == whole.ids)
    }

    @Test func aResetSessionIsANewOne() async throws {
        let session = try Fixture.model().makeSession()
        let first = try await session.generate(tokens: prompt, options: .greedy(10)).collect()
        session.reset()
        #expect(session.tokens.isEmpty)
        let second = try await session.generate(tokens: prompt, options: .greedy(10)).collect()
        #expect(first.ids == second.ids)
    }

    // MARK: - Ends

    @Test func aStopStringEndsTheTextBeforeIt() async throws {
        let model = try Fixture.model()
        let text = try await model.makeSession().generate(tokens: prompt, options: .greedy(40))
            .collect().text
        // Three characters from the middle, as the text first has them.
        let start = text.index(text.startIndex, offsetBy: text.count / 2)
        let stop = String(text[start...].prefix(3))
        let before = try #require(text.range(of: stop, options: .literal)).lowerBound
        var options = GenerationOptions.greedy(40)
        options.stopStrings = [stop]
        let session = try model.makeSession()
        let stopped = try await session.generate(tokens: prompt, options: options).collect()
        #expect(stopped.text == text[..<before])
        #expect(session.statistics.stopReason == .stopString)
        #expect(session.statistics.generatedTokens < 40)
    }

    @Test func aStopTokenEndsTheText() async throws {
        let model = try Fixture.model()
        let ids = try await model.makeSession().generate(tokens: prompt, options: .greedy(20))
            .collect().ids
        var options = GenerationOptions.greedy(20)
        options.ignoresEndOfGeneration = false
        options.stopTokens = [ids[7]]
        let first = try #require(
            ids.firstIndex { $0 == ids[7] || model.tokenizer.endsGeneration($0) })
        let session = try model.makeSession()
        let stopped = try await session.generate(tokens: prompt, options: options).collect()
        #expect(stopped.ids == Array(ids[..<first]))
        #expect(session.statistics.stopReason == .endOfGeneration)
        // The token is part of the sequence all the same.
        #expect(session.tokens == prompt + ids[...first])
    }

    @Test func generationEndsWhereTheContextDoes() async throws {
        let session = try Fixture.model().makeSession()
        let result = try await session.generate(
            tokens: Fixture.tokens(250), options: .greedy(nil)
        ).collect()
        #expect(result.ids.count == 6)
        #expect(session.statistics.stopReason == .contextFull)
        #expect(session.tokens.count == 256)
        // Once more: there is no room, and nothing happens.
        let again = try await session.generate(tokens: [], options: .greedy(nil)).collect()
        #expect(again.ids.isEmpty)
        #expect(session.statistics.stopReason == .contextFull)
    }

    @Test func whatCannotRunIsRefusedAndChangesNothing() async throws {
        let session = try Fixture.model().makeSession()
        await #expect(throws: GenerationError.emptyPrompt) {
            try await session.generate("", options: .greedy(1)).collect()
        }
        await #expect(throws: GenerationError.contextTooLong(tokens: 257, limit: 256)) {
            try await session.generate(tokens: Fixture.tokens(257), options: .greedy(1)).collect()
        }
        for bad in [-1, 256, Int32.max] {
            await #expect(throws: GenerationError.self) {
                try await session.generate(tokens: [5, bad], options: .greedy(1)).collect()
            }
        }
        var options = GenerationOptions.greedy(1)
        options.sampling.topP = 2
        await #expect(throws: GenerationError.self) {
            try await session.generate(tokens: [5], options: options).collect()
        }
        #expect(session.tokens.isEmpty)
        #expect(
            try await session.generate(tokens: [5], options: .greedy(3)).collect().ids.count == 3)
    }

    @Test func droppingTheStreamEndsTheRun() async throws {
        let session = try Fixture.endlessModel().makeSession()
        var seen = 0
        for try await _ in session.generate(tokens: [5], options: .greedy(nil)) {
            seen += 1
            if seen == 3 { break }
        }
        #expect(session.tokens.count < 100_000)
        #expect(session.statistics.stopReason == .cancelled)
        // It stays usable.
        let more = try await session.generate(tokens: [], options: .greedy(2)).collect()
        #expect(more.ids.count == 2)
    }

    @Test func cancellingTheReadersTaskEndsTheRun() async throws {
        let session = try Fixture.endlessModel().makeSession()
        let reader = Task {
            for try await _ in session.generate(tokens: [5], options: .greedy(nil)) {}
        }
        while session.statistics.cachedTokens == 0, !reader.isCancelled {
            try await Task.sleep(for: .milliseconds(5))
            reader.cancel()
        }
        try? await reader.value
        #expect(session.tokens.count < 100_000)
    }

    // MARK: - Cancelling

    @Test func aCancelledRunGoesOnAsIfItHadNotBeen() async throws {
        let model = try Fixture.model()
        let whole = try await model.makeSession()
            .generate(tokens: prompt, options: .random(40, seed: 9)).collect()
        let session = try model.makeSession()
        var ids: [Int32] = []
        for try await token in session.generate(tokens: prompt, options: .random(40, seed: 9)) {
            if let id = token.id { ids.append(id) }
            if ids.count == 5 { session.cancel() }
        }
        // Decoding is cancelled between tokens, and keeps the cache.
        #expect(session.statistics.cachedTokens >= 170)
        let left = 40 - ids.count
        if left > 0 {
            ids += try await session.generate(tokens: [], options: .random(left, seed: nil))
                .collect().ids
        }
        #expect(ids == whole.ids)
    }

    /// A prompt that is cancelled in any layer, first or after others, runs again to the same bits.
    @Test(arguments: [0, 240], [1, 2]) func aPassCancelledBetweenLayersLosesNothing(
        before: Int, layer: Int
    ) throws {
        let model = try Fixture.model(context: 512)
        func logits(cancelling: Bool) throws -> [Float] {
            let state = try SequenceState(
                model: model, policy: .innerQBase.withStatistics(fromTokens: 256))
            state.append(Fixture.tokens(before))
            try state.advance { false }
            for token in Fixture.tokens(before / 3, seed: 2) {
                state.append([token])
                try state.advance { false }
            }
            let cached = state.cache.tokenCount
            #expect(cached == before + before / 3)
            state.append(Fixture.tokens(120, seed: 3))
            if cancelling {
                let asked = Atomic<Int>(0)
                #expect(throws: GenerationError.cancelled) {
                    // Asked once before the pass, then before each layer.
                    try state.advance { asked.add(1, ordering: .relaxed).newValue > layer }
                }
                #expect(state.tokens.count == cached + 120)
                #expect(state.cache.tokenCount == cached)
                #expect(state.cache.isConsistent)
            }
            try state.advance { false }
            #expect(state.cache.tokenCount == cached + 120)
            return state.withLogits { Array($0) }
        }
        #expect(try logits(cancelling: true) == logits(cancelling: false))
    }

    @Test func aShortPassIsFinished() throws {
        let state = try SequenceState(model: Fixture.model(), policy: .innerQBase)
        state.append(Fixture.tokens(100))
        try state.advance { false }
        state.append(Fixture.tokens(20, seed: 2))
        let asked = Atomic<Int>(0)
        try state.advance { asked.add(1, ordering: .relaxed).newValue > 1 }
        #expect(state.cache.tokenCount == 120)
    }
}
