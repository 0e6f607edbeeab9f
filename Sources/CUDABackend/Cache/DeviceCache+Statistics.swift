import KVCache

/// Key normalizers: the CPU's own code takes them, from what the device has, so that both have the same numbers.
extension DeviceCache {
    /// Whether a layer's statistics want queries still. The append kernel keeps them on the device.
    func watchesQueries(layer: Int) -> Bool {
        layout.layers[layer].queryBytes > 0 && states[layer].normalizer?.isFixed == false
    }

    /// Adds the queries kept on the device to the normalizer's sums.
    func addKeptQueries(layer: Int) throws(CUDABackendError) {
        let kept = states[layer].keptQueries
        guard kept > 0, let queries else { return }
        try addQueries(
            layer: layer, queries.base + UInt64(layout.layers[layer].queriesOffset), count: kept)
        states[layer].keptQueries = 0
    }

    private func addQueries(
        layer: Int, _ address: UInt64, count: Int
    ) throws(CUDABackendError) {
        let shape = layout.layers[layer].shape
        let row = shape.queryHeads * shape.headSize
        let numbers = try read(address, count: count * row, as: Float.self)
        numbers.withUnsafeBufferPointer {
            for token in 0..<count {
                states[layer].normalizer?.watch(
                    queries: $0.baseAddress! + token * row, ratio: shape.groupRatio)
            }
        }
    }

    /// Takes the normalizer from the first tokens, which are all in the windows still, and uploads it.
    func fixNormalizer(layer: Int) throws(CUDABackendError) {
        try addKeptQueries(layer: layer)
        let place = layout.layers[layer]
        let schedule = place.schedule
        let (d, kvHeads) = (place.shape.headSize, place.shape.kvHeads)
        let count = schedule.firstSeal
        let order = DeviceTileOrder.shared(.keys, headSize: d, format: .float16)
        // [sink tile, then recent tile][KV head][channel][32 tokens]
        let recentTiles = (count - schedule.sink + TileLayout.tokens - 1) / TileLayout.tokens
        let tileSize = d * TileLayout.tokens
        var keys = [UInt16](
            repeating: 0, count: (place.sinkTiles + recentTiles) * kvHeads * tileSize)
        for tile in 0..<place.sinkTiles + recentTiles {
            let offset =
                tile < place.sinkTiles
                ? place.sinkOffset(tile: tile) : place.recentOffset(tile: tile - place.sinkTiles)
            let raw = try read(
                fixed.base + UInt64(offset), count: place.rawStride / 2, as: UInt16.self)
            raw.withUnsafeBytes { raw in
                keys.withUnsafeMutableBytes { keys in
                    for head in 0..<kvHeads {
                        order.toHost(
                            raw.baseAddress! + 2 * head * place.halfTile,
                            keys.baseAddress! + (tile * kvHeads + head) * place.halfTile)
                    }
                }
            }
        }
        let skip = place.policy.keyNormalization?.skipsSink == true ? schedule.sink : 0
        keys.withUnsafeBufferPointer { keys in
            for head in 0..<kvHeads {
                states[layer].normalizer?.fix(
                    head: head, skip: skip, count: count,
                    queryCount: count * place.shape.groupRatio
                ) { token, channel in
                    let index = token < schedule.sink ? token : token - schedule.sink
                    let tile =
                        index / TileLayout.tokens
                        + (token < schedule.sink ? 0 : place.sinkTiles)
                    let start = (tile * kvHeads + head) * tileSize
                    return Float(
                        Float16(
                            bitPattern: keys[
                                start + channel * TileLayout.tokens + index % TileLayout.tokens]))
                }
            }
        }
        try uploadNormalizer(layer: layer)
    }

    /// Writes scales, means (zeros where keys are not centred) and error feedback to the device.
    func uploadNormalizer(layer: Int) throws(CUDABackendError) {
        guard let normalizer = states[layer].normalizer else { return }
        let means =
            normalizer.means.isEmpty
            ? normalizer.scales.map { _ in Float(0) } : normalizer.means
        try write(
            normalizer.scales + means + (normalizer.feedback?.factors ?? []),
            to: normalizerAddress(layer))
    }

    // MARK: - Copies

    func read<Element: BitwiseCopyable>(
        _ address: UInt64, count: Int, as: Element.Type
    ) throws(CUDABackendError) -> [Element] {
        var failure: CUDABackendError?
        let result = [Element](unsafeUninitializedCapacity: count) { buffer, filled in
            do throws(CUDABackendError) {
                try memory.download(
                    address,
                    into: UnsafeMutableRawBufferPointer(
                        start: buffer.baseAddress, count: count * MemoryLayout<Element>.stride))
                filled = count
            } catch { failure = error }
        }
        if let failure { throw failure }
        return result
    }

    func write(_ numbers: [Float], to address: UInt64) throws(CUDABackendError) {
        var failure: CUDABackendError?
        numbers.withUnsafeBytes {
            do throws(CUDABackendError) { try memory.upload($0, to: address) } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }
}
