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
            states[layer].normalizer?.watch(
                queries: $0.baseAddress!, count: count, ratio: shape.groupRatio, workers: nil)
        }
    }

    /// Takes the normalizer from the first tokens, which are all in the windows still, and uploads it.
    func fixNormalizer(layer: Int) throws(CUDABackendError) {
        try addKeptQueries(layer: layer)
        let place = layout.layers[layer]
        let schedule = place.schedule
        let (d, kvHeads) = (place.shape.headSize, place.shape.kvHeads)
        let count = schedule.firstSeal
        let keys = try unsealed(layer: layer, .keys)
        let tileSize = d * TileLayout.tokens
        let skip = place.policy.keyNormalization?.skipsSink == true ? schedule.sink : 0
        keys.withUnsafeBufferPointer { keys in
            for head in 0..<kvHeads {
                let tiles = (0..<keys.count / (kvHeads * tileSize)).map { tile in
                    KeyNormalizer.Tile(
                        firstToken: tile < place.sinkTiles
                            ? tile * TileLayout.tokens
                            : schedule.firstToken(ofTile: tile - place.sinkTiles),
                        keys: keys.baseAddress! + (tile * kvHeads + head) * tileSize)
                }
                states[layer].normalizer?.fix(
                    head: head, skip: skip, count: count,
                    queryCount: count * place.shape.groupRatio, tiles: tiles)
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

    /// Float16 tiles in the CPU's order, of the tokens that the first seal may know: those of the sink, then of recent,
    /// `[tile][KV head][row][lane]`.
    func unsealed(
        layer: Int, _ tensor: DeviceTileOrder.Tensor
    ) throws(CUDABackendError) -> [UInt16] {
        let place = layout.layers[layer]
        let kvHeads = place.shape.kvHeads
        let order = DeviceTileOrder.shared(
            tensor, headSize: place.shape.headSize, format: .float16)
        let recent = place.schedule.firstSeal - place.schedule.sink
        let tiles = place.sinkTiles + (recent + TileLayout.tokens - 1) / TileLayout.tokens
        var all = [UInt16](repeating: 0, count: tiles * kvHeads * place.halfTile / 2)
        for tile in 0..<tiles {
            let offset =
                tile < place.sinkTiles
                ? place.sinkOffset(tile: tile) : place.recentOffset(tile: tile - place.sinkTiles)
            let raw = try read(
                fixed.base + UInt64(offset), count: place.rawStride, as: UInt8.self)
            raw.withUnsafeBytes { raw in
                all.withUnsafeMutableBytes { all in
                    for head in 0..<kvHeads {
                        let source = (2 * head + (tensor == .keys ? 0 : 1)) * place.halfTile
                        order.toHost(
                            raw.baseAddress! + source,
                            all.baseAddress! + (tile * kvHeads + head) * place.halfTile)
                    }
                }
            }
        }
        return all
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

    func write(_ numbers: [some BitwiseCopyable], to address: UInt64) throws(CUDABackendError) {
        var failure: CUDABackendError?
        numbers.withUnsafeBytes {
            do throws(CUDABackendError) { try memory.upload($0, to: address) } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }
}
