import KVCache
import Threading

/// Caches of any length in little time: the first tokens are quantized, the rest of the body repeats their tiles.
enum FilledCache {
    /// A cache of one layer with `tokens` random tokens.
    ///
    /// Lengths, windows and bytes are those of a real one; tiles repeat after about `sampleTiles`.
    static func make(
        _ shape: LayerShape, policy: CachePolicy, tokens: Int, sampleTiles: Int = 3,
        workers: WorkerPool
    ) throws(PolicyError) -> SequenceCache {
        let whole = CacheShape(layers: [shape])
        let cache = try SequenceCache.sample(shape: whole, policy: policy, workers: workers)
        let schedule = cache.layers[0].schedule
        // A whole number of tiles shorter, so that both have as many recent tokens.
        let rest = (tokens - schedule.firstSeal) % TileLayout.tokens
        let sample =
            schedule.firstSeal + sampleTiles * TileLayout.tokens
            + (rest + TileLayout.tokens) % TileLayout.tokens
        if tokens <= sample {
            append(tokens, to: cache.layers[0])
            return cache
        }
        let source = try SequenceCache.sample(shape: whole, policy: policy, workers: workers)
        append(sample, to: source.layers[0])
        // The pointers are valid inside the closure only.
        var pages: [[UInt8]] = []
        source.layers[0].forEachPage { pages.append(Array($0)) }
        let body = schedule.sealedTiles(at: sample)
        let front = pages.count - schedule.recentPages(at: sample) - body
        var next = 0
        let bodyTiles = schedule.sealedTiles(at: tokens)
        cache.layers[0].restore(tokenCount: tokens) { target in
            let page =
                next < front
                ? next
                : next < front + bodyTiles
                    ? front + (next - front) % body
                    : front + body + (next - front - bodyTiles)
            target.copyBytes(from: pages[page])
            next += 1
        }
        return cache
    }

    /// Appends random tokens without attending. Some channels of keys are larger than the others, as in models.
    static func append(_ count: Int, to layer: LayerCache, seed: UInt64 = 1) {
        guard count > 0 else { return }
        let shape = layer.shape
        let (d, kv) = (shape.headSize, shape.kvHeads)
        // A long run of numbers, read from moving places, is random enough and quickly made.
        var numbers = SplitMix64(seed: seed &+ UInt64(layer.tokenCount))
        let pool = (0..<16_411).map { _ in numbers.normal() }
        func fill(_ count: Int) -> [Float] {
            var place = Int(numbers.next() % UInt64(pool.count))
            return (0..<count).map { _ in
                place += 1
                if place >= pool.count { place = Int(numbers.next() % 64) }
                return pool[place]
            }
        }
        var done = 0
        while done < count {
            let step = min(1024, count - done)
            var keys = fill(step * kv * d)
            for token in 0..<step * kv { keys[token * d + 5] += 6 }
            let first = layer.tokenCount
            layer.append(keys: keys, values: fill(step * kv * d), count: step)
            layer.watch(
                queries: fill(step * shape.queryHeads * d), position: first, count: step)
            layer.seal(visibleFrom: layer.schedule.firstVisible(at: layer.tokenCount))
            layer.release()
            done += step
        }
    }
}
