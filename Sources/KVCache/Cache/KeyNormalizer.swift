import CPUKernels
package import Threading

/// Means and scales of the key channels of one layer, one of each for a channel of a KV head.
package struct KeyNormalizer {
    private let rule: KeyNormalization
    private let headSize: Int
    /// Whether the first seal has happened.
    package var isFixed = false
    /// `[KV head][channel]`; a stored key is (k − mean) / scale. Until they are fixed, sums of squared queries.
    package private(set) var scales: [Float]
    package private(set) var feedback: KeyFeedback?
    /// Empty unless keys are centred.
    package private(set) var means: [Float]

    package init(_ rule: KeyNormalization, kvHeads: Int, headSize: Int) {
        self.rule = rule
        self.headSize = headSize
        scales = Array(repeating: 0, count: kvHeads * headSize)
        means = rule.centred ? Array(repeating: 0, count: kvHeads * headSize) : []
        feedback = rule.feedback ? KeyFeedback(kvHeads: kvHeads, headSize: headSize) : nil
    }

    package var byteCount: Int { (scales.count + means.count) * 4 + (feedback?.byteCount ?? 0) }

    /// Whether queries are wanted until the normalizer is fixed.
    package var watchesQueries: Bool { (rule.queryExponent > 0 || rule.feedback) && !isFixed }

    /// Adds the squares of the queries of `count` tokens, `[token][KV head][query head of the group][channel]`. Token after
    /// token, so that sums do not depend on how a prompt was cut, nor on who shares the heads.
    package mutating func watch(
        queries: UnsafePointer<Float>, count: Int, ratio: Int, workers: WorkerPool?
    ) {
        feedback?.watch(queries: queries, count: count, ratio: ratio, workers: workers)
        let (headSize, heads) = (headSize, scales.count / headSize)
        scales.withUnsafeMutableBufferPointer { scales in
            for query in 0..<count * heads * ratio {
                let own = scales.baseAddress! + query / ratio % heads * headSize
                let numbers = queries + query * headSize
                for i in 0..<headSize { own[i] += numbers[i] * numbers[i] }
            }
        }
    }

    /// Float16 keys of a head as windows hold them, `[channel][32 tokens]`.
    package struct Tile {
        /// The token in its first slot.
        let firstToken: Int
        let keys: UnsafePointer<UInt16>

        package init(firstToken: Int, keys: UnsafePointer<UInt16>) {
            self.firstToken = firstToken
            self.keys = keys
        }
    }

    /// Takes mean and scale of a head from tokens `skip ..< count`. A channel that never leaves its mean, or whose
    /// largest magnitude is below 1e-6, keeps scale 1.
    ///
    /// - Parameters:
    ///   - queryCount: queries that were watched.
    ///   - tiles: of tokens 0 ..< `count`, in order; slots from the next tile's first token on are left out.
    package mutating func fix(
        head: Int, skip: Int, count: Int, queryCount: Int, tiles: [Tile]
    ) {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: count + TileLayout.tokens) {
            // Tokens that a sliding window gave back already count as zeros.
            $0.initialize(repeating: 0)
            fix(head, skip, count, queryCount, tiles, channel: $0.baseAddress!)
        }
        scales.withUnsafeBufferPointer {
            feedback?.fix(head: head, scales: $0.baseAddress! + head * headSize)
        }
        isFixed = true
    }

    /// - Parameter keys: room for the numbers of a channel.
    private mutating func fix(
        _ head: Int, _ skip: Int, _ count: Int, _ queryCount: Int, _ tiles: [Tile],
        channel keys: UnsafeMutablePointer<Float>
    ) {
        let first = skip < count ? skip : 0
        for channel in 0..<headSize {
            for tile in tiles where tile.firstToken < count {
                iq_half_to_float(
                    tile.keys + channel * TileLayout.tokens, keys + tile.firstToken,
                    TileLayout.tokens)
            }
            var mean: Float = 0
            if rule.centred {
                var sum = 0.0
                for token in first..<count { sum += Double(keys[token]) }
                mean = Float(sum / Double(count - first))
                means[head * headSize + channel] = mean
            }
            var largest: Float = 0
            for token in first..<count { largest = max(largest, abs(keys[token] - mean)) }
            let size =
                (scales[head * headSize + channel] / Float(max(queryCount, 1))).squareRoot()
            var scale: Float = largest < 1e-6 ? 1 : Self.power(largest, rule.exponent)
            if rule.queryExponent > 0, size > 1e-6 { scale /= Self.power(size, rule.queryExponent) }
            scales[head * headSize + channel] = min(max(scale, 1e-4), 1e4)
        }
    }

    /// Normalizes a key tile `[channel][32 tokens]` in place.
    package func apply(head: Int, keyTile: UnsafeMutablePointer<Float>) {
        for channel in 0..<headSize {
            let scale = scales[head * headSize + channel]
            let mean = means.isEmpty ? 0 : means[head * headSize + channel]
            let row = keyTile + channel * TileLayout.tokens
            for token in 0..<TileLayout.tokens { row[token] = (row[token] - mean) / scale }
        }
    }

    /// The stored numbers: scales, then means.
    package mutating func withBytes(
        _ body: (UnsafeMutableRawBufferPointer) throws -> Void
    ) rethrows {
        try scales.withUnsafeMutableBytes(body)
        if !means.isEmpty { try means.withUnsafeMutableBytes(body) }
        try feedback?.withBytes(body)
    }

    private static func power(_ base: Float, _ exponent: Float) -> Float {
        switch exponent {
        case 0: 1
        case 0.5: base.squareRoot()
        case 1: base
        default: Math.pow(base, exponent)
        }
    }
}
