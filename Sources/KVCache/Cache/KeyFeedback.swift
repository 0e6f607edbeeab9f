/// Rounding of keys with error feedback.
///
/// A key's rounding error e changes the score of query q by q·e, so what matters is eᵀHe with H = E[q qᵀ], and not
/// eᵀe. With H = L D Lᵀ (L unit lower triangular)
///
///     eᵀHe = Σ_k D_k (e_k + Σ_{j>k} L_jk e_j)²,
///
/// so channels are rounded from the last to the first, each to the code nearest to x_k + Σ_{j>k} L_jk e_j instead of
/// x_k: the error of a score falls from Σ H_kk to Σ D_k, at the same bits and with the same tiles. (The rounding of
/// GPTQ and LDLQ, there for weights and with the inputs' covariance; here for keys, with the queries'.)
///
/// H is taken from the queries of the tokens that the key normalizer is taken from, post-RoPE, of all query heads
/// that share the KV head.
package struct KeyFeedback {
    private let headSize: Int
    /// Strictly lower triangle and diagonal, row after row, for each KV head: until fixed sums of q_i·q_j, then L.
    package private(set) var factors: [Float]
    private let perHead: Int

    init(kvHeads: Int, headSize: Int) {
        self.headSize = headSize
        perHead = headSize * (headSize + 1) / 2
        factors = Array(repeating: 0, count: kvHeads * perHead)
    }

    var byteCount: Int { factors.count * 4 }

    /// Adds one token's queries, `[KV head][query head of the group][channel]`.
    mutating func watch(queries: UnsafePointer<Float>, ratio: Int) {
        let (headSize, perHead) = (headSize, perHead)
        factors.withUnsafeMutableBufferPointer { factors in
            for head in 0..<factors.count / perHead {
                for member in 0..<ratio {
                    let query = queries + (head * ratio + member) * headSize
                    var row = factors.baseAddress! + head * perHead
                    for i in 0..<headSize {
                        let value = query[i]
                        for j in 0...i { row[j] += value * query[j] }
                        row += i + 1
                    }
                }
            }
        }
    }

    /// Turns the sums of a head into L, for keys divided by `scales`. A share of the mean diagonal is added, so that
    /// directions in which no query was seen still count.
    mutating func fix(head: Int, scales: UnsafePointer<Float>) {
        let n = headSize
        var h = [Double](repeating: 0, count: n * n)
        var trace = 0.0
        for i in 0..<n {
            for j in 0...i {
                h[i * n + j] =
                    Double(factors[head * perHead + i * (i + 1) / 2 + j]) * Double(scales[i])
                    * Double(scales[j])
            }
            trace += h[i * n + i]
        }
        let floor = 0.02 * trace / Double(n) + 1e-30
        for i in 0..<n { h[i * n + i] += floor }
        var d = [Double](repeating: 0, count: n)
        for j in 0..<n {
            var pivot = h[j * n + j]
            for k in 0..<j { pivot -= h[j * n + k] * h[j * n + k] * d[k] }
            d[j] = max(pivot, floor * 1e-3)
            for i in j + 1..<max(n, j + 1) {
                var sum = h[i * n + j]
                for k in 0..<j { sum -= h[i * n + k] * h[j * n + k] * d[k] }
                h[i * n + j] = sum / d[j]
            }
        }
        for i in 0..<n {
            for j in 0...i {
                factors[head * perHead + i * (i + 1) / 2 + j] = i == j ? 1 : Float(h[i * n + j])
            }
        }
    }

    mutating func withBytes(_ body: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        try factors.withUnsafeMutableBytes(body)
    }

    /// Quantizes a normalized key tile `[channel][32 tokens]`, groups along channels.
    package func encode(
        head: Int, _ values: UnsafePointer<Float>, layout: TileLayout,
        into tile: UnsafeMutableRawPointer
    ) {
        guard let grouped = layout.format.grouped, layout.isInner else { return }
        let quantizer = GroupQuantizer(grouped)
        let n = headSize
        let lanes = layout.lanes
        tile.initializeMemory(as: UInt8.self, repeating: 0, count: layout.byteCount)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: n + 32) { targets in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { codes in
                let targets = targets.baseAddress!
                let group = targets + n
                let codes = codes.baseAddress!
                factors.withUnsafeBufferPointer { factors in
                    for lane in 0..<lanes {
                        for channel in 0..<n { targets[channel] = values[channel * lanes + lane] }
                        for block in (0..<layout.rowBlocks).reversed() {
                            let count = layout.rowCount(inBlock: block)
                            // The scale comes from the values as they are; feedback moves codes only.
                            for i in 0..<count {
                                group[i] = values[(32 * block + i) * lanes + lane]
                            }
                            let scale = quantizer.encode(group, count: count, codes: codes)
                            layout.setScale(scale, tile, group: block * lanes + lane)
                            for i in (0..<count).reversed() {
                                let channel = 32 * block + i
                                let code = scale.nearest(to: targets[channel], format: grouped)
                                layout.setCode(code, tile, row: channel, lane: lane)
                                let error =
                                    values[channel * lanes + lane]
                                    - scale.value(of: code, bias: grouped.bias)
                                let row =
                                    factors.baseAddress! + head * perHead
                                    + channel * (channel + 1) / 2
                                for j in 0..<channel { targets[j] += row[j] * error }
                            }
                        }
                    }
                }
            }
        }
    }
}

extension GroupScale {
    /// The code whose value is nearest, with this scale.
    func nearest(to value: Float, format: GroupedFormat) -> UInt8 {
        guard magnitude > 0 else { return isAsymmetric ? 0 : UInt8(format.bias) }
        if isAsymmetric {
            let bits =
                format.mode == .hybrid && format.levels == .official ? format.bits - 1 : format.bits
            let level = ((value - zero) / magnitude).rounded(.toNearestOrEven)
            return UInt8(min(max(0, level), Float((1 << bits) - 1)))
        }
        let half = 1 << (format.bits - 1)
        let lowest = -format.bias
        let level = (value / (isNegative ? -magnitude : magnitude)).rounded(.toNearestOrEven)
        return UInt8(Int(min(max(Float(lowest), level), Float(half - 1))) - lowest)
    }
}
