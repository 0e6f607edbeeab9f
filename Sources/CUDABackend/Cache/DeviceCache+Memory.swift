import CUDAKernels
import KVCache

/// Addresses of a cache's parts; pure arithmetic.
extension DeviceCache {
    func sinkAddress(_ layer: Int) -> UInt64 {
        fixed.base + UInt64(layout.layers[layer].sinkOffset(tile: 0))
    }

    func recentAddress(_ layer: Int) -> UInt64 {
        fixed.base + UInt64(layout.layers[layer].recentOffset(tile: 0))
    }

    func bodyAddress(_ layer: Int) -> UInt64 {
        body.base + UInt64(layout.layers[layer].pageOffset)
    }

    func normalizerAddress(_ layer: Int) -> UInt64 {
        let place = layout.layers[layer]
        guard place.tables.byte_count > 0 else { return 0 }
        return fixed.base + UInt64(place.normalizerOffset)
    }
}

/// Memory that comes and goes.
extension DeviceCache {
    /// Grows a range; when there is no room, says what would fit.
    static func grow(
        _ range: any DeviceRange, to bytes: Int, _ layout: DeviceLayout, mapped: Int
    ) throws(CUDABackendError) {
        guard bytes > range.mappedBytes else { return }
        do throws(CUDABackendError) {
            try range.grow(to: bytes)
        } catch {
            guard case .outOfMemory(let asked, let free, _) = error else { throw error }
            throw .outOfMemory(
                asked: asked, free: free,
                longestContext: layout.longestContext(bytes: mapped + range.mappedBytes + free))
        }
    }

    /// Gives back the queries' memory when no layer wants them any more.
    func releaseQueries() {
        guard queries != nil else { return }
        let isWanted = states.indices.contains { watchesQueries(layer: $0) }
        if !isWanted { queries = nil }
    }

    func reserveQueries() throws(CUDABackendError) {
        guard queries == nil, layout.queriesBytes > 0 else { return }
        let range = try memory.reserve(layout.byteCount(tokens: 0).queries)
        try Self.grow(
            range, to: layout.queriesBytes, layout, mapped: body.mappedBytes + fixed.mappedBytes)
        queries = range
    }
}
