package import Threading

extension SequenceCache {
    /// A cache with the same contents, bit for bit, that shares nothing with this one.
    package func copy(workers: WorkerPool) throws(PolicyError) -> SequenceCache {
        let copy = try SequenceCache(shape: shape, policy: policy, workers: workers)
        for (layer, other) in zip(layers, copy.layers) {
            // The pointers are valid inside the closure only.
            var pages: [[UInt8]] = []
            layer.forEachPage { pages.append(Array($0)) }
            var next = pages.startIndex
            other.restore(tokenCount: layer.tokenCount) { target in
                target.copyBytes(from: pages[next])
                next += 1
            }
        }
        return copy
    }
}
