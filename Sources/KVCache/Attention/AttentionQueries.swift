import CPUKernels

extension LayerAttention {
    /// One KV head's queries of a block, in the forms that tiles meet them in. Rows are `[query of the block][query head of the
    /// group]`.
    struct Queries {
        /// Times the attention scale: `[row][head size]`.
        let raw: UnsafeMutablePointer<Float>
        /// For the body: also times the key scales, or turned as rotated keys are; `[row][bodySize]`.
        let body: UnsafeMutablePointer<Float>
        /// Of each row, what all scores of the body begin with: q · mean of the keys.
        let shifts: UnsafeMutablePointer<Float>
        /// Of each row, a score that it is sure to see, or −∞: weights are relative to at least this one.
        let references: UnsafeMutablePointer<Float>
        /// `body` as integers, if tiles take them.
        let integers: UnsafeMutablePointer<iq_multipliers>

        init(_ memory: UnsafeMutablePointer<Float>, rows: Int, _ pass: Pass) {
            raw = memory
            body = raw + rows * pass.headSize
            shifts = body + rows * pass.bodyQuerySize
            references = shifts + rows
            integers = UnsafeMutableRawPointer(references + rows)
                .assumingMemoryBound(to: iq_multipliers.self)
        }

        /// Floats of memory.
        static func count(rows: Int, _ pass: Pass) -> Int {
            rows * (pass.headSize + pass.bodyQuerySize + 2) + pass.keys.integerCount(heads: rows)
        }
    }
}

extension LayerAttention.Pass {
    /// Numbers of a query of the body: the head size, twice if a residual has a projection of its own.
    var bodyQuerySize: Int { headSize * max(1, keys.turnedSpaces) }

    /// - Parameter scratch: of ``scratchCount(rows:)``.
    func prepare(
        _ head: Int, _ block: LayerAttention.QueryBlock, into target: LayerAttention.Queries,
        scratch: UnsafeMutablePointer<Float>
    ) {
        let scale = cache.shape.attentionScale
        for query in 0..<block.count {
            for member in 0..<ratio {
                let row = query * ratio + member
                let source =
                    queries
                    + ((block.first + query) * queryHeads + head * ratio + member) * headSize
                let raw = target.raw + row * headSize
                for i in 0..<headSize { raw[i] = source[i] * scale }
                target.shifts[row] = turn(
                    raw, head: head, into: target.body + row * bodyQuerySize)
                target.references[row] = -.infinity
            }
        }
        let rows = block.count * ratio
        guard rows <= LayerAttention.directRows else { return }
        if keys.takesIntegers {
            keys.quantize(target.body, bodyQuerySize, rows, into: target.integers, scratch: scratch)
        }
        if values.takesIntegers { refer(head, block, rows, target, scratch) }
    }

    /// A query as keys of the body are; returns what scores begin with.
    private func turn(
        _ query: UnsafePointer<Float>, head: Int, into body: UnsafeMutablePointer<Float>
    ) -> Float {
        if let quantizer = cache.keyRotation {
            quantizer.rotation.apply(query, into: body)
            quantizer.projection?.project(query, into: body + headSize)
            return 0
        }
        guard let normalizer = cache.normalizer else {
            body.update(from: query, count: headSize)
            return 0
        }
        normalizer.scales.withUnsafeBufferPointer { scales in
            let scales = scales.baseAddress! + head * headSize
            for i in 0..<headSize { body[i] = query[i] * scales[i] }
        }
        return normalizer.means.withUnsafeBufferPointer { means in
            guard !means.isEmpty else { return 0 }
            var sum: Float = 0
            for i in 0..<headSize { sum += query[i] * means[head * headSize + i] }
            return sum
        }
    }

    /// Largest scores of the first tokens. Attention of long texts rests on them ("attention sinks"), and weights that are
    /// small beside theirs need fewer bits.
    private func refer(
        _ head: Int, _ block: LayerAttention.QueryBlock, _ rows: Int,
        _ target: LayerAttention.Queries, _ scratch: UnsafeMutablePointer<Float>
    ) {
        let last = firstPosition + block.first + block.count - 1
        guard let first = pages.sink.first, first != nil, schedule.firstVisible(at: last) == 0
        else { return }
        let room = Room(scratch, rows: rows, self)
        let tile = tile(0, block)
        start(room.scores, rows, TileLayout.tokens, nil)
        keyScores(tile, head, target, rows, true, room.scores, room)
        mask(tile, block, rows, room.scores)
        for row in 0..<rows {
            target.references[row] = kernels.pointee.maximum(
                room.scores + row * Room.stride, TileLayout.tokens)
        }
    }
}
