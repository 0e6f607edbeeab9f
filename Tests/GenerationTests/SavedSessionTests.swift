import Foundation
import Generation
import KVCache
import ModelFiles
import ModelFixtures
import Testing
import Transformer

@Suite struct SavedSessionTests {
    /// InnerQ's policies seal for the first time sixteen tokens later.
    let prompt = Fixture.tokens(240)

    @Test(
        arguments: CachePolicy.presets.map {
            $0.withStatistics(fromTokens: 256).online(tokens: 256)
        })
    func aSavedSessionContinuesBitForBit(
        policy: CachePolicy
    ) async throws {
        let model = try Fixture.model(context: 512)
        let whole = try await model.makeSession(policy: policy)
            .generate(tokens: prompt, options: .random(40, seed: 3)).collect()
        let path = Fixture.temporaryFile()
        defer { try? FileManager.default.removeItem(atPath: path) }
        for count in [0, 1, 22] {
            let session = try model.makeSession(policy: policy)
            let first = try await session.generate(tokens: prompt, options: .random(count, seed: 3))
                .collect()
            try session.save(to: path)
            let restored = try Session.restore(from: path, model: model)
            #expect(restored.policy == policy)
            #expect(restored.tokens == session.tokens)
            // With a prompt only, nothing has been drawn yet.
            let rest = try await restored.generate(
                tokens: [], options: .random(40 - count, seed: count == 0 ? 3 : nil)
            ).collect()
            #expect(first.ids + rest.ids == whole.ids)
        }
    }

    /// The codebooks are in the file, so that the calibration is not needed again.
    @Test func aCalibratedSessionContinuesWithoutItsCalibration() async throws {
        let model = try Fixture.model(context: 512)
        let policy = CachePolicy.kvQuant(bits: 3, outliers: 0.01)
        var calibration = CacheCalibration.sample(
            for: model.transformer.cacheShape, policy: policy)
        #expect(throws: PolicyError.needsCalibration(policy: policy.name)) {
            try model.makeSession(policy: policy)
        }
        #expect(throws: PolicyError.self) {
            try model.makeSession(policy: policy, calibration: calibration)
        }
        calibration.fingerprint = model.fingerprint
        let whole = try await model.makeSession(policy: policy, calibration: calibration)
            .generate(tokens: prompt, options: .greedy(40)).collect()
        let session = try model.makeSession(policy: policy, calibration: calibration)
        let first = try await session.generate(tokens: prompt, options: .greedy(15)).collect()
        let path = Fixture.temporaryFile()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try session.save(to: path)
        let restored = try Session.restore(from: path, model: model)
        let rest = try await restored.generate(tokens: [], options: .greedy(25)).collect()
        #expect(first.ids + rest.ids == whole.ids)
        restored.reset()
        let again = try await restored.generate(tokens: prompt, options: .greedy(40)).collect()
        #expect(again.ids == whole.ids)
    }

    @Test func aSessionCancelledInItsPromptCanBeSaved() async throws {
        let model = try Fixture.model()
        let path = Fixture.temporaryFile()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let session = try model.makeSession()
        let stream = session.generate(tokens: prompt, options: .greedy(8))
        session.cancel()
        _ = try await stream.collect()
        #expect(session.statistics.stopReason == .cancelled)
        let done = session.tokens.count - prompt.count
        try session.save(to: path)
        let rest = try await Session.restore(from: path, model: model)
            .generate(tokens: [], options: .greedy(8 - done)).collect()
        let whole = try await model.makeSession().generate(tokens: prompt, options: .greedy(8))
            .collect()
        #expect(rest.ids == Array(whole.ids.dropFirst(done)))
    }

    @Test func anotherModelOrPolicyIsRefused() async throws {
        let model = try Fixture.model()
        let path = Fixture.temporaryFile()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let session = try model.makeSession(policy: .kivi2)
        _ = try await session.generate(tokens: prompt, options: .greedy(3)).collect()
        try session.save(to: path)
        #expect(throws: SnapshotError.otherModel(path: path)) {
            try Session.restore(from: path, model: Fixture.model("qwen2-f32"))
        }
        #expect(
            throws: SnapshotError.otherPolicy(path: path, saved: "kivi-2", asked: "innerq-base")
        ) { try Session.restore(from: path, model: model, policy: .innerQBase) }
        #expect(throws: SnapshotError.self) {
            try Session.restore(from: "/nowhere/at/all", model: model)
        }
        #expect(throws: SnapshotError.self) { try session.save(to: "/nowhere/at/all") }
    }

    /// Files that are whole, by their checksum, but hold something that no session can be in.
    @Test func impossibleStatesAreRefused() throws {
        let model = try Fixture.model()
        let path = Fixture.temporaryFile()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let cache = try SequenceCache(
            shape: model.transformer.cacheShape, policy: .q4, workers: model.transformer.workers)
        func write(tokens: [Int32], state: String?) throws {
            try CacheSnapshot.write(
                cache, tokens: tokens, fingerprint: model.fingerprint,
                state: state.map { Data($0.utf8) }, to: path)
        }
        func restores() -> Bool { (try? Session.restore(from: path, model: model)) != nil }
        try write(tokens: [5], state: "{}")
        #expect(restores())
        for tokens in [[-1], [256]] as [[Int32]] {
            try write(tokens: tokens, state: "{}")
            #expect(!restores())
        }
        for state in [nil, "", "[]", #"{"randomState":-1}"#, #"{"logits":3}"#] {
            try write(tokens: [5], state: state)
            #expect(!restores(), "\(state ?? "nil")")
        }
        // Logits of another length are not the model's; they are left alone, and the prompt is asked for.
        try write(tokens: [], state: #"{"logits":"AAAA"}"#)
        #expect(restores())
    }
}
