package import Threading

extension SequenceCache {
    /// An empty cache of the same policy and with the same codebooks.
    package func emptied(workers: WorkerPool) throws(PolicyError) -> SequenceCache {
        let cache = try SequenceCache(
            shape: shape, policy: policy, calibration: calibration, workers: workers
        ) { layer, _ in layers[layer].codebooks }
        if layers.contains(where: \.shufflesCodes) { cache.shuffleCodesFromNowOn() }
        return cache
    }

    /// A cache with the same contents, bit for bit, that shares nothing with this one.
    package func copy(workers: WorkerPool) throws(PolicyError) -> SequenceCache {
        let copy = try emptied(workers: workers)
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
