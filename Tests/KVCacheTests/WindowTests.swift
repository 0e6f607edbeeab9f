import KVCache
import Testing
import Threading

/// Segments and the moment of sealing: `WindowSchedule` as arithmetic, and the cache against it.
@Suite struct WindowTests {
    static let workers = WorkerPool(threads: 1)
    static let policies: [CachePolicy] =
        CachePolicy.presets.map { $0.withStatistics(fromTokens: 0) } + [
            .innerQBase.withStatistics(fromTokens: 256),
            .kvQuant(bits: 3, outliers: 0.01).online(tokens: 100),
            CachePolicy(
                name: "odd windows", keys: CachePolicy.innerQBase.keys,
                values: CachePolicy.innerQBase.values, windows: CacheWindows(sink: 5, recent: 17),
                keyNormalization: KeyNormalization(centred: true, exponent: 0.5, tokens: 100)),
        ]

    @Test(arguments: policies) func recentIsNeverLessThanPromised(_ policy: CachePolicy) {
        let schedule = WindowSchedule(policy.layer(0, of: 1), slidingWindow: nil)
        for n in 0...700 {
            let sink = schedule.sinkTokens(at: n)
            let body = 32 * schedule.sealedTiles(at: n)
            let recent = schedule.recentTokens(at: n)
            #expect(sink + body + recent == n)
            #expect(sink == min(n, policy.windows.sink), "sinks fill from any token")
            if body > 0 {
                #expect((policy.windows.recent...policy.windows.recent + 31).contains(recent))
            } else {
                #expect(n < schedule.firstSeal)
            }
        }
    }

    /// One head of size 16 whose channel 0 of K and V carries the token's number.
    private func fill(_ cache: LayerCache, _ chunks: [Int], meaning: AttentionMeaning) {
        let attention = LayerAttention(workers: Self.workers)
        var token = 0
        for chunk in chunks {
            var random = Random(UInt64(token))
            _ = random
            var keys: [Float] = []
            for t in token..<token + chunk {
                random = Random(UInt64(t))
                keys += random.normals(16).enumerated().map {
                    $0.offset == 0 ? Float(t) : $0.element
                }
            }
            var out = [Float](repeating: 0, count: chunk * 16)
            attention.attend(
                cache, queries: keys, keys: keys, values: keys, count: chunk, meaning: meaning,
                output: &out)
            token += chunk
        }
    }

    private func bytes(_ cache: LayerCache) -> [UInt8] {
        var all: [UInt8] = []
        cache.forEachPage { all.append(contentsOf: $0) }
        return all
    }

    @Test(arguments: policies, [nil, 60, 300] as [Int?])
    func anyChunkingGivesTheSameBytes(_ policy: CachePolicy, window: Int?) {
        let shape = LayerShape(queryHeads: 1, kvHeads: 1, headSize: 16, slidingWindow: window)
        let layer = policy.layer(0, of: 1)
        let single = LayerCache.sample(shape: shape, policy: policy)
        var random = Random(1)
        for n in 1...400 {
            // `single` grows token by token; every length is also reached in random pieces, or in one.
            fillNext(single)
            var chunks: [Int] = []
            while chunks.reduce(0, +) < n {
                let left = n - chunks.reduce(0, +)
                chunks.append(n % 3 == 0 ? left : min(left, 1 + Int(random.next() % 90)))
            }
            let other = LayerCache.sample(shape: shape, policy: policy)
            fill(other, chunks, meaning: n % 2 == 0 ? .prompt : .decode)
            #expect(other.tokenCount == n)
            #expect(bytes(other) == bytes(single), "chunks \(chunks)")
            #expect(other.allocatedBytes == layer.byteCount(shape: shape, tokens: n).total)
        }
    }

    private func fillNext(_ cache: LayerCache) {
        let attention = LayerAttention(workers: Self.workers)
        var random = Random(UInt64(cache.tokenCount))
        var keys = random.normals(16)
        keys[0] = Float(cache.tokenCount)
        var out = keys
        attention.attend(
            cache, queries: keys, keys: keys, values: keys, count: 1, meaning: .decode, output: &out
        )
    }

    @Test(arguments: policies) func orderIsKeptAndWindowsAreBitIdentical(_ policy: CachePolicy) {
        let cache = LayerCache.sample(
            shape: LayerShape(queryHeads: 1, kvHeads: 1, headSize: 16), policy: policy)
        fill(cache, [300], meaning: .prompt)
        let (keys, values) = cache.dequantized()
        let schedule = cache.schedule
        for t in 0..<300 {
            let isWindow =
                t < schedule.sinkTokens(at: 300) || t >= 300 - schedule.recentTokens(at: 300)
            if isWindow {
                #expect(keys[t * 16] == Double(t) && values[t * 16] == Double(t))
            } else {
                // 2 bits over a token's 16 channels or over 32 tokens of the channel: within a step of the range.
                // Static ranges end far below the numbers of tokens.
                guard policy.keys.codebook?.vector != .channel else { continue }
                let bits = policy.keys.codeBits ?? 16
                let step = bits == 16 ? 0.25 : Double(t + 8) / Double(1 << (bits - 1)) + 32
                #expect(abs(keys[t * 16] - Double(t)) <= step, "token \(t)")
            }
        }
    }

    @Test func aSlidingWindowGivesMemoryBack() {
        let shape = LayerShape(queryHeads: 1, kvHeads: 1, headSize: 64, slidingWindow: 256)
        let layer = CachePolicy.innerQBase.layer(0, of: 1)
        #expect(
            layer.byteCount(shape: shape, tokens: 100_000).total
                < layer.byteCount(shape: shape, tokens: 500).total + 8192)
        #expect(layer.byteCount(shape: shape, tokens: 100_000).windows <= 4 * 8192)
    }

    @Test func longestContextFitsAndOneTokenMoreDoesNot() {
        let shape = CacheShape(
            layers: .init(
                repeating: LayerShape(queryHeads: 9, kvHeads: 3, headSize: 64), count: 30))
        for policy in CachePolicy.presets {
            for bytes in [20_000_000, 100_000_000] {
                let n = policy.longestContext(shape: shape, bytes: bytes)!
                #expect(policy.byteCount(shape: shape, tokens: n).total <= bytes)
                #expect(policy.byteCount(shape: shape, tokens: n + 1).total > bytes)
            }
        }
        #expect(CachePolicy.innerQBase.longestContext(shape: shape, bytes: 1) == nil)
    }
}
