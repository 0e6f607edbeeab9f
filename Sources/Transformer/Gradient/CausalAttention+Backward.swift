internal import CPUKernels
internal import KVCache
internal import Threading

extension CausalAttention {
    /// - Parameters:
    ///   - queries, output, logSums, packed: as ``forward(queries:keys:values:packed:output:logSums:workers:scratch:)`` had
    ///     and left them.
    ///   - outputGradient: dO in the order of the output; replaced by the gradient of the queries.
    ///   - partial: ``partialFloats``.
    ///   - keyGradients, valueGradients: `[token][KV head][channel]`, written.
    func backward(
        queries: UnsafePointer<Float>, output: UnsafePointer<Float>,
        outputGradient: UnsafeMutablePointer<Float>, logSums: UnsafePointer<Float>,
        packed: UnsafeMutablePointer<Float>, partial: UnsafeMutablePointer<Float>,
        keyGradients: UnsafeMutablePointer<Float>, valueGradients: UnsafeMutablePointer<Float>,
        workers: WorkerPool, scratch: UnsafeMutablePointer<Float>
    ) {
        let kernels = AttentionKernels.best.table
        workers.run(count: queryHeads) { head, worker in
            HeadGradient(
                attention: self, kernels: kernels, head: head, packed: packed,
                logSums: logSums + head * paddedTokens,
                keyGradient: partial + 2 * head * headFloats,
                valueGradient: partial + (2 * head + 1) * headFloats,
                scratch: scratch + worker * scratchFloats
            ).run(queries: queries, output: output, outputGradient: outputGradient)
        }
        // The heads of a group, added in their order, so that threads do not change the sums.
        let group = queryHeads / kvHeads
        Elementwise.eachRow(tokens, workers) { token in
            for head in 0..<queryHeads {
                let target = token * kvSize + head / group * headSize
                let source = partial + 2 * head * headFloats + token * headSize
                if head % group == 0 {
                    (keyGradients + target).update(from: source, count: headSize)
                    (valueGradients + target).update(from: source + headFloats, count: headSize)
                } else {
                    iq_add(keyGradients + target, source, headSize)
                    iq_add(valueGradients + target, source + headFloats, headSize)
                }
            }
        }
    }
}

/// The gradient of one query head.
private struct HeadGradient {
    let attention: CausalAttention
    let kernels: UnsafePointer<iq_attention_kernels>
    let head: Int
    let packed: UnsafeMutablePointer<Float>
    let logSums: UnsafePointer<Float>
    let keyGradient: UnsafeMutablePointer<Float>
    let valueGradient: UnsafeMutablePointer<Float>
    let scratch: UnsafeMutablePointer<Float>

    func run(
        queries: UnsafePointer<Float>, output: UnsafePointer<Float>,
        outputGradient: UnsafeMutablePointer<Float>
    ) {
        let (side, size) = (CausalAttention.tile, attention.headSize)
        let (floats, querySize) = (attention.headFloats, attention.querySize)
        let queryRows = scratch
        let queryTiles = queryRows + floats
        let gradientRows = queryTiles + floats
        let gradientTiles = gradientRows + floats
        let queryGradient = gradientTiles + floats
        let weights = queryGradient + floats
        let scores = weights + side * side
        let turned = scores + side * side
        let deltas = turned + side * side
        attention.pack(
            queries, rowSize: querySize, head: head, factor: attention.scale, into: queryRows)
        attention.transpose(queryRows, into: queryTiles)
        attention.pack(outputGradient, rowSize: querySize, head: head, into: gradientRows)
        attention.transpose(gradientRows, into: gradientTiles)
        for token in 0..<attention.paddedTokens {
            var sum: Float = 0
            if token < attention.tokens {
                let row = output + token * querySize + head * size
                for channel in 0..<size {
                    sum += row[channel] * gradientRows[token * size + channel]
                }
            }
            deltas[token] = sum
        }
        for rows in [queryGradient, keyGradient, valueGradient] {
            rows.update(repeating: 0, count: floats)
        }
        let kvHead = head / (attention.queryHeads / attention.kvHeads)
        let keyRows = attention.keyRows(packed, kvHead)
        let valueRows = attention.valueRows(packed, kvHead)
        let dot = kernels.pointee.dot_float!
        for keyTile in 0..<attention.tiles {
            let key = keyTile * side
            for queryTile in attention.queryTiles(seeing: keyTile) {
                let query = queryTile * side
                // P and dS, transposed: [key][query].
                for row in 0..<side {
                    for column in 0..<side {
                        weights[row * side + column] = -logSums[query + column]
                        scores[row * side + column] = -deltas[query + column]
                    }
                }
                dot(
                    queryTiles + query * size, side, size, side, keyRows + key * size, size, side,
                    weights, side)
                if attention.isMasked(queryTile: queryTile, keyTile: keyTile) {
                    for row in 0..<side {
                        for column in 0..<side
                        where !attention.sees(query: query + column, key: key + row) {
                            weights[row * side + column] = -.infinity
                        }
                    }
                }
                _ = kernels.pointee.exponentials(weights, side * side, 0)
                dot(
                    gradientTiles + query * size, side, size, side, valueRows + key * size, size,
                    side, scores, side)
                for index in 0..<side * side { scores[index] *= weights[index] }
                dot(
                    gradientRows + query * size, size, side, size, weights, side, side,
                    valueGradient + key * size, size)
                dot(
                    queryRows + query * size, size, side, size, scores, side, side,
                    keyGradient + key * size, size)
                transposeBlock(scores, rows: side, columns: side, into: turned)
                dot(
                    keyRows + key * size, size, side, size, turned, side, side,
                    queryGradient + query * size, size)
            }
        }
        for token in 0..<attention.tokens {
            let target = outputGradient + token * querySize + head * size
            let source = queryGradient + token * size
            for channel in 0..<size { target[channel] = source[channel] * attention.scale }
        }
    }
}
