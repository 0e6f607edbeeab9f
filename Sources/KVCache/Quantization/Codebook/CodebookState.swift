/// Ranges and levels of one tensor of one layer, as its cache uses them.
package struct TensorCodebook: Sendable {
    package let format: CodebookFormat
    /// Channels of all KV heads.
    package let channels: Int
    /// Ends of each channel's range, `[KV head][channel]`; empty with a range for each token.
    package private(set) var lows: [Float]
    package private(set) var highs: [Float]
    package private(set) var levels: LevelTable
    /// `[KV head][channel]`, from lows and highs; empty with a range for each token.
    package private(set) var ranges: [Float] = []
    package private(set) var zeros: [Float] = []

    /// Without a table, static ranges are 0 until they are fixed.
    package init(format: CodebookFormat, channels: Int, table: CodebookTable?) {
        self.format = format
        self.channels = channels
        let count = format.vector == .channel ? channels : 0
        let isStatic = format.statistics == 0
        lows = isStatic ? table?.lows ?? [] : []
        highs = isStatic ? table?.highs ?? [] : []
        if lows.count != count || highs.count != count {
            lows = Array(repeating: 0, count: count)
            highs = lows
        }
        if format.levels == .fitted, let table, table.levels.count == 1 << format.bits {
            levels = LevelTable(levels: table.levels, decoded: table.decoded)
        } else {
            let plain = LevelTable.levels(format.levels, bits: format.bits)
            levels = LevelTable(levels: plain, decoded: plain)
        }
        derive()
    }

    private mutating func derive() {
        let vectors = zip(lows, highs).map { VectorRange(low: $0, high: $1) }
        ranges = vectors.map(\.range)
        zeros = vectors.map(\.zero)
    }

    /// Bytes of the stored numbers.
    package static func byteCount(format: CodebookFormat, channels: Int) -> Int {
        4 * ((format.vector == .channel ? 2 * channels : 0) + 2 << format.bits)
    }

    /// The stored numbers: lows, highs, levels, what they stand for.
    package mutating func withBytes(
        _ body: (UnsafeMutableRawBufferPointer) throws -> Void
    ) rethrows {
        var numbers = lows + highs + levels.levels + levels.decoded
        try numbers.withUnsafeMutableBytes(body)
        let (count, size) = (lows.count, 1 << format.bits)
        lows = Array(numbers[..<count])
        highs = Array(numbers[count..<2 * count])
        levels = LevelTable(
            levels: Array(numbers[2 * count..<2 * count + size]),
            decoded: Array(numbers[(2 * count + size)...]))
        derive()
    }

    /// Whether static ranges come from the sequence itself.
    package var takesRanges: Bool { format.vector == .channel && format.statistics > 0 }

    /// Takes each channel's range from `count` tokens of the sequence itself: the percentiles that leave out the share of
    /// outliers, half of it on each side, interpolated linearly.
    package mutating func fix(
        count: Int, value: (_ token: Int, _ channel: Int) -> Float
    ) {
        var sorted = [Float](repeating: 0, count: count)
        for channel in 0..<lows.count {
            for token in 0..<count { sorted[token] = value(token, channel) }
            sorted.sort()
            lows[channel] = Self.percentile(sorted, format.outliers / 2)
            highs[channel] = Self.percentile(sorted, 1 - format.outliers / 2)
        }
        derive()
    }

    private static func percentile(_ sorted: [Float], _ share: Double) -> Float {
        let place = share * Double(sorted.count - 1)
        let below = min(max(Int(place), 0), sorted.count - 1)
        let above = min(below + 1, sorted.count - 1)
        let part = Float(place - Double(below))
        return sorted[below] + part * (sorted[above] - sorted[below])
    }
}

/// The codebooks of one layer's cache. They are fixed from the start, by a calibration, or when the first tile is sealed,
/// and never change after that.
package struct CodebookState: Sendable {
    package var keys: TensorCodebook?
    package var values: TensorCodebook?

    /// - Parameter tables: those of the layer in a calibration, if there is one.
    package init?(
        policy: LayerPolicy, shape: LayerShape, tables: [CodebookKey: CodebookTable]?
    ) {
        let channels = shape.kvHeads * shape.headSize
        func codebook(_ tensor: CacheTensor, _ format: TensorFormat) -> TensorCodebook? {
            guard let format = format.codebook else { return nil }
            return TensorCodebook(
                format: format, channels: channels,
                table: tables.flatMap { CacheCalibration.table(tensor, format, in: $0) })
        }
        keys = codebook(.keys, policy.keys)
        values = codebook(.values, policy.values)
        if keys == nil, values == nil { return nil }
    }

    package static func byteCount(policy: LayerPolicy, shape: LayerShape) -> Int {
        [policy.keys, policy.values].reduce(0) { sum, format in
            guard let format = format.codebook else { return sum }
            return sum
                + TensorCodebook.byteCount(
                    format: format, channels: shape.kvHeads * shape.headSize)
        }
    }

    /// The stored numbers, keys' before values'.
    package mutating func withBytes(
        _ body: (UnsafeMutableRawBufferPointer) throws -> Void
    ) rethrows {
        try keys?.withBytes(body)
        try values?.withBytes(body)
    }
}

extension CacheCalibration {
    /// The table for a format among those of a layer, or `nil`. Levels that are not fitted need ranges only, which do not
    /// depend on the bits.
    package static func table(
        _ tensor: CacheTensor, _ format: CodebookFormat, in tables: [CodebookKey: CodebookTable]
    ) -> CodebookTable? {
        var key = CodebookKey(tensor, format)
        if let table = tables[key] { return table }
        guard format.levels != .fitted else { return nil }
        for bits in 2...4 {
            key.bits = bits
            if let table = tables[key] { return table }
        }
        return nil
    }
}
