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
            probe: readBandwidth(workers))
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

    /// GB/s with which all threads read memory: the best of some passes over 256 MiB.
    static func readBandwidth(_ workers: WorkerPool) -> Double {
        let count = 32 << 20
        let memory = UnsafeMutablePointer<UInt64>.allocate(capacity: count)
        defer { memory.deallocate() }
        memory.initialize(repeating: 1, count: count)
        let pieces = 256
        let sums = UnsafeMutablePointer<UInt64>.allocate(capacity: pieces)
        defer { sums.deallocate() }
        let shared = Shared(memory: memory, sums: sums)
        let clock = ContinuousClock()
        var best = 0.0
        for _ in 0..<6 {
            let start = clock.now
            workers.run(count: pieces) { piece, _ in shared.sum(piece, count / pieces) }
            best = max(best, Double(8 * count) / (clock.now - start).seconds / 1e9)
        }
        return best
    }

    /// Each piece has its own sum.
    private struct Shared: @unchecked Sendable {
        let memory: UnsafeMutablePointer<UInt64>
        let sums: UnsafeMutablePointer<UInt64>

        func sum(_ piece: Int, _ count: Int) {
            var sum = SIMD8<UInt64>()
            let start = UnsafeRawPointer(memory + piece * count)
            for offset in stride(from: 0, to: 8 * count, by: 64) {
                sum &+= start.loadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self)
            }
            sums[piece] = sum.wrappedSum()
        }
    }
}
