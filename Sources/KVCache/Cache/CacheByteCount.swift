/// Exact sizes of a cache, computed without making one.
public struct CacheByteCount: Sendable, Codable, Hashable {
    /// Float16 pages of the sink and recent segments, as allocated: whole pages of 32 tokens.
    public var windows = 0
    /// Packed tiles and the sides of their pages: codes, scales, zero points, outliers.
    public var body = 0
    /// Means and scales of key normalization, ranges and levels of codebooks, float32.
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
        let rawPage = 2 * TileLayout.tokens * shape.headSize * 2 * shape.kvHeads
        var count = CacheByteCount()
        count.windows =
            rawPage
            * (schedule.sinkPages(at: tokens) - schedule.droppedSinkPages(at: tokens)
                + schedule.recentPages(at: tokens))
        count.body =
            PageLayout(shape: shape, keys: keys, values: values).byteCount
            * (schedule.sealedTiles(at: tokens) - schedule.droppedTiles(at: tokens))
        if let normalization = keyNormalization {
            let d = shape.headSize
            let numbers =
                (normalization.centred ? 2 : 1) * d
                + (normalization.feedback ? d * (d + 1) / 2 : 0)
            count.normalizers = numbers * shape.kvHeads * 4
        }
        count.normalizers += CodebookState.byteCount(policy: self, shape: shape)
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

    /// The longest sequence whose cache fits `bytes` at every step on the way, at most `limit` tokens; `nil` if not even
    /// an empty one does.
    public func longestContext(shape: CacheShape, bytes: Int, limit: Int = 1 << 30) -> Int? {
        func fits(_ tokens: Int) -> Bool { byteCount(shape: shape, tokens: tokens).total <= bytes }
        guard fits(0) else { return nil }
        // A seal gives memory back, so bytes do not grow steadily; the largest up to some length is at that length, at
        // the end of the cycle of 32 tokens before it, or just before a layer's first seal.
        let firstSeals = Set(
            shape.layers.enumerated().map { index, layer in
                WindowSchedule(
                    self.layer(index, of: shape.layers.count), slidingWindow: layer.slidingWindow
                ).firstSeal - 1
            })
        func fitsUpTo(_ tokens: Int) -> Bool {
            (max(0, tokens - TileLayout.tokens)...tokens).allSatisfy(fits)
                && firstSeals.allSatisfy { $0 > tokens || fits($0) }
        }
        if fitsUpTo(limit) { return limit }
        var low = 0
        var high = limit
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if fitsUpTo(middle) { low = middle } else { high = middle }
        }
        return low
    }
}
