import KVCache
import Testing

/// Tiles whose groups are quantized side by side hold what ``GroupQuantizer`` makes of each group alone.
@Suite struct SealingTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let format: GroupedFormat
        let headSize: Int
        let isKeys: Bool

        var layout: TileLayout {
            isKeys
                ? .keys(headSize: headSize, format: .grouped(format))
                : .values(headSize: headSize, format: .grouped(format))
        }

        var testDescription: String {
            "\(isKeys ? "keys" : "values") \(headSize), \(format.bits) bits \(format.mode) \(format.levels) \(format.scaleFit)"
        }
    }

    static let cases: [Case] = {
        var formats: [GroupedFormat] = []
        for bits in [2, 3, 4, 8] {
            for axis in GroupAxis.allCases {
                for mode in QuantizationMode.allCases {
                    for levels in LevelSet.allCases {
                        formats.append(
                            GroupedFormat(bits: bits, axis: axis, mode: mode, levels: levels))
                    }
                }
            }
        }
        for fit in [ScaleFit.leastSquares, .unbiased] {
            for axis in GroupAxis.allCases {
                formats.append(GroupedFormat(bits: 3, axis: axis, scaleFit: fit))
                formats.append(GroupedFormat(bits: 2, axis: axis, mode: .hybrid, scaleFit: fit))
            }
        }
        // 80 channels leave a short block of rows, 16 half of one lane block.
        return formats.flatMap { format in
            [16, 64, 80].flatMap { size in
                [true, false].map { Case(format: format, headSize: size, isKeys: $0) }
            }
        }
    }()

    /// Numbers of all sizes, ties between levels, and groups of zeros, of infinities and of NaN.
    static func values(_ layout: TileLayout, _ random: inout Random) -> [Float] {
        var values = random.normals(layout.rows * layout.lanes)
        for i in values.indices where i % 3 == 0 { values[i] = (values[i] * 2).rounded() / 2 }
        for row in 0..<layout.rows {
            for lane in 0..<layout.lanes {
                let i = row * layout.lanes + lane
                let size: Float = [1, 1e-6, 1e4, 1e7][(row / 32 + lane / 8) % 4]
                values[i] *= size
                if lane % 16 == 1 || row % 16 == 1 { values[i] = lane % 2 == 0 ? 0 : -0.0 }
            }
        }
        values[3] = .nan
        values[layout.lanes + 5] = .infinity
        values[7] = -.infinity
        return values
    }

    /// A tile, one group after the other.
    static func oneByOne(_ values: [Float], _ layout: TileLayout, _ format: GroupedFormat)
        -> [UInt8]
    {
        var tile = [UInt8](repeating: 0, count: layout.byteCount)
        let quantizer = GroupQuantizer(format)
        var members: [Int: [(row: Int, lane: Int)]] = [:]
        for row in 0..<layout.rows {
            for lane in 0..<layout.lanes {
                members[layout.group(row: row, lane: lane), default: []].append((row, lane))
            }
        }
        tile.withUnsafeMutableBytes { tile in
            let tile = tile.baseAddress!
            for (group, places) in members {
                let numbers = places.map { values[$0.row * layout.lanes + $0.lane] }
                var codes = [UInt8](repeating: 0, count: 32)
                let scale = quantizer.encode(numbers, count: numbers.count, codes: &codes)
                layout.setScale(scale, tile, group: group)
                for (i, place) in places.enumerated() {
                    layout.setCode(codes[i], tile, row: place.row, lane: place.lane)
                }
            }
        }
        return tile
    }

    @Test(arguments: cases) func tilesEqualTheirGroups(_ test: Case) {
        var random = Random(7)
        let layout = test.layout
        for _ in 0..<3 {
            let values = Self.values(layout, &random)
            var tile = [UInt8](repeating: 0xA5, count: layout.byteCount)
            tile.withUnsafeMutableBytes { layout.encode(values, into: $0.baseAddress!) }
            #expect(tile == Self.oneByOne(values, layout, test.format))
        }
    }

    /// The rounding of each token by itself, as ``KeyFeedback`` states it.
    @Test(arguments: cases.filter { $0.isKeys && $0.layout.isInner })
    func feedbackEqualsTokenByToken(_ test: Case) throws {
        let (layout, d, lanes) = (test.layout, test.headSize, TileLayout.tokens)
        var random = Random(11)
        var normalizer = KeyNormalizer(.standard, kvHeads: 1, headSize: d)
        normalizer.watch(queries: random.normals(40 * d), count: 40, ratio: 1, workers: nil)
        normalizer.fix(head: 0, skip: 0, count: 0, queryCount: 40, tiles: [])
        let feedback = try #require(normalizer.feedback)
        let values = random.normals(d * lanes)
        var tile = [UInt8](repeating: 0xA5, count: layout.byteCount)
        tile.withUnsafeMutableBytes {
            feedback.encode(head: 0, values, layout: layout, into: $0.baseAddress!)
        }
        let plain = Self.oneByOne(values, layout, test.format)
        var moved = 0
        tile.withUnsafeBytes { tile in
            plain.withUnsafeBytes { plain in
                for token in 0..<lanes {
                    var targets = (0..<d).map { values[$0 * lanes + token] }
                    for channel in (0..<d).reversed() {
                        let group = layout.group(row: channel, lane: token)
                        let scale = layout.scale(plain.baseAddress!, group: group)
                        #expect(layout.scale(tile.baseAddress!, group: group) == scale)
                        let code = layout.code(tile.baseAddress!, row: channel, lane: token)
                        #expect(code == Self.nearest(targets[channel], scale, test.format))
                        if code != layout.code(plain.baseAddress!, row: channel, lane: token) {
                            moved += 1
                        }
                        let error =
                            values[channel * lanes + token]
                            - scale.value(of: code, bias: test.format.bias)
                        for below in 0..<channel {
                            let factor = feedback.factors[channel * (channel + 1) / 2 + below]
                            targets[below] += factor * error
                        }
                    }
                }
            }
        }
        #expect(moved > 0)
    }

    /// Queries are watched token by token as in a prompt, bit for bit.
    @Test(arguments: [16, 64, 80]) func watchingDoesNotDependOnTheCut(_ d: Int) throws {
        var random = Random(13)
        let (count, heads, ratio) = (45, 2, 3)
        let queries = random.normals(count * heads * ratio * d)
        let factors = try [[count], [1, 40, 4], Array(repeating: 1, count: count)].map { cut in
            var normalizer = KeyNormalizer(.standard, kvHeads: heads, headSize: d)
            queries.withUnsafeBufferPointer { queries in
                var first = 0
                for part in cut {
                    normalizer.watch(
                        queries: queries.baseAddress! + first * heads * ratio * d, count: part,
                        ratio: ratio, workers: nil)
                    first += part
                }
            }
            return try #require(normalizer.feedback).factors
        }
        #expect(factors[0] == factors[1])
        #expect(factors[0] == factors[2])
        #expect(factors[0].contains { $0 > 1 })
    }

    static func nearest(_ value: Float, _ scale: GroupScale, _ format: GroupedFormat) -> UInt8 {
        let lowest = scale.isAsymmetric ? 0 : -format.bias
        let isShort = format.mode == .hybrid && format.levels == .official
        let highest =
            scale.isAsymmetric
            ? (1 << (isShort ? format.bits - 1 : format.bits)) - 1
            : (1 << (format.bits - 1)) - 1
        guard scale.magnitude > 0 else { return UInt8(-lowest) }
        let step = scale.isNegative ? -scale.magnitude : scale.magnitude
        let level = min(max(Float(lowest), (value - scale.zero) / step), Float(highest))
        return UInt8(Int(level.rounded(.toNearestOrEven)) - lowest)
    }
}
