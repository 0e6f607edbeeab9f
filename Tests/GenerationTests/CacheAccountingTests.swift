import Foundation
import Generation
import KVCache
import ModelFiles
import ModelFixtures
import Testing
import Transformer

/// What is counted before anything is loaded equals what a model's cache allocates.
@Suite struct CacheAccountingTests {
    @Test(arguments: CachePolicy.presets) func plannedBytesAreAllocatedBytes(
        policy: CachePolicy
    ) throws {
        for name in ["llama3-bf16-shards", "mistral-f32", "gemma3-bf16"] {
            let path = Fixture.folder.appendingPathComponent(name).path
            let shape = try Checkpoint.open(path: path).configuration.cacheShape
            let model = try Fixture.model(name, context: 512).transformer
            let cache = try SequenceCache.sample(
                shape: model.cacheShape, policy: policy, workers: model.workers)
            let workspace = model.makeWorkspace()
            for count in [1, 31, 96, 32, 1, 40, 54, 1, 100] {
                try model.forward(
                    tokens: Fixture.tokens(count), cache: cache, meaning: .prompt, logits: .none,
                    workspace: workspace)
                let planned = policy.byteCount(shape: shape, tokens: cache.tokenCount)
                #expect(
                    planned.total == cache.allocatedBytes, "\(name), \(cache.tokenCount) tokens")
            }
        }
    }

    @Test(arguments: CachePolicy.presets) func theLongestContextFitsAndTheNextDoesNot(
        policy: CachePolicy
    ) throws {
        let shape = try Fixture.model("gemma3-bf16").configuration.cacheShape
        for bytes in [200_000, 1_000_000, 5_000_000] {
            let found = policy.longestContext(shape: shape, bytes: bytes, limit: 100_000)
            guard let longest = found else {
                #expect(policy.byteCount(shape: shape, tokens: 0).total > bytes)
                continue
            }
            for tokens in 0...min(longest, 2000) {
                #expect(policy.byteCount(shape: shape, tokens: tokens).total <= bytes)
            }
            if longest < 100_000 {
                #expect(policy.byteCount(shape: shape, tokens: longest + 1).total > bytes)
            }
        }
    }
}
