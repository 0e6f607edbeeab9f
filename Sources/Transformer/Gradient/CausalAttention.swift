internal import CPUKernels
internal import Foundation
internal import KVCache
internal import Threading

/// Causal attention of one layer over a whole sample in float32, and its gradient; no cache.
///
/// Heads are cut into tiles of 64 queries by 64 keys. Every product is the kernels' `dot_float`,
/// `out[h][lane] += Σᵢ x[h][i] · value[i][lane]`, for which one side of each product lies transposed in tiles.
///
/// With S = c · q kᵀ (c the attention scale), P = softmax(S), O = P V and Λ the logarithms of the softmax's sums, the
/// gradients follow from dO alone, as in FlashAttention (arXiv 2205.14135, appendix B):
///
///     δ = rowsum(dO ∘ O)     P = exp(S − Λ)     dS = P ∘ (dO Vᵀ − δ)
///     dV = Pᵀ dO             dK = c · dSᵀ q     dQ = c · dS k
struct CausalAttention {
    static let tile = 64

    let tokens: Int
    let queryHeads: Int
    let kvHeads: Int
    let headSize: Int
    /// A query sees itself and the `window − 1` tokens before it.
    let window: Int?
    let scale: Float

    /// Tiles of a head.
    var tiles: Int { (tokens + Self.tile - 1) / Self.tile }
    /// Rows of a head with the last tile's padding.
    var paddedTokens: Int { tiles * Self.tile }
    /// Floats of one head's rows.
    var headFloats: Int { paddedTokens * headSize }
    var querySize: Int { queryHeads * headSize }
    var kvSize: Int { kvHeads * headSize }

    /// Keys and values, head by head:
    ///
    ///     keys [KV head][token][channel] | keys [KV head][tile][channel][64 tokens] | values [KV head][token][channel]
    var packedFloats: Int { 3 * kvHeads * headFloats }
    /// Of one worker: a tile of the way forward, or a head of the way back.
    var scratchFloats: Int {
        let (tile, size) = (Self.tile, headSize)
        return max(2 * tile * size + tile * tile + 2 * tile, 5 * headFloats + 3 * tile * tile)
            + paddedTokens
    }
    /// Gradients of keys and values that each query head contributes.
    var partialFloats: Int { 2 * queryHeads * headFloats }

    func keyRows(_ packed: UnsafeMutablePointer<Float>, _ head: Int)
        -> UnsafeMutablePointer<Float>
    { packed + head * headFloats }
    func keyTiles(_ packed: UnsafeMutablePointer<Float>, _ head: Int)
        -> UnsafeMutablePointer<Float>
    { packed + (kvHeads + head) * headFloats }
    func valueRows(_ packed: UnsafeMutablePointer<Float>, _ head: Int)
        -> UnsafeMutablePointer<Float>
    { packed + (2 * kvHeads + head) * headFloats }

    /// Copies one head's rows out of `source`, zeros for the padding.
    func pack(
        _ source: UnsafePointer<Float>, rowSize: Int, head: Int, factor: Float = 1,
        into rows: UnsafeMutablePointer<Float>
    ) {
        for token in 0..<tokens {
            let from = source + token * rowSize + head * headSize
            let to = rows + token * headSize
            for channel in 0..<headSize { to[channel] = from[channel] * factor }
        }
        (rows + tokens * headSize).update(
            repeating: 0, count: (paddedTokens - tokens) * headSize)
    }

    /// `[token][channel]` to `[tile][channel][64 tokens]`.
    func transpose(
        _ rows: UnsafePointer<Float>, into tiles: UnsafeMutablePointer<Float>
    ) {
        for index in 0..<self.tiles {
            let offset = index * Self.tile * headSize
            transposeBlock(
                rows + offset, rows: Self.tile, columns: headSize, into: tiles + offset)
        }
    }

    /// The tiles of queries that see a tile of keys.
    func queryTiles(seeing key: Int) -> ClosedRange<Int> {
        guard let window, window < tokens else { return key...tiles - 1 }
        let last = (key + 1) * Self.tile - 1 + window - 1
        return key...min(tiles - 1, last / Self.tile)
    }

    /// The tiles of keys that a tile of queries sees.
    func keyTiles(seenBy query: Int) -> ClosedRange<Int> {
        guard let window else { return 0...query }
        return max(0, query * Self.tile - window + 1) / Self.tile...query
    }

    /// Whether a query sees a key.
    func sees(query: Int, key: Int) -> Bool {
        key <= query && query - key < window ?? .max
    }

    /// Whether some query of a tile does not see some key of a tile.
    func isMasked(queryTile: Int, keyTile: Int) -> Bool {
        let furthest = (queryTile + 1) * Self.tile - 1 - keyTile * Self.tile
        return queryTile == keyTile || furthest >= window ?? .max
    }

    // MARK: - Forward

    /// - Parameters:
    ///   - queries: `[token][query head][channel]`, after RoPE; keys alike, values.
    ///   - packed: ``packedFloats``, written here and read by ``backward(queries:output:outputGradient:logSums:packed:partial:keyGradients:valueGradients:workers:scratch:)``.
    ///   - output: as queries.
    ///   - logSums: Λ, `[query head][padded token]`.
    ///   - scratch: ``scratchFloats`` for each worker.
    func forward(
        queries: UnsafePointer<Float>, keys: UnsafePointer<Float>, values: UnsafePointer<Float>,
        packed: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>,
        logSums: UnsafeMutablePointer<Float>, workers: WorkerPool,
        scratch: UnsafeMutablePointer<Float>
    ) {
        workers.run(count: kvHeads) { head, _ in
            pack(keys, rowSize: kvSize, head: head, into: keyRows(packed, head))
            transpose(keyRows(packed, head), into: keyTiles(packed, head))
            pack(values, rowSize: kvSize, head: head, into: valueRows(packed, head))
        }
        let kernels = AttentionKernels.best.table
        workers.run(count: queryHeads * tiles) { task, worker in
            // Long tiles first.
            let tile = tiles - 1 - task / queryHeads
            attend(
                head: task % queryHeads, tile: tile, queries: queries, packed: packed,
                output: output, logSums: logSums, kernels: kernels,
                scratch: scratch + worker * scratchFloats)
        }
    }

    /// One tile of queries: softmax from tile to tile of keys, with a running maximum.
    private func attend(
        head: Int, tile queryTile: Int, queries: UnsafePointer<Float>,
        packed: UnsafeMutablePointer<Float>, output: UnsafeMutablePointer<Float>,
        logSums: UnsafeMutablePointer<Float>, kernels: UnsafePointer<iq_attention_kernels>,
        scratch: UnsafeMutablePointer<Float>
    ) {
        let (side, size) = (Self.tile, headSize)
        let kvHead = head / (queryHeads / kvHeads)
        let first = queryTile * side
        let rows = min(side, tokens - first)
        let query = scratch
        let sums = query + side * size
        let scores = sums + side * size
        let maxima = scores + side * side
        let totals = maxima + side
        for row in 0..<rows {
            let source = queries + (first + row) * querySize + head * size
            for channel in 0..<size { query[row * size + channel] = source[channel] * scale }
        }
        sums.update(repeating: 0, count: rows * size)
        maxima.update(repeating: -.infinity, count: rows)
        totals.update(repeating: 0, count: rows)
        for keyTile in keyTiles(seenBy: queryTile) {
            scores.update(repeating: 0, count: rows * side)
            kernels.pointee.dot_float(
                keyTiles(packed, kvHead) + keyTile * side * size, side, size, side, query, size,
                rows, scores, side)
            let isMasked = isMasked(queryTile: queryTile, keyTile: keyTile)
            for row in 0..<rows {
                let line = scores + row * side
                if isMasked {
                    for key in 0..<side
                    where !sees(query: first + row, key: keyTile * side + key) {
                        line[key] = -.infinity
                    }
                }
                let top = max(maxima[row], kernels.pointee.maximum(line, side))
                // A window may leave nothing of the first tile.
                guard top > -.infinity else {
                    line.update(repeating: 0, count: side)
                    continue
                }
                if top > maxima[row], maxima[row] > -.infinity {
                    var change = maxima[row]
                    _ = kernels.pointee.exponentials(&change, 1, top)
                    iq_scale(sums + row * size, change, size)
                    totals[row] *= change
                }
                maxima[row] = top
                totals[row] += kernels.pointee.exponentials(line, side, top)
            }
            kernels.pointee.dot_float(
                valueRows(packed, kvHead) + keyTile * side * size, size, side, size, scores, side,
                rows, sums, size)
        }
        for row in 0..<rows {
            let target = output + (first + row) * querySize + head * size
            let factor = 1 / totals[row]
            for channel in 0..<size { target[channel] = sums[row * size + channel] * factor }
            logSums[head * paddedTokens + first + row] = maxima[row] + logf(totals[row])
        }
        for row in rows..<side {
            // Padded queries weigh nothing: exp(S − ∞) = 0.
            logSums[head * paddedTokens + first + row] = .infinity
        }
    }
}

/// `[rows][columns]` to `[columns][rows]`; both multiples of 4.
func transposeBlock(
    _ source: UnsafePointer<Float>, rows: Int, columns: Int,
    into target: UnsafeMutablePointer<Float>
) {
    func load(_ row: Int, _ column: Int) -> SIMD4<Float> {
        UnsafeRawPointer(source + row * columns + column).loadUnaligned(as: SIMD4<Float>.self)
    }
    func store(_ value: SIMD4<Float>, _ row: Int, _ column: Int) {
        UnsafeMutableRawPointer(target + row * rows + column).storeBytes(
            of: value, as: SIMD4<Float>.self)
    }
    for column in stride(from: 0, to: columns, by: 4) {
        for row in stride(from: 0, to: rows, by: 4) {
            let (a, b) = (load(row, column), load(row + 1, column))
            let (c, d) = (load(row + 2, column), load(row + 3, column))
            store(SIMD4(a.x, b.x, c.x, d.x), column, row)
            store(SIMD4(a.y, b.y, c.y, d.y), column + 1, row)
            store(SIMD4(a.z, b.z, c.z, d.z), column + 2, row)
            store(SIMD4(a.w, b.w, c.w, d.w), column + 3, row)
        }
    }
}
