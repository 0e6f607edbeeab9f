import Generation
package import Threading

/// How fast the machine reads memory: what decoding is measured against, since each token reads all weights and the cache.
package enum ReadBandwidth {
    /// GB/s with which all threads read memory: the best of some passes over 256 MiB.
    package static func measure(_ workers: WorkerPool) -> Double {
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
