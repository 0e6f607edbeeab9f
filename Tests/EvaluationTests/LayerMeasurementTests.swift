import Evaluation
import Foundation
import Generation
import KVCache
import ModelFiles
import ModelFixtures
import Reports
import Testing
import Transformer

@Suite struct LayerMeasurementTests {
    private func records(_ policies: [CachePolicy], tokens: Int = 220) throws -> [LayerRecord] {
        try LayerMeasurement(model: Fixture.model()).measure(
            tokens: Fixture.tokens(tokens), candidates: policies.map { CacheCandidate($0) },
            isCancelled: { false })
    }

    @Test func aFloat16CacheHasNoErrors() throws {
        // Sealed, but as float16.
        let records = try records([.presetNamed("k16-v16")])
        #expect(!records.isEmpty)
        for record in records {
            #expect(record.keys == 0)
            #expect(record.values == 0)
            #expect(record.output < 1e-6)
        }
    }

    @Test func fewerBitsHaveLargerErrors() throws {
        let names = ["k8c-v8t", "k4c-v4t", "k3c-v3t", "k2c-v2t"]
        let records = try records(names.map { .presetNamed($0) })
        let layers = Set(records.map(\.layer)).count
        #expect(records.count == layers * names.count)
        for layer in 0..<layers {
            let own = names.compactMap { name in
                records.first { $0.cache == name && $0.layer == layer }
            }
            for (more, fewer) in zip(own, own.dropFirst()) {
                #expect(more.keys < fewer.keys)
                #expect(more.values < fewer.values)
                #expect(more.output < fewer.output)
            }
            // 8 bits: half a step of 1/127 of the largest of 32, a few thousandths of the root mean square.
            #expect(own[0].keys > 1e-4 && own[0].keys < 0.02)
        }
    }

    @Test func errorsAreThoseOfTheirDefinition() throws {
        let model = try Fixture.model()
        let tokens = Fixture.tokens(200)
        let policy = CachePolicy.presetNamed("k3c-v3t-nowindows")
        let record = try LayerMeasurement(model: model).measure(
            tokens: tokens, candidates: [CacheCandidate(policy)], isCancelled: { false })[0]
        // In the first layer a cache of its own is given the same, so its errors are those of a plain run.
        func layer(_ policy: CachePolicy) throws -> LayerCache {
            let cache = try CacheCandidate(policy).makeCache(for: model)
            try model.transformer.forward(
                tokens: tokens, cache: cache, meaning: .decode,
                workspace: model.transformer.makeWorkspace())
            return cache.layers[0]
        }
        let exact = try layer(.float16).dequantized()
        let own = try layer(policy)
        let numbers = own.dequantized()
        let size = own.shape.headSize
        var wrong = 0.0
        var whole = 0.0
        for head in 0..<own.shape.kvHeads {
            for token in 0..<192 {
                for channel in 0..<size {
                    let i = (head * 200 + token) * size + channel
                    wrong += pow(numbers.keys[i] - exact.keys[i], 2)
                    whole += pow(exact.keys[i], 2)
                }
            }
        }
        #expect(record.layer == 0)
        #expect(abs(record.keys - (wrong / whole).squareRoot()) < 1e-9)
    }

    @Test func nothingSealedHasNoErrors() throws {
        for record in try records([.innerQBase], tokens: 100) {
            #expect(record.keys == 0 && record.values == 0 && record.output == 0)
        }
    }

    @Test func aSampleThatIsTooLongIsRefused() throws {
        #expect(throws: GenerationError.contextTooLong(tokens: 300, limit: 256)) {
            try records([.innerQBase], tokens: 300)
        }
    }
}
