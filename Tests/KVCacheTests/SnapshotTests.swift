import Foundation
import KVCache
import Testing
import Threading

@Suite struct SnapshotTests {
    static let shape = CacheShape(layers: [
        LayerShape(queryHeads: 4, kvHeads: 2, headSize: 64),
        LayerShape(queryHeads: 4, kvHeads: 2, headSize: 64, slidingWindow: 100),
    ])
    let workers = WorkerPool(threads: 1)
    let fingerprint = [UInt8](repeating: 7, count: 32)

    func path() -> String {
        FileManager.default.temporaryDirectory.path + "/innerq-snapshot-\(UUID().uuidString)"
    }

    /// Runs tokens `range` of a fixed stream through both layers; returns the outputs.
    func run(_ cache: SequenceCache, _ range: Range<Int>) -> [Float] {
        var outputs: [Float] = []
        for token in range {
            for layer in 0..<2 {
                var random = Random(UInt64(token * 2 + layer))
                let q = random.normals(4 * 64)
                let k = random.normals(2 * 64)
                let v = random.normals(2 * 64)
                var out = [Float](repeating: 0, count: 4 * 64)
                cache.attend(
                    layer: layer, queries: q, keys: k, values: v, count: 1, meaning: .decode,
                    output: &out)
                outputs += out
            }
        }
        return outputs
    }

    @Test(
        arguments: CachePolicy.presets.map { $0.withStatistics(fromTokens: 170) } + [
            .kvQuant(bits: 3, outliers: 0.01).online(tokens: 100),
            .turboQuant(keyBits: 3, valueBits: 2, hasResidual: true),
        ])
    func aRestoredCacheContinuesBitForBit(
        _ policy: CachePolicy
    ) throws {
        for count in [0, 5, 40, 200] {
            let cache = try SequenceCache.sample(
                shape: Self.shape, policy: policy, workers: workers)
            _ = run(cache, 0..<count)
            let file = path()
            defer { try? FileManager.default.removeItem(atPath: file) }
            let tokens = (0...Int32(count)).map { $0 }
            try CacheSnapshot.write(
                cache, tokens: tokens, fingerprint: fingerprint, state: Data([1, 2]), to: file)
            let restored = try SequenceCache.sample(
                shape: Self.shape, policy: policy, workers: workers)
            let contents = try CacheSnapshot.read(file, into: restored, fingerprint: fingerprint)
            #expect(contents.tokens == tokens)
            #expect(contents.state == Data([1, 2]))
            #expect(restored.tokenCount == count)
            #expect(restored.allocatedBytes == cache.allocatedBytes)
            #expect(run(restored, count..<count + 70) == run(cache, count..<count + 70))
        }
    }

    @Test func everyTruncationAndFlipIsRefusedBeforeTheCacheIsTouched() throws {
        let cache = try SequenceCache(
            shape: Self.shape, policy: .innerQBase.withStatistics(fromTokens: 0), workers: workers)
        _ = run(cache, 0..<165)
        let file = path()
        defer { try? FileManager.default.removeItem(atPath: file) }
        try CacheSnapshot.write(
            cache, tokens: [1] + .init(repeating: 2, count: 164), fingerprint: fingerprint, to: file
        )
        let whole = try Data(contentsOf: URL(fileURLWithPath: file))
        var random = Random(99)
        let target = try SequenceCache(
            shape: Self.shape, policy: .innerQBase.withStatistics(fromTokens: 0), workers: workers)
        for trial in 0..<3000 {
            var data = whole
            if trial % 2 == 0 {
                // Half of the cuts and flips fall in the frame and the header.
                let end = trial % 4 == 0 ? 1600 : whole.count
                data = whole.prefix(Int(random.next() % UInt64(end)))
            } else {
                let end = trial % 4 == 1 ? 1600 : whole.count
                data[Int(random.next() % UInt64(end))] ^= UInt8(1 << (random.next() % 8))
            }
            try data.write(to: URL(fileURLWithPath: file))
            #expect(throws: SnapshotError.self) {
                try CacheSnapshot.read(file, into: target, fingerprint: fingerprint)
            }
            #expect(target.tokenCount == 0)
        }
    }

    /// The checksum is right, so only a look at the places keeps readers inside of their tiles.
    @Test(arguments: ["index", "start", "infinite"]) func outliersOutsideOfTheirTilesAreRefused(
        _ damage: String
    ) throws {
        let policy = CachePolicy.kvQuant(bits: 3, outliers: 0.01)
        let shape = CacheShape(layers: [LayerShape(queryHeads: 1, kvHeads: 1, headSize: 64)])
        func cache() throws -> SequenceCache {
            try SequenceCache.sample(shape: shape, policy: policy, workers: workers)
        }
        let damaged = try cache()
        var random = Random(1)
        let numbers = random.normals(64 * 64)
        var out = numbers
        damaged.attend(
            layer: 0, queries: numbers, keys: numbers, values: numbers, count: 64,
            meaning: .prompt, output: &out)
        let file = path()
        defer { try? FileManager.default.removeItem(atPath: file) }
        let tokens = [Int32](repeating: 0, count: 64)
        func save() throws {
            try CacheSnapshot.write(damaged, tokens: tokens, fingerprint: fingerprint, to: file)
        }
        try save()
        _ = try CacheSnapshot.read(file, into: try cache(), fingerprint: fingerprint)
        let layer = damaged.layers[0]
        let side = layer.pageLayout.valueSide
        layer.forEachPage { page in
            guard page.count == layer.bodyPageBytes else { return }
            let bytes =
                UnsafeMutableRawPointer(mutating: page.baseAddress!)
                + layer.pageLayout.valueSideOffset
            let outliers = bytes + side.outliersOffset
            switch damage {
            case "index": outliers.storeBytes(of: UInt32(0x3C00_0000 | 2048), as: UInt32.self)
            case "infinite": outliers.storeBytes(of: UInt32(0x7C00_0000), as: UInt32.self)
            default:
                (bytes + side.startsOffset).storeBytes(
                    of: UInt16(side.capacity + 1), toByteOffset: 2, as: UInt16.self)
            }
        }
        try save()
        let target = try cache()
        #expect(throws: SnapshotError.self) {
            try CacheSnapshot.read(file, into: target, fingerprint: fingerprint)
        }
        #expect(target.tokenCount == 0)
    }

    @Test func anotherModelOrPolicyIsRefused() throws {
        let cache = try SequenceCache(shape: Self.shape, policy: .innerQBase, workers: workers)
        _ = run(cache, 0..<50)
        let file = path()
        defer { try? FileManager.default.removeItem(atPath: file) }
        try CacheSnapshot.write(
            cache, tokens: .init(repeating: 0, count: 50), fingerprint: fingerprint, to: file)
        #expect(throws: SnapshotError.otherModel(path: file)) {
            try CacheSnapshot.read(file, into: cache, fingerprint: .init(repeating: 8, count: 32))
        }
        let small = try SequenceCache(shape: Self.shape, policy: .innerQSmall, workers: workers)
        #expect(
            throws: SnapshotError.otherPolicy(
                path: file, saved: "innerq-base", asked: "innerq-small")
        ) { try CacheSnapshot.read(file, into: small, fingerprint: fingerprint) }
        #expect(throws: SnapshotError.self) {
            try CacheSnapshot.write(
                cache, tokens: [], fingerprint: fingerprint, to: "/nowhere/at/all")
        }
    }
}
