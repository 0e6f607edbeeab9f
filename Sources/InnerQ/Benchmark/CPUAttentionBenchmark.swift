import KVCache
package import Threading

extension AttentionBenchmark {
    /// Measures on the CPU.
    ///
    /// Each step appends its token, as in decoding, so that a cache is some tokens longer at the end; steps that seal are
    /// rarer than the median.
    package static func cpu(
        _ loads: [Load], repeats: Int, workers: WorkerPool, progress: (String) -> Void,
        isCancelled: () -> Bool = { false }
    ) throws -> Report {
        progress("read bandwidth")
        var report = Report(
            device: "cpu, \(workers.threads) threads, \(AttentionKernels.best.name) kernels",
            probe: ReadBandwidth.measure(workers))
        let attention = LayerAttention(workers: workers)
        let clock = ContinuousClock()
        for load in loads {
            guard !isCancelled() else { break }
            try load.policy.validate(for: CacheShape(layers: [load.shape]))
            progress("\(load.policy.name), \(load.tokens) tokens")
            // As many as a last-level cache does not hold, and not so many that filling takes long.
            let turns = min(16, max(1, (128 << 20) / max(load.bytes, 1) + 1))
            let first = try FilledCache.make(
                load.shape, policy: load.policy, tokens: load.tokens, workers: workers)
            var caches = [first]
            while caches.count < turns * load.batch {
                caches.append(try first.copy(workers: workers))
            }
            var numbers = SplitMix64(seed: 3)
            let q = (0..<load.shape.queryHeads * load.shape.headSize).map { _ in numbers.normal() }
            let k = (0..<load.shape.kvHeads * load.shape.headSize).map { _ in numbers.normal() }
            var out = q
            var seconds: [Double] = []
            // The first turn is not counted: pages are touched and threads awake after it.
            for step in 0..<max(repeats, 1) + turns {
                let turn = step % turns
                let start = clock.now
                for cache in caches[turn * load.batch..<(turn + 1) * load.batch] {
                    attention.attend(
                        cache.layers[0], queries: q, keys: k, values: k, count: 1,
                        meaning: .decode, output: &out)
                }
                if step >= turns { seconds.append((clock.now - start).seconds) }
            }
            report.rows.append(
                Row(load, seconds: seconds, probe: report.probe, copies: turns))
        }
        report.compare()
        return report
    }
}
