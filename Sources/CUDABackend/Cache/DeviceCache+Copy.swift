package import KVCache

/// Copies between a cache on the CPU and one on the device. Both ways every bit is kept, so that a saved session
/// continues on either.
extension DeviceCache {
    /// Replaces the contents with those of a cache on the CPU.
    package func load(_ cache: SequenceCache) throws(CUDABackendError) {
        try checkAlike(cache)
        guard cache.isConsistent else { throw .otherCache("the tokens of their layers") }
        guard cache.tokenCount <= mostTokens else {
            throw .contextTooLong(tokens: cache.tokenCount, reserved: mostTokens)
        }
        try removeAll()
        hasCodebooks = true
        for (index, layer) in cache.layers.enumerated() {
            let place = layout.layers[index]
            let orders = Orders(place)
            let n = layer.tokenCount
            states[index].tokenCount = n
            states[index].sealedTiles = place.schedule.sealedTiles(at: n)
            states[index].normalizer = layer.normalizer
            if layer.normalizer?.isFixed == true { try uploadNormalizer(layer: index) }
            codebooks[index] = layer.codebooks
            states[index].codebooks = layer.codebooks
            if states[index].sealedTiles > 0 { try uploadTables(layer: index) }
            let pages =
                (states[index].sealedTiles + DeviceLayout.pageTiles - 1) / DeviceLayout.pageTiles
            try Self.grow(
                body, to: pages * layout.pageStride, layout,
                mapped: fixed.mappedBytes + (queries?.mappedBytes ?? 0))
            var places = Segments(place, tokens: n).list[...]
            var skipped = arraysBeforePages(place)
            var stage = Stage(place)
            var failure: CUDABackendError?
            layer.forEachPage { page in
                if skipped > 0 {
                    skipped -= 1
                    return
                }
                guard failure == nil, let segment = places.popFirst() else { return }
                do throws(CUDABackendError) {
                    switch segment {
                    case .raw(let offset, _):
                        orders.rawToDevice(page, &stage.raw)
                        try write(stage.raw, to: fixed.base + UInt64(offset))
                    case .body(let tile):
                        orders.bodyToDevice(page, &stage.page, tile: tile)
                        let isLast = places.first?.isBody(inPageOf: tile) != true
                        if isLast { try write(stage.page, to: pageAddress(index, tile)) }
                    }
                } catch { failure = error }
            }
            if let failure { throw failure }
        }
        releaseQueries()
    }

    /// Replaces the contents of a cache on the CPU with these.
    package func store(into cache: SequenceCache) throws(CUDABackendError) {
        try checkAlike(cache)
        guard isConsistent else { throw .otherCache("the tokens of their layers") }
        for (index, layer) in cache.layers.enumerated() {
            try addKeptQueries(layer: index)
            let place = layout.layers[index]
            let orders = Orders(place)
            let n = states[index].tokenCount
            var arrays: [[UInt8]] = []
            if var normalizer = states[index].normalizer {
                normalizer.withBytes { arrays.append(Array($0)) }
            }
            if var codebooks = states[index].codebooks {
                codebooks.withBytes { arrays.append(Array($0)) }
            }
            var waiting = arrays[...]
            var places = Segments(place, tokens: n).list[...]
            // The page of the device that was read last, by its number.
            var held: (number: Int, bytes: [UInt8])?
            do {
                try layer.restore(tokenCount: n) { target in
                    if let array = waiting.popFirst() { return target.copyBytes(from: array) }
                    switch places.popFirst() {
                    case .raw(let offset, let tokens):
                        let bytes = try read(
                            fixed.base + UInt64(offset), count: place.rawStride, as: UInt8.self)
                        orders.rawToHost(bytes, target, tokens: tokens)
                    case .body(let tile):
                        let number = tile / DeviceLayout.pageTiles
                        if held?.number != number {
                            held = nil
                            held = (
                                number,
                                try read(
                                    pageAddress(index, tile), count: place.pageBytes, as: UInt8.self
                                )
                            )
                        }
                        if let bytes = held?.bytes { orders.bodyToHost(bytes, target, tile: tile) }
                    case nil: break
                    }
                }
            } catch {
                // Nothing else is thrown; closures of `rethrows` functions have no typed errors.
                throw error as? CUDABackendError ?? .otherCache("what cannot be")
            }
        }
    }

    /// A cache on the same device with the same contents, which shares nothing with this one.
    package func copy() throws(CUDABackendError) -> DeviceCache {
        let copy = try DeviceCache(
            shape: shape, policy: policy, mostTokens: mostTokens, memory: memory, kernels: kernels)
        (copy.codebooks, copy.hasCodebooks) = (codebooks, hasCodebooks)
        try Self.grow(copy.body, to: body.mappedBytes, layout, mapped: copy.fixed.mappedBytes)
        for (source, target) in [(body, copy.body), (fixed, copy.fixed)]
        where source.mappedBytes > 0 {
            try memory.copy(source.base, to: target.base, bytes: source.mappedBytes)
        }
        if let source = queries, let target = copy.queries {
            try memory.copy(source.base, to: target.base, bytes: source.mappedBytes)
        }
        copy.states = states
        copy.turns = turns
        copy.releaseQueries()
        return copy
    }

    private func checkAlike(_ cache: SequenceCache) throws(CUDABackendError) {
        guard cache.shape == shape else { throw .otherCache("shape") }
        guard cache.policy == policy else { throw .otherCache("policy") }
    }

    /// Arrays that precede the pages of a layer on the CPU: scales, means, error feedback; codebooks of K, of V.
    private func arraysBeforePages(_ place: DeviceLayout.Layer) -> Int {
        let codebooks = [place.policy.keys, place.policy.values].count { $0.codebook != nil }
        guard let rule = place.policy.keyNormalization else { return codebooks }
        return 1 + (rule.centred ? 1 : 0) + (rule.feedback ? 1 : 0) + codebooks
    }

    private func pageAddress(_ layer: Int, _ tile: Int) -> UInt64 {
        bodyAddress(layer) + UInt64(tile / DeviceLayout.pageTiles * layout.pageStride)
    }

}

/// Where the pages of a layer on the CPU lie on the device, in their order.
private struct Segments {
    enum Segment {
        /// Offset in the fixed range, and tokens in it.
        case raw(Int, tokens: Int)
        case body(tile: Int)

        func isBody(inPageOf other: Int) -> Bool {
            guard case .body(let tile) = self else { return false }
            return tile / DeviceLayout.pageTiles == other / DeviceLayout.pageTiles
        }
    }

    var list: [Segment] = []

    init(_ place: DeviceLayout.Layer, tokens n: Int) {
        let schedule = place.schedule
        for tile in schedule.droppedSinkPages(at: n)..<schedule.sinkPages(at: n) {
            list.append(
                .raw(
                    place.sinkOffset(tile: tile),
                    tokens: schedule.sinkTokens(at: n) - tile * TileLayout.tokens))
        }
        let sealed = schedule.sealedTiles(at: n)
        for tile in schedule.droppedTiles(at: n)..<sealed { list.append(.body(tile: tile)) }
        for tile in sealed..<sealed + schedule.recentPages(at: n) {
            list.append(
                .raw(
                    place.recentOffset(tile: tile), tokens: n - schedule.firstToken(ofTile: tile)))
        }
    }
}

/// Host memory that is filled before it is uploaded.
private struct Stage {
    var raw: [UInt8]
    var page: [UInt8]

    init(_ place: DeviceLayout.Layer) {
        raw = Array(repeating: 0, count: place.rawStride)
        page = Array(repeating: 0, count: place.pageBytes)
    }
}

/// The four orders of one layer's tiles, and the pages that they are parts of.
private struct Orders {
    let place: DeviceLayout.Layer
    let keys: DeviceTileOrder
    let values: DeviceTileOrder
    let rawKeys: DeviceTileOrder
    let rawValues: DeviceTileOrder

    init(_ place: DeviceLayout.Layer) {
        self.place = place
        let d = place.shape.headSize
        keys = DeviceTileOrder.shared(.keys, headSize: d, format: place.policy.keys)
        values = DeviceTileOrder.shared(.values, headSize: d, format: place.policy.values)
        rawKeys = DeviceTileOrder.shared(.keys, headSize: d, format: .float16)
        rawValues = DeviceTileOrder.shared(.values, headSize: d, format: .float16)
    }

    func rawToDevice(_ page: UnsafeRawBufferPointer, _ target: inout [UInt8]) {
        target.withUnsafeMutableBytes { target in
            for head in 0..<place.shape.kvHeads {
                let start = 2 * head * place.halfTile
                rawKeys.toDevice(page.baseAddress! + start, target.baseAddress! + start)
                rawValues.toDevice(
                    page.baseAddress! + start + place.halfTile,
                    target.baseAddress! + start + place.halfTile)
            }
        }
    }

    /// - Parameter tokens: of the tile; the rest is zeros, as on the CPU, whatever the ring held before.
    func rawToHost(_ bytes: [UInt8], _ page: UnsafeMutableRawBufferPointer, tokens: Int) {
        let d = place.shape.headSize
        let count = min(tokens, TileLayout.tokens)
        bytes.withUnsafeBytes { source in
            for head in 0..<place.shape.kvHeads {
                let start = 2 * head * place.halfTile
                let key = page.baseAddress! + start
                let value = key + place.halfTile
                rawKeys.toHost(source.baseAddress! + start, key)
                rawValues.toHost(source.baseAddress! + start + place.halfTile, value)
                let halves = key.assumingMemoryBound(to: UInt16.self)
                for channel in 0..<d {
                    for token in count..<TileLayout.tokens {
                        halves[channel * TileLayout.tokens + token] = 0
                    }
                }
                (value + 2 * d * count).initializeMemory(
                    as: UInt8.self, repeating: 0, count: 2 * d * (TileLayout.tokens - count))
            }
        }
    }

    func bodyToDevice(_ page: UnsafeRawBufferPointer, _ target: inout [UInt8], tile: Int) {
        let headBytes = place.keyTile + place.valueTile
        target.withUnsafeMutableBytes { target in
            for head in 0..<place.shape.kvHeads {
                let source = page.baseAddress! + head * headBytes
                keys.toDevice(
                    source, target.baseAddress! + place.keyOffset(head: head, tile: tile))
                values.toDevice(
                    source + place.keyTile,
                    target.baseAddress! + place.valueOffset(head: head, tile: tile))
            }
            for side in sides(tile) {
                (target.baseAddress! + side.device).copyMemory(
                    from: page.baseAddress! + side.host, byteCount: side.bytes)
            }
        }
    }

    func bodyToHost(_ bytes: [UInt8], _ page: UnsafeMutableRawBufferPointer, tile: Int) {
        let headBytes = place.keyTile + place.valueTile
        bytes.withUnsafeBytes { source in
            for head in 0..<place.shape.kvHeads {
                let target = page.baseAddress! + head * headBytes
                keys.toHost(source.baseAddress! + place.keyOffset(head: head, tile: tile), target)
                values.toHost(
                    source.baseAddress! + place.valueOffset(head: head, tile: tile),
                    target + place.keyTile)
            }
            for side in sides(tile) {
                (page.baseAddress! + side.host).copyMemory(
                    from: source.baseAddress! + side.device, byteCount: side.bytes)
            }
        }
    }

    /// Where a tile's sides lie in a page of the CPU and in one of the device.
    private func sides(_ tile: Int) -> [(host: Int, device: Int, bytes: Int)] {
        let device = place.sideOffset(tile: tile)
        return [
            (place.page.keySideOffset, device, place.page.keySide.byteCount),
            (place.page.valueSideOffset, device + place.keySide, place.page.valueSide.byteCount),
        ]
    }
}
