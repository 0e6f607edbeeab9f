/// Exact sizes of a cache, computed without making one.
public struct CacheByteCount: Sendable, Codable, Hashable {
    /// Float16 pages of the sink and recent segments, as allocated: whole pages of 32 tokens.
    public var windows = 0
    /// Packed tiles: codes, scales and zero points.
    public var body = 0
    /// Means and scales of key normalization, float32.
    public var normalizers = 0
    /// What the same tokens take as float16, without pages or windows.
    public var float16 = 0
    /// Stored elements of K and V that a query can still see.
    public var elements = 0

    /// Bytes allocated.
    public var total: Int { windows + body + normalizers }

    /// Mean bits an element, windows and normalizers included.
    public var bitsPerElement: Double {
        elements == 0 ? 0 : Double(total) * 8 / Double(elements)
    }

    public static func += (left: inout CacheByteCount, right: CacheByteCount) {
        left.windows += right.windows
        left.body += right.body
        left.normalizers += right.normalizers
        left.float16 += right.float16
        left.elements += right.elements
    }
}

extension LayerPolicy {
    /// Bytes of one layer's cache after `tokens` tokens of one sequence: equals what is allocated.
    public func byteCount(shape: LayerShape, tokens: Int) -> CacheByteCount {
        let schedule = WindowSchedule(self, slidingWindow: shape.slidingWindow)
        let keyTile = TileLayout.keys(headSize: shape.headSize, format: keys).byteCount
        let valueTile = TileLayout.values(headSize: shape.headSize, format: values).byteCount
        let rawPage = 2 * TileLayout.tokens * shape.headSize * 2 * shape.kvHeads
        var count = CacheByteCount()
        count.windows =
            rawPage
            * (schedule.sinkPages(at: tokens) - schedule.droppedSinkPages(at: tokens)
                + schedule.recentPages(at: tokens))
        count.body =
            (keyTile + valueTile) * shape.kvHeads
            * (schedule.sealedTiles(at: tokens) - schedule.droppedTiles(at: tokens))
        if let normalization = keyNormalization {
            count.normalizers = (normalization.centred ? 2 : 1) * shape.kvHeads * shape.headSize * 4
        }
        let visible = tokens - min(tokens, schedule.firstVisible(at: tokens))
        count.elements = 2 * visible * shape.headSize * shape.kvHeads
        count.float16 = 2 * count.elements
        return count
    }
}

extension CachePolicy {
    /// Bytes of a whole cache after `tokens` tokens of one sequence: equals what is allocated.
    public func byteCount(shape: CacheShape, tokens: Int) -> CacheByteCount {
        var total = CacheByteCount()
        for (index, layer) in shape.layers.enumerated() {
            total += self.layer(index, of: shape.layers.count).byteCount(
                shape: layer, tokens: tokens)
        }
        return total
    }

    /// The longest sequence whose cache fits `bytes`, at most `limit` tokens; `nil` if not even an empty one does.
    public func longestContext(shape: CacheShape, bytes: Int, limit: Int = 1 << 30) -> Int? {
        guard byteCount(shape: shape, tokens: 0).total <= bytes else { return nil }
        // A byte count does not grow steadily (a seal gives memory back), so the answer is the end of the first run
        // that fits everywhere before it: find a failing bound by bisection on the peak up to each length.
        func peak(_ tokens: Int) -> Int {
            (max(0, tokens - TileLayout.tokens)...tokens).lazy
                .map { byteCount(shape: shape, tokens: $0).total }.max() ?? 0
        }
        var low = 0
        var high = limit
        if peak(high) <= bytes { return limit }
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if peak(middle) <= bytes { low = middle } else { high = middle }
        }
        return low
    }
}
