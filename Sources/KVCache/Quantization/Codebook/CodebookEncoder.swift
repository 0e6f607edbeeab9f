/// Quantizes one tensor of a page, 32 tokens of all KV heads, into tiles and a side: the oracle and the implementation.
///
/// A static range (`channel`): an element is an outlier if it is below the low or above the high; if a page has more than
/// it has room for, the farthest are kept, in units of the range, and the others are clipped. A range a token: the
/// ``CodebookFormat/outliersPerSide(channels:)`` largest and as many smallest of all heads are outliers, and the range is
/// that of the rest. (KVQuant, sections 3.1 to 3.3.) Where elements are equal, those of lower head and channel go first.
///
/// Outliers have a code, too, that of the clipped element; readers replace its value.
struct CodebookEncoder {
    let codebook: TensorCodebook
    let tensor: CacheTensor
    let kvHeads: Int
    let headSize: Int
    let layout: TileLayout
    let side: SideLayout

    private var tokens: Int { TileLayout.tokens }

    /// An outlier that may be kept.
    private struct Candidate {
        var excess: Float
        var head: Int
        /// In the head's tile: `row · lanes + lane`.
        var index: Int
        var value: Float
    }

    /// - Parameters:
    ///   - values: `[KV head][channel][32 tokens]`, each a float16 number.
    ///   - tile: the tile of a KV head, whose bytes are zero.
    ///   - sideBytes: the side, whose bytes are zero.
    /// - Returns: how many elements lie beyond static ranges, kept or not; 0 with ranges by token.
    func encode(
        _ values: UnsafePointer<Float>, tile: (_ head: Int) -> UnsafeMutableRawPointer,
        side sideBytes: UnsafeMutableRawPointer
    ) -> Int {
        let channels = kvHeads * headSize
        var candidates: [Candidate] = []
        var beyond = 0
        var ranges = [VectorRange](repeating: VectorRange(low: 0, high: 0), count: tokens)
        if codebook.format.vector == .token {
            for token in 0..<tokens {
                ranges[token] = takeToken(token, values, channels, &candidates)
            }
            store(ranges, sideBytes)
        } else {
            findBeyond(values, channels, &candidates)
            beyond = candidates.count
            keepFarthest(&candidates)
        }
        for channel in 0..<channels {
            let (head, own) = (channel / headSize, channel % headSize)
            let target = tile(head)
            let isStatic = codebook.format.vector == .channel
            for token in 0..<tokens {
                let range =
                    isStatic
                    ? (zero: codebook.zeros[channel], range: codebook.ranges[channel])
                    : (zero: ranges[token].zero, range: ranges[token].range)
                let value = values[channel * tokens + token]
                let normalized = range.range == 0 ? 0 : (value - range.zero) / range.range
                let (row, lane) = tensor == .keys ? (own, token) : (token, own)
                layout.setCode(
                    codebook.levels.code(normalized), target, row: row, lane: lane)
            }
        }
        store(candidates, sideBytes)
        return beyond
    }

    private func candidate(
        _ channel: Int, _ token: Int, _ value: Float, excess: Float
    ) -> Candidate {
        let own = channel % headSize
        return Candidate(
            excess: excess, head: channel / headSize,
            index: tensor == .keys ? own * tokens + token : token * headSize + own, value: value)
    }

    /// Elements beyond static ranges.
    private func findBeyond(
        _ values: UnsafePointer<Float>, _ channels: Int, _ candidates: inout [Candidate]
    ) {
        for channel in 0..<channels {
            let (low, high) = (codebook.lows[channel], codebook.highs[channel])
            let (zero, range) = (codebook.zeros[channel], codebook.ranges[channel])
            for token in 0..<tokens {
                let value = values[channel * tokens + token]
                guard value < low || value > high else { continue }
                let excess = abs(value - zero) / max(range, 1e-12)
                candidates.append(candidate(channel, token, value, excess: excess))
            }
        }
    }

    private func keepFarthest(_ candidates: inout [Candidate]) {
        guard candidates.count > side.capacity else { return }
        candidates.sort {
            $0.excess != $1.excess
                ? $0.excess > $1.excess : ($0.head, $0.index) < ($1.head, $1.index)
        }
        candidates.removeLast(candidates.count - side.capacity)
    }

    /// Takes the largest and smallest of a token out; the range of the rest.
    private func takeToken(
        _ token: Int, _ values: UnsafePointer<Float>, _ channels: Int,
        _ candidates: inout [Candidate]
    ) -> VectorRange {
        let count =
            side.capacity == 0 ? 0 : codebook.format.outliersPerSide(channels: channels)
        return withUnsafeTemporaryAllocation(of: Bool.self, capacity: channels) { taken in
            taken.initialize(repeating: false)
            for isAbove in [true, false] {
                for _ in 0..<count {
                    var best = -1
                    var bestValue: Float = 0
                    for channel in 0..<channels where !taken[channel] {
                        let value = values[channel * tokens + token]
                        if best < 0 || (isAbove ? value > bestValue : value < bestValue) {
                            best = channel
                            bestValue = value
                        }
                    }
                    guard best >= 0 else { break }
                    taken[best] = true
                    candidates.append(candidate(best, token, bestValue, excess: 0))
                }
            }
            var low = Float.infinity
            var high = -Float.infinity
            for channel in 0..<channels where !taken[channel] {
                let value = values[channel * tokens + token]
                low = min(low, value)
                high = max(high, value)
            }
            return low <= high ? VectorRange(low: low, high: high) : VectorRange(low: 0, high: 0)
        }
    }

    private func store(_ ranges: [VectorRange], _ sideBytes: UnsafeMutableRawPointer) {
        let halves = sideBytes.assumingMemoryBound(to: UInt16.self)
        for (token, range) in ranges.enumerated() {
            halves[2 * token] = Float16(range.range).bitPattern
            halves[2 * token + 1] = Float16(range.zero).bitPattern
        }
    }

    private func store(_ candidates: [Candidate], _ sideBytes: UnsafeMutableRawPointer) {
        guard side.capacity > 0 else { return }
        let starts = (sideBytes + side.startsOffset).assumingMemoryBound(to: UInt16.self)
        let outliers = (sideBytes + side.outliersOffset).assumingMemoryBound(to: UInt32.self)
        let sorted = candidates.sorted { ($0.head, $0.index) < ($1.head, $1.index) }
        var next = 0
        for head in 0..<kvHeads {
            starts[head] = UInt16(next)
            while next < sorted.count, sorted[next].head == head {
                let outlier = sorted[next]
                outliers[next] =
                    UInt32(Float16(outlier.value).bitPattern) << 16 | UInt32(outlier.index)
                next += 1
            }
        }
        starts[kvHeads] = UInt16(next)
    }
}

/// Reads a page's side.
struct SideReader {
    let layout: SideLayout
    let bytes: UnsafeRawPointer

    /// Range and zero of a token.
    @inline(__always)
    func affine(_ token: Int) -> (range: Float, zero: Float) {
        let halves = bytes.assumingMemoryBound(to: UInt16.self)
        return (
            Float(Float16(bitPattern: halves[2 * token])),
            Float(Float16(bitPattern: halves[2 * token + 1]))
        )
    }

    /// Calls `body` with the index in the tile and the value of each outlier of a head.
    @inline(__always)
    func forEachOutlier(_ head: Int, _ body: (_ index: Int, _ value: Float) -> Void) {
        guard layout.capacity > 0 else { return }
        let starts = (bytes + layout.startsOffset).assumingMemoryBound(to: UInt16.self)
        let outliers = (bytes + layout.outliersOffset).assumingMemoryBound(to: UInt32.self)
        for i in Int(starts[head])..<Int(starts[head + 1]) {
            let outlier = outliers[i]
            body(
                Int(outlier & 0x1FFF),
                Float(Float16(bitPattern: UInt16(truncatingIfNeeded: outlier >> 16))))
        }
    }

    /// Whether every outlier lies in its tile, which readers rely on; for pages from files.
    func isSound(kvHeads: Int, elements: Int) -> Bool {
        guard layout.capacity > 0 else { return true }
        let starts = bytes + layout.startsOffset
        var previous = 0
        for head in 0...kvHeads {
            let start = Int(
                UInt16(
                    littleEndian: starts.loadUnaligned(fromByteOffset: 2 * head, as: UInt16.self)))
            guard start >= previous, start <= layout.capacity, head > 0 || start == 0 else {
                return false
            }
            previous = start
        }
        return (0..<previous).allSatisfy {
            let outlier = UInt32(
                littleEndian: (bytes + layout.outliersOffset).loadUnaligned(
                    fromByteOffset: 4 * $0, as: UInt32.self))
            return Int(outlier & 0x1FFF) < elements && outlier & 0x7C00_0000 != 0x7C00_0000
        }
    }
}
