package import CUDAKernels
package import KVCache

/// Where everything of one sequence's cache lies on the GPU: pure arithmetic, for all layers.
///
/// Two ranges of addresses, each reserved once and backed by memory in steps of the device's granularity:
///
///     body    page p of layer l at  p · pageStride + layers[l].pageOffset
///             page = 4 tiles, 128 tokens:  [KV head][tile 0…3] K tile,  [KV head][tile 0…3] V tile,
///                                          [tile 0…3]{ K side, V side }
///             grows with the sequence
///
///     fixed   layer 0: raw tiles of the sink, ring of raw tiles of recent; layer 1: …
///             then layer 0: key scales, means, error feedback, tables of lookup formats; layer 1: …
///             raw tile = [KV head]{ K half tile, V half tile }
///
/// While key statistics are being taken there is a third range, with the queries not yet counted:
/// `[layer][watchedTokens][query heads][d]` float32.
package struct DeviceLayout: Sendable {
    /// Tiles of a page.
    package static let pageTiles = Int(IQ_PAGE_TILES)
    /// Queries of a layer that are kept on the device before they are read back.
    package static let watchedTokens = 64
    /// Offsets of layers are multiples of this.
    static let alignment = 256

    package struct Layer: Sendable {
        package private(set) var shape: LayerShape
        package let policy: LayerPolicy
        package let schedule: WindowSchedule
        /// Bytes of one KV head's tile, in the body.
        package let keyTile: Int
        package let valueTile: Int
        /// A tile of all KV heads, as a page of the CPU.
        package let page: PageLayout
        /// Bytes of one tile's side of K, and of V: the CPU's, padded.
        package let keySide: Int
        package let valueSide: Int
        /// Bytes of one KV head's float16 tile of K, and as many of V.
        package let halfTile: Int
        /// Raw tiles of the sink.
        package let sinkTiles: Int
        /// Slots of the ring that holds recent.
        package let ringTiles: Int
        /// From the start of a body page.
        package fileprivate(set) var pageOffset = 0
        /// Of the sink's first tile, from the start of the fixed range.
        package fileprivate(set) var rawOffset = 0
        /// Of the key scales, from the start of the fixed range; of the tables in ``tables`` if keys are not normalized.
        package fileprivate(set) var normalizerOffset = 0
        /// Of the queries that are kept, from the start of their range.
        package fileprivate(set) var queriesOffset = 0

        init(_ shape: LayerShape, _ policy: LayerPolicy) {
            self.shape = shape
            self.policy = policy
            schedule = WindowSchedule(policy, slidingWindow: shape.slidingWindow)
            let d = shape.headSize
            page = PageLayout(shape: shape, keys: policy.keys, values: policy.values)
            keyTile = page.keys.byteCount
            valueTile = page.values.byteCount
            keySide = Self.side(policy.keys, page.keySide, shape)
            valueSide = Self.side(policy.values, page.valueSide, shape)
            halfTile = 2 * TileLayout.tokens * d
            sinkTiles = Self.tiles(schedule.sink)
            // A piece of 32 tokens always fits beside those that must stay.
            ringTiles = Self.tiles(
                max(schedule.firstSeal, schedule.sink + schedule.recent + 2 * TileLayout.tokens)
                    - schedule.sink)
        }

        /// The same cache, read by another number of query heads.
        package func with(queryHeads: Int) -> Layer {
            var layer = self
            layer.shape.queryHeads = queryHeads
            return layer
        }

        private static func side(
            _ format: TensorFormat, _ side: SideLayout, _ shape: LayerShape
        ) -> Int {
            let places = iq_side_of(
                Int32(format.deviceLookup.rawValue), Int32(shape.kvHeads), Int32(side.capacity))
            return Int(places.byte_count)
        }

        private static func tiles(_ tokens: Int) -> Int {
            (tokens + TileLayout.tokens - 1) / TileLayout.tokens
        }

        /// Bytes of a page: 4 tiles of all KV heads.
        package var pageBytes: Int {
            DeviceLayout.pageTiles
                * (shape.kvHeads * (keyTile + valueTile) + keySide + valueSide)
        }
        /// Bytes of a raw tile of all KV heads.
        package var rawStride: Int { 2 * halfTile * shape.kvHeads }
        var rawBytes: Int { (sinkTiles + ringTiles) * rawStride }

        /// Bytes of scales, means and error feedback.
        package var normalizerBytes: Int {
            guard let rule = policy.keyNormalization else { return 0 }
            let d = shape.headSize
            return 4 * shape.kvHeads * (2 * d + (rule.feedback ? d * (d + 1) / 2 : 0))
        }

        /// Whether keys or values have a lookup format.
        package var hasTables: Bool {
            [policy.keys, policy.values].contains { $0.deviceLookup != IQ_NO_LOOKUP }
        }

        /// Offsets of the tables of lookup formats, from the key scales.
        package var tables: iq_tables {
            iq_tables_of(
                Int32(normalizerBytes), Int32(shape.kvHeads), Int32(shape.headSize),
                Int32(policy.keys.deviceLookup.rawValue),
                Int32(policy.values.deviceLookup.rawValue), Int32(shape.preRotary(policy).rawValue))
        }

        /// What kernels must know of the layer if it has lookup formats.
        package var lookup: iq_lookup_layer {
            let channels = shape.kvHeads * shape.headSize
            func outliers(_ format: TensorFormat) -> Int32 {
                Int32(format.codebook?.outliersPerSide(channels: channels) ?? 0)
            }
            return iq_lookup_layer(
                body_position: Int32(schedule.sink), table_start: Int32(normalizerBytes),
                key_capacity: Int32(page.keySide.capacity),
                value_capacity: Int32(page.valueSide.capacity),
                key_outliers: outliers(policy.keys), value_outliers: outliers(policy.values))
        }

        /// Bytes of one token's queries, if the statistics want them.
        package var queryBytes: Int {
            guard let rule = policy.keyNormalization, rule.feedback || rule.queryExponent > 0 else {
                return 0
            }
            return 4 * shape.queryHeads * shape.headSize
        }

        /// Time that a raw tile takes over that of a body tile: that of their bytes, to the nearest power of two.
        package var rawCost: Int {
            var cost = 1
            while 2 * (2 * halfTile) >= 3 * cost * (keyTile + valueTile) { cost *= 2 }
            return cost
        }

        /// Of a K tile from the start of its page.
        package func keyOffset(head: Int, tile: Int) -> Int {
            (head * DeviceLayout.pageTiles + tile % DeviceLayout.pageTiles) * keyTile
        }

        /// Of a V tile from the start of its page.
        package func valueOffset(head: Int, tile: Int) -> Int {
            DeviceLayout.pageTiles * shape.kvHeads * keyTile
                + (head * DeviceLayout.pageTiles + tile % DeviceLayout.pageTiles) * valueTile
        }

        /// Of a tile's side of K, from the start of its page; that of V follows.
        package func sideOffset(tile: Int) -> Int {
            DeviceLayout.pageTiles * shape.kvHeads * (keyTile + valueTile)
                + tile % DeviceLayout.pageTiles * (keySide + valueSide)
        }

        /// Ring slot of tile `tile` of the sequence after the sink.
        package func ringSlot(tile: Int) -> Int { tile % ringTiles }

        /// Offset of a raw tile of recent in the fixed range.
        package func recentOffset(tile: Int) -> Int {
            rawOffset + (sinkTiles + ringSlot(tile: tile)) * rawStride
        }

        package func sinkOffset(tile: Int) -> Int { rawOffset + tile * rawStride }
    }

    package private(set) var layers: [Layer]
    /// From a body page to the next.
    package let pageStride: Int
    /// Bytes of the fixed range that are used.
    package let fixedBytes: Int
    /// Bytes of the queries' range that are used; 0 if no layer wants them.
    package let queriesBytes: Int
    /// What memory is mapped in multiples of.
    package let granularity: Int

    /// - Parameter granularity: of device memory, 2 MiB on the GPUs of today.
    package init(shape: CacheShape, policy: CachePolicy, granularity: Int) {
        self.granularity = granularity
        layers = shape.layers.enumerated().map { index, layer in
            Layer(layer, policy.layer(index, of: shape.layers.count))
        }
        var page = 0
        var fixed = 0
        var queries = 0
        func take(_ bytes: Int, _ total: inout Int) -> Int {
            defer { total += Self.round(bytes, to: Self.alignment) }
            return total
        }
        for index in layers.indices {
            layers[index].pageOffset = take(layers[index].pageBytes, &page)
            layers[index].rawOffset = take(layers[index].rawBytes, &fixed)
            layers[index].queriesOffset = take(
                layers[index].queryBytes * Self.watchedTokens, &queries)
        }
        for index in layers.indices {
            layers[index].normalizerOffset = take(
                Int(layers[index].tables.byte_count), &fixed)
        }
        pageStride = page
        fixedBytes = fixed
        queriesBytes = queries
    }

    static func round(_ bytes: Int, to step: Int) -> Int { (bytes + step - 1) / step * step }

    /// Offset of a K tile in the body range.
    package func keyTile(layer: Int, tile: Int, head: Int) -> Int {
        tile / Self.pageTiles * pageStride + layers[layer].pageOffset
            + layers[layer].keyOffset(head: head, tile: tile)
    }

    /// Offset of a V tile in the body range.
    package func valueTile(layer: Int, tile: Int, head: Int) -> Int {
        tile / Self.pageTiles * pageStride + layers[layer].pageOffset
            + layers[layer].valueOffset(head: head, tile: tile)
    }

    // MARK: - Bytes

    /// Pages that hold the body of every layer after `tokens` tokens.
    package func pages(tokens: Int) -> Int {
        layers.reduce(0) { most, layer in
            let tiles = layer.schedule.sealedTiles(at: tokens)
            return max(most, (tiles + Self.pageTiles - 1) / Self.pageTiles)
        }
    }

    /// Bytes mapped for the body's first `pages` pages.
    package func bodyBytes(pages: Int) -> Int { Self.round(pages * pageStride, to: granularity) }

    /// Whether a layer still takes key statistics after `tokens` tokens.
    package func isWatching(tokens: Int) -> Bool {
        layers.contains { $0.queryBytes > 0 && $0.schedule.sealedTiles(at: tokens) == 0 }
    }

    /// Bytes mapped after `tokens` tokens; equals what is allocated.
    package func byteCount(tokens: Int) -> DeviceByteCount {
        DeviceByteCount(
            fixed: Self.round(fixedBytes, to: granularity),
            body: bodyBytes(pages: pages(tokens: tokens)),
            queries: isWatching(tokens: tokens) ? Self.round(queriesBytes, to: granularity) : 0)
    }

    /// The longest sequence whose cache fits `bytes` at every step on the way, at most `limit` tokens; `nil` if not even
    /// an empty one does. A prompt run in one go has its first layer's body and its last layer's queries at once.
    package func longestContext(bytes: Int, limit: Int = 1 << 30) -> Int? {
        let start = byteCount(tokens: 0).total
        guard start <= bytes else { return nil }
        guard pageStride > 0 else { return limit }
        let pages = (bytes - start) / granularity * granularity / pageStride
        // Pages grow steadily with tokens.
        var (low, high) = (0, limit)
        while low < high {
            let middle = low + (high - low + 1) / 2
            if self.pages(tokens: middle) <= pages { low = middle } else { high = middle - 1 }
        }
        return low
    }
}

/// Bytes of GPU memory that one sequence's cache takes, as mapped.
package struct DeviceByteCount: Sendable, Hashable {
    /// Sink and recent in float16, key normalizers.
    package var fixed: Int
    package var body: Int
    /// Queries kept for the key statistics, until the first seal.
    package var queries: Int

    package var total: Int { fixed + body + queries }
}
