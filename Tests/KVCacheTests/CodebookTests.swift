import Foundation
import KVCache
import Testing
import Threading

/// KVQuant's formats: ranges, levels, outliers, and keys before RoPE.
@Suite struct CodebookTests {
    static let workers = WorkerPool(threads: 1)
    static let shape = LayerShape(queryHeads: 4, kvHeads: 2, headSize: 64)
    let channels = 128

    /// `count` tokens through one layer as a prompt; returns the cache and what went in, as float16 keeps it.
    static func filled(
        _ policy: CachePolicy, count: Int, pairing: RotaryShape.Pairing = .halfSplit,
        seed: UInt64 = 3
    ) -> (cache: LayerCache, keys: [Float], values: [Float]) {
        var random = Random(seed)
        let size = shape.kvHeads * shape.headSize
        func numbers() -> [Float] {
            random.normals(count * size).map { Float(Float16($0)) }
        }
        let (keys, values) = (numbers(), numbers())
        let queries = random.normals(count * shape.queryHeads * shape.headSize)
        let cache = LayerCache.sample(shape: shape, policy: policy, pairing: pairing)
        _ = AttentionTests.run(
            cache, LayerAttention(workers: workers), queries, keys, values, chunks: [count],
            meaning: .prompt)
        return (cache, keys, values)
    }

    /// Of a page's tensor: outliers as (head, index, value).
    static func outliers(
        _ cache: LayerCache, _ tensor: CacheTensor, page: UnsafeRawBufferPointer
    ) -> [(head: Int, index: Int, value: Float)] {
        let layout = cache.pageLayout
        let side = tensor == .keys ? layout.keySide : layout.valueSide
        let bytes =
            page.baseAddress!
            + (tensor == .keys ? layout.keySideOffset : layout.valueSideOffset)
        let starts = (bytes + side.startsOffset).assumingMemoryBound(to: UInt16.self)
        let words = (bytes + side.outliersOffset).assumingMemoryBound(to: UInt32.self)
        return (0..<layout.kvHeads).flatMap { head in
            (Int(starts[head])..<Int(starts[head + 1])).map { i in
                (
                    head, Int(words[i] & 0x1FFF),
                    Float(Float16(bitPattern: UInt16(words[i] >> 16)))
                )
            }
        }
    }

    static func eachBodyPage(_ cache: LayerCache, _ body: (UnsafeRawBufferPointer) -> Void) {
        cache.forEachPage { if $0.count == cache.bodyPageBytes { body($0) } }
    }

    @Test func everyTokenHasExactlyAsManyOutliersAsItsShareSays() {
        let policy = CachePolicy.kvQuant(bits: 3, outliers: 0.02)
        let (cache, _, values) = Self.filled(policy, count: 200)
        let perSide = 2  // ⌈0.01 · 128⌉
        var tile = 0
        Self.eachBodyPage(cache) { page in
            let found = Self.outliers(cache, .values, page: page)
            #expect(found.count == 32 * 2 * perSide)
            for token in 0..<32 {
                let position = 1 + 32 * tile + token
                let all = Array(values[position * channels..<(position + 1) * channels])
                // Of equal ones, the lower channel.
                let rising = all.indices.sorted { (all[$0], $0) < (all[$1], $1) }
                let falling = all.indices.sorted { (-all[$0], $0) < (-all[$1], $1) }
                let expected = Set(rising.prefix(perSide) + falling.prefix(perSide))
                let own = found.filter { $0.index / 64 == token }
                #expect(Set(own.map { $0.head * 64 + $0.index % 64 }) == expected)
                for outlier in own {
                    #expect(outlier.value == all[outlier.head * 64 + outlier.index % 64])
                }
            }
            tile += 1
        }
        #expect(tile == 6)
    }

    @Test func outliersRiseWithinAHeadAndStartsCountThem() {
        let (cache, _, _) = Self.filled(.kvQuant(bits: 2, outliers: 0.05), count: 300)
        for tensor in CacheTensor.allCases {
            var count = 0
            Self.eachBodyPage(cache) { page in
                let found = Self.outliers(cache, tensor, page: page)
                for (one, next) in zip(found, found.dropFirst()) {
                    #expect((one.head, one.index) < (next.head, next.index))
                }
                count += found.count
            }
            #expect(count > 0)
        }
    }

    /// A range that hardly anything fits: more elements lie outside than a page has room for.
    @Test func keysBeyondTheRoomForOutliersAreClippedNearestFirst() throws {
        let policy = CachePolicy.kvQuant(bits: 4, outliers: 0.01, preRotary: false)
        let key = CodebookKey(
            .keys, CodebookFormat(bits: 4, vector: .channel, outliers: 0.01))
        let levels = LevelTable.levels(.uniform, bits: 4)
        let layerPolicy = policy.layer(0, of: 1)
        let state = CodebookState(
            policy: layerPolicy, shape: Self.shape,
            tables: [
                key: CodebookTable(
                    lows: Array(repeating: -1, count: channels),
                    highs: Array(repeating: 1, count: channels), levels: levels)
            ])
        let cache = LayerCache(shape: Self.shape, policy: layerPolicy, codebooks: state)
        var random = Random(5)
        let keys = random.normals(65 * channels).map { Float(Float16($0)) }
        _ = AttentionTests.run(
            cache, LayerAttention(workers: Self.workers), random.normals(65 * 256), keys, keys,
            chunks: [65], meaning: .prompt)
        let capacity = 41  // ⌈0.01 · 32 · 128⌉
        var tile = 0
        let (decoded, _) = cache.dequantized()
        Self.eachBodyPage(cache) { page in
            let found = Self.outliers(cache, .keys, page: page)
            #expect(found.count == capacity)
            let kept = found.map { abs($0.value) }.min() ?? 0
            for token in 0..<32 {
                let position = 1 + 32 * tile + token
                for channel in 0..<channels {
                    let value = keys[position * channels + channel]
                    let (head, own) = (channel / 64, channel % 64)
                    let result = decoded[(head * 65 + position) * 64 + own]
                    if found.contains(where: { $0.head == head && $0.index == own * 32 + token }) {
                        #expect(result == Double(value), "an outlier is exact")
                    } else {
                        #expect(abs(value) <= kept, "the farthest are kept")
                        let clipped = Double(min(max(value, -1), 1))
                        #expect(abs(result - clipped) <= 1.0 / 15 + 1e-6)
                    }
                }
            }
            tile += 1
        }
        #expect(tile == 2)
    }

    @Test(arguments: [RotaryShape.Pairing.halfSplit, .interleaved])
    func keysBeforeRotationComeBackTurnedToTheirPlace(_ pairing: RotaryShape.Pairing) {
        let policy = CachePolicy.kvQuant(bits: 4, outliers: 0.01)
        let count = 500
        let (cache, keys, _) = Self.filled(policy, count: count, pairing: pairing)
        let (decoded, _) = cache.dequantized()
        var error = 0.0
        var power = 0.0
        for token in 0..<count {
            for head in 0..<2 {
                for c in 0..<64 {
                    let value = Double(keys[(token * 2 + head) * 64 + c])
                    error += pow(decoded[(head * count + token) * 64 + c] - value, 2)
                    power += value * value
                }
            }
        }
        // 16 levels over ± 2.6 and more: a step of a third, more where the levels are far apart.
        #expect(error / power < 0.02, "\(error / power)")
        #expect(error / power > 1e-4)
    }

    /// What is turned back and forth again is what it was, to the rounding of float16, at every position.
    @Test(arguments: [RotaryShape.Pairing.halfSplit, .interleaved])
    func turningBackAndForthChangesNothing(_ pairing: RotaryShape.Pairing) {
        let shape = Self.shape.withRotary(
            for: .kvQuant(bits: 4, outliers: 0), pairing: pairing)
        let turns = RotaryTurns(shape.rotary!, sink: 5)
        turns.reserve(tiles: 4000)
        var random = Random(9)
        for tile in [0, 1, 77, 3999] {
            let before = random.normals(64 * 32).map { Float(Float16($0)) }
            var keys = before
            turns.turnBack(&keys, tile: tile)
            for (pair, frequency) in shape.rotary!.frequencies.enumerated() {
                let (x, y) = turns.rows(pair)
                for token in 0..<32 {
                    let angle = Double(5 + 32 * tile + token) * frequency
                    let (a, b) = (Double(keys[x * 32 + token]), Double(keys[y * 32 + token]))
                    let size = max(1, abs(a) + abs(b))
                    #expect(
                        abs(a * cos(angle) - b * sin(angle) - Double(before[x * 32 + token]))
                            < 1e-3 * size)
                    #expect(
                        abs(a * sin(angle) + b * cos(angle) - Double(before[y * 32 + token]))
                            < 1e-3 * size)
                }
            }
        }
    }

    @Test(arguments: [CodebookLevels.normalFloat, .uniform], 2...4)
    func levelsRiseInsideTheRangeAndCodesAreOfTheNearest(_ kind: CodebookLevels, bits: Int) {
        let levels = LevelTable.levels(kind, bits: bits)
        #expect(levels.count == 1 << bits)
        #expect(levels.first == -1 && levels.last == 1)
        #expect(zip(levels, levels.dropFirst()).allSatisfy { $0 < $1 })
        let table = LevelTable(levels: levels, decoded: levels)
        var random = Random(1)
        for _ in 0..<2000 {
            let x = 1.2 * random.normal()
            let nearest = levels.indices.min { abs(levels[$0] - x) < abs(levels[$1] - x) }!
            #expect(Int(table.code(x)) == nearest)
        }
    }

    @Test func normalFloatOfFourBitsIsThatOfQLoRA() {
        let published: [Float] = [
            -1.0, -0.6961928, -0.52507305, -0.39491748, -0.28444138, -0.18477343, -0.09105003, 0.0,
            0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
        ]
        for (ours, theirs) in zip(LevelTable.levels(.normalFloat, bits: 4), published) {
            #expect(abs(ours - theirs) < 2e-6)
        }
    }

    /// Bits an element of the paper's table for 4096 and 1024 channels; its pointers take a little more than ours.
    @Test(arguments: [
        (4, 0.0, 4096, 4.004), (4, 0.01, 4096, 4.332), (3, 0, 4096, 3.004), (3, 0.01, 4096, 3.332),
        (2, 0, 4096, 2.004), (2, 0.01, 4096, 2.332), (3, 0.01, 1024, 3.367),
    ])
    func bitsAreThoseOfThePaper(bits: Int, outliers: Double, channels: Int, published: Double) {
        let policy = CachePolicy.kvQuant(bits: bits, outliers: outliers)
        let kvHeads = channels / 128
        let mean =
            (policy.keys.bitsPerElement(headSize: 128, kvHeads: kvHeads)
                + policy.values.bitsPerElement(headSize: 128, kvHeads: kvHeads)) / 2
        #expect(mean <= published + 0.0015, "\(mean)")
        #expect(mean > published - 0.02, "\(mean)")
        // And they are what a cache takes.
        let shape = LayerShape(queryHeads: kvHeads, kvHeads: kvHeads, headSize: 128)
        let count = policy.layer(0, of: 1).byteCount(shape: shape, tokens: 1 + 32 * 64)
        #expect(
            abs(Double(count.body * 8) / Double(2 * 32 * 64 * channels) - mean) < 1e-9)
    }

    @Test func onlineRangesAreThoseOfTheFirstTokens() throws {
        let policy = CachePolicy.kvQuant(bits: 3, outliers: 0.1, preRotary: false)
            .online(tokens: 161)
        #expect(!policy.needsCalibration && policy.name.hasSuffix("-online"))
        let (cache, keys, _) = Self.filled(policy, count: 161)
        let codebook = try #require(cache.codebooks?.keys)
        for channel in [0, 17, 127] {
            // The sink's token is left out: 160 are sorted; 5 % of 159 steps is 7.95.
            let sorted = (1..<161).map { keys[$0 * channels + channel] }.sorted()
            let low = sorted[7] + 0.95 * (sorted[8] - sorted[7])
            #expect(abs(codebook.lows[channel] - low) < 1e-5)
            let high = sorted[151] + 0.05 * (sorted[152] - sorted[151])
            #expect(abs(codebook.highs[channel] - high) < 1e-5)
        }
    }

    @Test func policiesWithoutWhatTheyNeedAreRefused() throws {
        let whole = CacheShape(layers: [Self.shape])
        let policy = CachePolicy.kvQuant(bits: 3, outliers: 0.01)
        func make(_ shape: CacheShape, _ calibration: CacheCalibration?) throws {
            _ = try SequenceCache(
                shape: shape, policy: policy, calibration: calibration, workers: Self.workers)
        }
        #expect(throws: PolicyError.needsCalibration(policy: policy.name)) {
            try make(whole, nil)
        }
        let calibration = CacheCalibration.sample(for: whole, policy: policy)
        #expect(throws: PolicyError.needsRotary(policy: policy.name)) {
            try make(whole, calibration)
        }
        let turned = whole.withRotary(for: policy)
        try make(turned, calibration)
        let other = LayerShape(queryHeads: 4, kvHeads: 2, headSize: 128)
        let wide = CacheShape(layers: [other]).withRotary(for: policy)
        #expect(throws: PolicyError.self) { try make(wide, calibration) }
        let two = CacheShape(layers: [Self.shape, Self.shape]).withRotary(for: policy)
        #expect(throws: PolicyError.self) { try make(two, calibration) }
        let fewer = CacheCalibration.sample(for: whole, policy: .kvQuant(bits: 4, outliers: 0.01))
        #expect(throws: PolicyError.self) { try make(turned, fewer) }
    }

    @Test func namesSayWhatIsInThem() throws {
        let policy = try #require(CachePolicy.preset(named: "kvquant-nf3-2.5%-token-post"))
        #expect(policy.name == "kvquant-nf3-2.5%-token-post")
        #expect(
            policy.keys
                == .codebook(
                    CodebookFormat(bits: 3, vector: .token, levels: .normalFloat, outliers: 0.025)))
        for policy in CachePolicy.presets {
            #expect(CachePolicy.preset(named: policy.name) == policy)
            #expect(try CachePolicy.decode(policy.json()) == policy)
        }
        let mixed = try #require(CachePolicy.preset(named: "k8c-v2th"))
        #expect(mixed.keys == .grouped(GroupedFormat(bits: 8, axis: .channel)))
        #expect(mixed.values == .grouped(GroupedFormat(bits: 2, axis: .token, mode: .hybrid)))
        #expect(
            CachePolicy.preset(named: "turboquant-3-2-ip")?.keys
                == .rotated(RotatedFormat(bits: 3, hasResidual: true)))
        for bad in [
            "kvquant-nuq5", "kvquant-nuq3-0%", "kvquant-nuq3-post-token", "kvquant-", "k5c-v3t",
            "turboquant-5-3", "turboquant-4", "turboquant-3-1-ip",
            "k8-v3", "kvquant-nuq3-1%-x",
        ] {
            #expect(CachePolicy.preset(named: bad) == nil, "\(bad)")
        }
    }
}
