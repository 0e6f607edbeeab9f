import Evaluation
import Foundation
import Generation
import KVCache
import ModelFiles
import ModelFixtures
import Reports
import Testing
import Transformer

@Suite struct AdvisorTests {
    private let candidates = ["q8", "k4c-v4t", "k3c-v3t", "k2c-v2t-nowindows"].map {
        CacheCandidate(.presetNamed($0))
    }

    private func advise(memory: Int?) throws -> Advice {
        let model = try Fixture.model(context: 1024)
        return try Advisor(
            model: model, sample: Fixture.tokens(800), context: 1000, memory: memory
        ).advise(candidates)
    }

    @Test func theBestThatFitsIsChosen() throws {
        let model = try Fixture.model(context: 1024)
        let shape = model.transformer.cacheShape
        func bytes(_ name: String) -> Int {
            CachePolicy.presetNamed(name).byteCount(shape: shape, tokens: 1000).total
        }
        let advice = try advise(memory: bytes("k4c-v4t"))
        #expect(advice.options.count == 5)
        for option in advice.options {
            #expect(option.bytes == bytes(option.cache))
            #expect(option.fits == (option.bytes <= bytes("k4c-v4t")))
        }
        let policy = try #require(advice.policy)
        let chosen = try #require(advice.options.first { $0.cache == policy.name })
        #expect(chosen.fits)
        for option in advice.options where option.fits {
            let (own, best) = (try #require(option.grade), try #require(chosen.grade))
            #expect(own >= best)
            if own == best {
                // Smaller by more than an eighth, or closer, there is none.
                #expect(option.bytes + option.bytes / 8 >= chosen.bytes)
            }
        }
        #expect(advice.reasons.contains { $0.contains("float16 would take") })
        #expect(advice.profiles.count == model.configuration.layerCount)
    }

    @Test func whatDoesNotFitIsSaid() throws {
        let advice = try advise(memory: 1000)
        #expect(advice.policy == nil)
        #expect(advice.options.allSatisfy { !$0.fits })
        #expect(advice.reasons.count == 1)
        #expect(advice.reasons[0].contains("no cache fits"))
    }

    @Test func samplesMustBeLongEnoughToSeal() throws {
        let model = try Fixture.model(context: 1024)
        #expect(throws: GenerationError.textTooShort(tokens: 700, needed: 768)) {
            try Advisor(model: model, sample: Fixture.tokens(700), context: 100, memory: nil)
        }
        #expect(throws: GenerationError.contextTooLong(tokens: 2000, limit: 1024)) {
            try Advisor(model: model, sample: Fixture.tokens(800), context: 2000, memory: nil)
        }
    }

    @Test func outliersAndBiasesAreSeen() throws {
        // One head of 16 channels: small noise, a channel 20 times as large, and one far from 0.
        let shape = LayerShape(queryHeads: 1, kvHeads: 1, headSize: 16)
        let layer = LayerCache(
            shape: shape, policy: CachePolicy.float16.layer(0, of: 1))
        var numbers = Numbers(7)
        let keys = (0..<200 * 16).map { index -> Float in
            let noise = Float.random(in: -1...1, using: &numbers)
            return index % 16 == 3 ? 20 * noise : index % 16 == 9 ? 12 + noise : noise
        }
        layer.append(keys: keys, values: keys, count: 200)
        let statistics = ChannelStatistics.all(layer.dequantized().keys, layer)[0]
        #expect(ChannelStatistics.outliers(statistics) == 2)
        #expect(ChannelStatistics.biased(statistics) == 1)
        #expect(abs(statistics[9].mean - 12) < 0.2)
        #expect(abs(statistics[3].deviation - 20 / 3.0.squareRoot()) < 1)
        // 144.3 of 144.3 + 133.3 + 14 / 3.
        #expect(abs(ChannelStatistics.largestShare(statistics) - 0.51) < 0.05)
    }
}
