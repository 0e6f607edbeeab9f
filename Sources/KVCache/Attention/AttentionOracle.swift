/// The plain float64 implementations that attention over a cache is compared with.
package enum AttentionOracle {
    /// `softmax(scale · q·Kᵀ) · V` of one query over tokens `first ..< count`, grouped-query.
    ///
    /// - Parameters: `query` is `[query heads][d]`; `key` and `value` give channel `c` of token `t` of a KV head.
    /// - Returns: `[query heads][d]`.
    package static func attend(
        query: [Double], queryHeads: Int, kvHeads: Int, headSize: Int, scale: Double, first: Int,
        count: Int, key: (_ head: Int, _ token: Int, _ channel: Int) -> Double,
        value: (_ head: Int, _ token: Int, _ channel: Int) -> Double
    ) -> [Double] {
        var output = [Double](repeating: 0, count: queryHeads * headSize)
        guard first < count else { return output }
        for head in 0..<queryHeads {
            let kvHead = head / (queryHeads / kvHeads)
            var scores: [Double] = []
            for token in first..<count {
                var dot = 0.0
                for c in 0..<headSize { dot += query[head * headSize + c] * key(kvHead, token, c) }
                scores.append(dot * scale)
            }
            let largest = scores.max() ?? 0
            var sum = 0.0
            for (index, score) in scores.enumerated() {
                let weight = Math.exp(score - largest)
                sum += weight
                for c in 0..<headSize {
                    output[head * headSize + c] += weight * value(kvHead, first + index, c)
                }
            }
            for c in 0..<headSize { output[head * headSize + c] /= sum }
        }
        return output
    }
}

extension LayerCache {
    /// The keys and values that a query now sees, dequantized by the oracle: `[KV head][token][d]` in float64, mean
    /// and scale of normalization undone, so that they compare with what was appended. Tokens given back are NaN.
    package func dequantized() -> (keys: [Double], values: [Double]) {
        let d = shape.headSize
        let n = tokenCount
        var keys = [Double](repeating: .nan, count: shape.kvHeads * n * d)
        var values = keys
        var tile = [Float](repeating: 0, count: d * TileLayout.tokens)
        func put(_ page: UnsafeRawPointer?, _ first: Int, _ count: Int, sealed: Int?) {
            guard let page else { return }
            let keyLayout = sealed != nil ? self.keyLayout : rawKeyLayout
            let valueLayout = sealed != nil ? self.valueLayout : rawValueLayout
            for head in 0..<shape.kvHeads {
                let start = page + head * (keyLayout.byteCount + valueLayout.byteCount)
                if let sealed {
                    decodeSealed(.keys, page, head: head, tile: sealed, into: &tile)
                } else {
                    keyLayout.decode(start, into: &tile)
                }
                for token in 0..<count {
                    for c in 0..<d {
                        var key = Double(tile[c * TileLayout.tokens + token])
                        if sealed != nil, let normalizer {
                            key *= Double(normalizer.scales[head * d + c])
                            if !normalizer.means.isEmpty {
                                key += Double(normalizer.means[head * d + c])
                            }
                        }
                        keys[(head * n + first + token) * d + c] = key
                    }
                }
                if let sealed {
                    decodeSealed(.values, page, head: head, tile: sealed, into: &tile)
                } else {
                    valueLayout.decode(start + keyLayout.byteCount, into: &tile)
                }
                for token in 0..<count {
                    for c in 0..<d {
                        values[(head * n + first + token) * d + c] = Double(tile[token * d + c])
                    }
                }
            }
        }
        for (index, page) in sink.enumerated() {
            let first = index * TileLayout.tokens
            put(
                page.map { UnsafeRawPointer($0) }, first,
                min(TileLayout.tokens, schedule.sinkTokens(at: n) - first), sealed: nil)
        }
        for (index, page) in body.enumerated() {
            put(
                page, schedule.firstToken(ofTile: droppedTiles + index), TileLayout.tokens,
                sealed: droppedTiles + index)
        }
        for (index, page) in raw.enumerated() {
            let first = schedule.firstToken(ofTile: rawFirst + index)
            put(page, first, min(TileLayout.tokens, n - first), sealed: nil)
        }
        return (keys, values)
    }
}

extension LayerCache {
    /// The oracle's decoding of a head's sealed tile into `[row][lane]`, keys as attention sees them but for a normalizer.
    package func decodeSealed(
        _ tensor: CacheTensor, _ page: UnsafeRawPointer, head: Int, tile: Int,
        into values: inout [Float]
    ) {
        let isKeys = tensor == .keys
        let layout = isKeys ? keyLayout : valueLayout
        let start = page + head * pageLayout.headBytes + (isKeys ? 0 : keyLayout.byteCount)
        switch isKeys ? policy.keys : policy.values {
        case .float16, .grouped: layout.decode(start, into: &values)
        case .rotated:
            guard let quantizer = isKeys ? keyRotation : valueRotation else { return }
            layout.decodeRotated(start, quantizer, into: &values)
        case .codebook:
            guard let codebook = isKeys ? codebooks?.keys : codebooks?.values else { return }
            let reader = SideReader(
                layout: isKeys ? pageLayout.keySide : pageLayout.valueSide,
                bytes: page
                    + (isKeys ? pageLayout.keySideOffset : pageLayout.valueSideOffset))
            for token in 0..<TileLayout.tokens {
                for channel in 0..<shape.headSize {
                    let (row, lane) = isKeys ? (channel, token) : (token, channel)
                    let index = head * shape.headSize + channel
                    let vector =
                        codebook.format.vector == .token
                        ? reader.affine(token)
                        : (codebook.ranges[index], codebook.zeros[index])
                    let code = layout.code(start, row: row, lane: lane)
                    values[row * layout.lanes + lane] =
                        vector.0 * codebook.levels.decoded[Int(code)] + vector.1
                }
            }
            reader.forEachOutlier(head) { values[$0] = $1 }
            if isKeys, let turns { turnForward(&values, turns, tile: tile) }
        }
    }

    /// RoPE by its definition, in double precision.
    private func turnForward(_ keys: inout [Float], _ turns: RotaryTurns, tile: Int) {
        let tokens = TileLayout.tokens
        for (pair, frequency) in turns.rotary.frequencies.enumerated() {
            let (x, y) = turns.rows(pair)
            for token in 0..<tokens {
                let angle = Double(schedule.firstToken(ofTile: tile) + token) * frequency
                let (c, s) = (Math.cos(angle), Math.sin(angle))
                let (a, b) = (Double(keys[x * tokens + token]), Double(keys[y * tokens + token]))
                keys[x * tokens + token] = Float(a * c - b * s)
                keys[y * tokens + token] = Float(a * s + b * c)
            }
        }
    }
}
