import CPUKernels
import Threading

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

    /// Adds the queries of `count` tokens, `[token][KV head][query head of the group][channel]`, one after the other.
    mutating func watch(
        queries: UnsafePointer<Float>, count: Int, ratio: Int, workers: WorkerPool?
    ) {
        let perHead = perHead
        let heads = factors.count / perHead
        let watched = WatchedQueries(
            queries: queries, count: count, ratio: ratio, heads: heads, headSize: headSize)
        factors.withUnsafeMutableBufferPointer { factors in
            let sums = factors.baseAddress!
            let blocks = watched.rowBlocks
            func add(_ task: Int) {
                // The longest rows first.
                watched.add(
                    task / blocks, block: blocks - 1 - task % blocks,
                    to: sums + task / blocks * perHead)
            }
            if let workers {
                workers.run(count: heads * blocks) { task, _ in add(task) }
            } else {
                for task in 0..<heads * blocks { add(task) }
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
    ///
    /// Tokens do not meet each other, so that each step is one of all 32: their codes of a channel, then their errors
    /// times L into the channels below.
    package func encode(
        head: Int, _ values: UnsafePointer<Float>, layout: TileLayout,
        into tile: UnsafeMutableRawPointer
    ) {
        guard let grouped = layout.format.grouped, layout.isInner else { return }
        let n = headSize
        let lanes = layout.lanes
        tile.initializeMemory(as: UInt8.self, repeating: 0, count: layout.byteCount)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: (n + 1) * lanes) { room in
            let targets = room.baseAddress!
            let errors = targets + n * lanes
            targets.update(from: values, count: n * lanes)
            withUnsafeTemporaryAllocation(of: GroupScale.self, capacity: lanes) { scales in
                withUnsafeTemporaryAllocation(of: UInt8.self, capacity: lanes) { codes in
                    let codes = codes.baseAddress!
                    for block in (0..<layout.rowBlocks).reversed() {
                        // Scales come from the values as they are; feedback moves codes only.
                        Self.scales(values, grouped, layout, block, into: tile, scales, codes)
                        let count = layout.rowCount(inBlock: block)
                        for channel in (32 * block..<32 * block + count).reversed() {
                            let target = targets + channel * lanes
                            let value = values + channel * lanes
                            for lane in 0..<lanes {
                                let scale = scales[lane]
                                let code = scale.nearest(to: target[lane], format: grouped)
                                codes[lane] = code
                                errors[lane] =
                                    value[lane] - scale.value(of: code, bias: grouped.bias)
                            }
                            layout.setRow(codes, tile, row: channel)
                            add(errors, lanes, head: head, channel: channel, to: targets)
                        }
                    }
                }
            }
        }
    }

    /// Scales of all tokens in one block of channels, stored and as they will be used.
    ///
    /// - Parameter codes: room for a group's.
    private static func scales(
        _ values: UnsafePointer<Float>, _ format: GroupedFormat, _ layout: TileLayout, _ block: Int,
        into tile: UnsafeMutableRawPointer, _ scales: UnsafeMutableBufferPointer<GroupScale>,
        _ codes: UnsafeMutablePointer<UInt8>
    ) {
        let quantizer = GroupQuantizer(format)
        let (lanes, count) = (layout.lanes, layout.rowCount(inBlock: block))
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { group in
            for lane in 0..<lanes {
                for i in 0..<count { group[i] = values[(32 * block + i) * lanes + lane] }
                let scale = quantizer.encode(group.baseAddress!, count: count, codes: codes)
                layout.setScale(scale, tile, group: block * lanes + lane)
                (scales.baseAddress! + lane).initialize(to: scale)
            }
        }
    }

    /// `targets[j] += L[channel][j] · errors`, for the channels j below.
    @inline(__always)
    private func add(
        _ errors: UnsafePointer<Float>, _ lanes: Int, head: Int, channel: Int,
        to targets: UnsafeMutablePointer<Float>
    ) {
        factors.withUnsafeBufferPointer { factors in
            let row = factors.baseAddress! + head * perHead + channel * (channel + 1) / 2
            for j in 0..<channel {
                let target = targets + j * lanes
                let factor = row[j]
                for lane in 0..<lanes { target[lane] += factor * errors[lane] }
            }
        }
    }
}

/// Queries of which products are summed.
private struct WatchedQueries {
    let queries: UnsafePointer<Float>
    let count: Int
    let ratio: Int
    let heads: Int
    let headSize: Int

    private static let rowsPerBlock = 16
    private static let queriesPerStep = 32

    /// Parts of a triangle.
    var rowBlocks: Int { (headSize + Self.rowsPerBlock - 1) / Self.rowsPerBlock }

    /// Adds q_i·q_j of the queries of a KV head to a block of rows of the triangle `sums`: each sum query after query.
    func add(_ head: Int, block: Int, to sums: UnsafeMutablePointer<Float>) {
        let first = block * Self.rowsPerBlock
        let rows = min(headSize, first + Self.rowsPerBlock) - first
        // As many columns as the longest row has, in whole vectors of the kernel.
        let columns = (first + rows + 15) / 16 * 16
        let all = count * ratio
        let steps = max(1, min(Self.queriesPerStep, all))
        let size = columns * (steps + rows) + rows * steps
        withUnsafeTemporaryAllocation(of: Float.self, capacity: size) { room in
            let values = room.baseAddress!
            let dense = values + steps * columns
            let turned = dense + rows * columns
            values.initialize(repeating: 0, count: size)
            for row in 0..<rows {
                let i = first + row
                (dense + row * columns).update(from: sums + i * (i + 1) / 2, count: i + 1)
            }
            let dot = AttentionKernels.best.table.pointee.dot_float!
            for start in stride(from: 0, to: all, by: steps) {
                let count = min(steps, all - start)
                for place in 0..<count {
                    let query = query(start + place, head)
                    (values + place * columns).update(from: query, count: min(columns, headSize))
                    for row in 0..<rows { turned[row * steps + place] = query[first + row] }
                }
                dot(values, columns, count, columns, turned, steps, rows, dense, columns)
            }
            for row in 0..<rows {
                let i = first + row
                (sums + i * (i + 1) / 2).update(from: dense + row * columns, count: i + 1)
            }
        }
    }

    private func query(_ index: Int, _ head: Int) -> UnsafePointer<Float> {
        queries + ((index / ratio * heads + head) * ratio + index % ratio) * headSize
    }
}

extension GroupScale {
    /// The code whose value is nearest, with this scale.
    func nearest(to value: Float, format: GroupedFormat) -> UInt8 {
        guard magnitude > 0 else { return isAsymmetric ? 0 : UInt8(format.bias) }
        if isAsymmetric {
            let bits =
                format.mode == .hybrid && format.levels == .official ? format.bits - 1 : format.bits
            let level = min(max(0, (value - zero) / magnitude), Float((1 << bits) - 1))
            return UInt8(level.nearestInteger)
        }
        let half = 1 << (format.bits - 1)
        let lowest = -format.bias
        let level = value / (isNegative ? -magnitude : magnitude)
        return UInt8(Int(min(max(Float(lowest), level), Float(half - 1)).nearestInteger) - lowest)
    }
}
