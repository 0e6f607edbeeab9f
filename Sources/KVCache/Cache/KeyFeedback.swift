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

    /// Fewer are watched by the calling thread.
    private static let fewTokens = 8

    var byteCount: Int { factors.count * 4 }

    /// Adds the queries of `count` tokens, `[token][KV head][query head of the group][channel]`, one after the other.
    mutating func watch(
        queries: UnsafePointer<Float>, count: Int, ratio: Int, workers: WorkerPool?
    ) {
        let (perHead, headSize) = (perHead, headSize)
        let heads = factors.count / perHead
        let watched = WatchedQueries(
            queries: queries, count: count, ratio: ratio, heads: heads, headSize: headSize)
        factors.withUnsafeMutableBufferPointer { factors in
            let sums = factors.baseAddress!
            if count < Self.fewTokens {
                // Products of single tokens cost less than handing them out.
                let size = ratio * headSize
                for part in 0..<count * heads {
                    iq_add_products(
                        queries + part * size, ratio, headSize, sums + part % heads * perHead)
                }
                return
            }
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
        withUnsafeTemporaryAllocation(of: Float.self, capacity: n * lanes) { room in
            let targets = room.baseAddress!
            targets.update(from: values, count: n * lanes)
            LaneQuantizer.with(grouped, lanes: lanes) { quantizer in
                for block in (0..<layout.rowBlocks).reversed() {
                    // Scales come from the values as they are; feedback moves codes only.
                    let count = layout.rowCount(inBlock: block)
                    quantizer.fit(values + 32 * block * lanes, rows: count)
                    layout.setScales(quantizer, tile, block: block)
                    for channel in (32 * block..<32 * block + count).reversed() {
                        quantizer.round(targets + channel * lanes)
                        quantizer.subtractCodes(from: values + channel * lanes)
                        layout.setRow(quantizer.codes, tile, row: channel)
                        add(quantizer.errors, lanes, head: head, channel: channel, to: targets)
                    }
                }
            }
        }
    }

    /// `targets[j] += L[channel][j] · errors`, for the channels j below.
    private func add(
        _ errors: UnsafePointer<Float>, _ lanes: Int, head: Int, channel: Int,
        to targets: UnsafeMutablePointer<Float>
    ) {
        factors.withUnsafeBufferPointer { factors in
            let row = factors.baseAddress! + head * perHead + channel * (channel + 1) / 2
            iq_lane_feedback(row, errors, channel, lanes, targets)
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
