import CPUKernels

extension LayerAttention.Pass {
    /// Memory of one unit of `rows` rows.
    struct Room {
        /// `[row][token of a step]`.
        let scores: UnsafeMutablePointer<Float>
        let decoded: UnsafeMutablePointer<Float>
        /// Weights of a step as integers, `[tile][row]`.
        let weights: UnsafeMutablePointer<iq_multipliers>
        let rest: UnsafeMutablePointer<Float>

        static let stride = LayerAttention.tilesPerStep * TileLayout.tokens

        init(_ memory: UnsafeMutablePointer<Float>, rows: Int, _ pass: LayerAttention.Pass) {
            scores = memory
            decoded = scores + rows * Self.stride
            let integers = decoded + pass.headSize * TileLayout.tokens
            weights = UnsafeMutableRawPointer(integers)
                .assumingMemoryBound(to: iq_multipliers.self)
            rest = integers + LayerAttention.tilesPerStep * pass.values.integerCount(heads: rows)
        }
    }

    /// Floats that ``prepare(_:_:into:scratch:)`` and ``accumulate(_:_:_:_:_:following:_:)`` need as scratch.
    func scratchCount(rows: Int) -> Int {
        rows * Room.stride + headSize * TileLayout.tokens
            + LayerAttention.tilesPerStep * values.integerCount(heads: rows)
            + max(keys.scratchCount(heads: rows), values.scratchCount(heads: rows)) + 2048
    }

    /// Numbers of the sealed tiles that a block of queries sees: those after the sink pages.
    private func sealedTiles(_ block: LayerAttention.QueryBlock) -> Range<Int> {
        pages.sink.count..<pages.sink.count + block.sealed
    }

    /// Adds the attention of one KV head's rows over some tiles to `partial`.
    ///
    /// - Parameters:
    ///   - queries: of the head, prepared.
    ///   - following: head and first tile of what this thread will probably be asked for next.
    func accumulate(
        _ head: Int, _ block: LayerAttention.QueryBlock, _ queries: LayerAttention.Queries,
        _ tiles: Range<Int>, _ partial: Partial, following: (head: Int, tile: Int)? = nil,
        _ scratch: UnsafeMutablePointer<Float>
    ) {
        let rows = block.count * ratio
        let room = Room(scratch, rows: rows, self)
        let isDirect = rows <= LayerAttention.directRows
        for row in 0..<rows { partial.raise(row: row, to: queries.references[row]) }
        let sealed = sealedTiles(block)
        var next = tiles.lowerBound
        while next < tiles.upperBound {
            // Only tiles of one kind.
            var end = min(next + LayerAttention.tilesPerStep, tiles.upperBound)
            if next < sealed.lowerBound { end = min(end, sealed.lowerBound) }
            if sealed.contains(next) { end = min(end, sealed.upperBound) }
            if isDirect && sealed.contains(next) {
                var after = (head: head, tile: end)
                if end == tiles.upperBound, let following { after = following }
                sealedStep(next..<end, head, block, queries, rows, partial, room, after: after)
            } else {
                step(next..<end, head, block, queries, rows, isDirect, partial, room)
            }
            next = end
        }
    }

    /// Tiles one by one, of any kind.
    private func step(
        _ step: Range<Int>, _ head: Int, _ block: LayerAttention.QueryBlock,
        _ queries: LayerAttention.Queries, _ rows: Int, _ isDirect: Bool, _ partial: Partial,
        _ room: Room
    ) {
        for (column, number) in step.enumerated() {
            let tile = tile(number, block)
            if isDirect, number + 2 < step.upperBound { fetch(self.tile(number + 2, block), head) }
            let target = room.scores + column * TileLayout.tokens
            start(target, rows, TileLayout.tokens, tile.isSealed ? queries.shifts : nil)
            keyScores(tile, head, queries, rows, isDirect, target, room)
            mask(tile, block, rows, target)
        }
        weigh(rows, step.count * TileLayout.tokens, room.scores, partial)
        for (column, number) in step.enumerated() {
            addValues(tile(number, block), head, rows, isDirect, column, partial, room)
        }
    }

    /// Sealed tiles, for few rows: runs of one kernel where formats allow it.
    ///
    ///     addresses   K₀ … Kₙ₋₁ | V₀ … Vₙ₋₁ | K of what follows        in the order in which they are read, so that a run can
    ///                                                                  ask for memory some tiles ahead
    private func sealedStep(
        _ step: Range<Int>, _ head: Int, _ block: LayerAttention.QueryBlock,
        _ queries: LayerAttention.Queries, _ rows: Int, _ partial: Partial, _ room: Room,
        after: (head: Int, tile: Int)
    ) {
        let count = step.count
        let sealed = sealedTiles(block)
        withUnsafeTemporaryAllocation(
            of: UnsafeRawPointer.self,
            capacity: 2 * LayerAttention.tilesPerStep + LayerAttention.tilesAhead
        ) { buffer in
            let addresses = buffer.baseAddress!
            for i in 0..<count {
                let page = tile(step.lowerBound + i, block).page + head * sealedHeadBytes
                (addresses + i).initialize(to: page)
                (addresses + count + i).initialize(to: page + sealedKeyBytes)
            }
            for i in 0..<LayerAttention.tilesAhead {
                let number = after.tile + i
                let address =
                    sealed.contains(number)
                    ? tile(number, block).page + after.head * sealedHeadBytes : addresses[0]
                (addresses + 2 * count + i).initialize(to: address)
            }
            let bytes = max(sealedKeyBytes, sealedHeadBytes - sealedKeyBytes)
            let width = count * TileLayout.tokens
            start(room.scores, rows, width, queries.shifts)
            if keys.takesIntegers {
                keys.scores(
                    TileProducts.TileRun(
                        tiles: addresses, count: count, ahead: LayerAttention.tilesAhead,
                        aheadBytes: bytes),
                    queries.integers, rows, room.scores,
                    Room.stride)
            } else {
                for i in 0..<count {
                    keyScores(
                        tile(step.lowerBound + i, block), head, queries, rows, true,
                        room.scores + i * TileLayout.tokens, room)
                }
            }
            let (first, last) = (step.lowerBound, step.upperBound - 1)
            if !isVisible(tile(first, block), block) || !isVisible(tile(last, block), block) {
                for i in 0..<count {
                    mask(
                        tile(first + i, block), block, rows,
                        room.scores + i * TileLayout.tokens)
                }
            }
            weigh(rows, width, room.scores, partial)
            guard values.takesIntegers else {
                for i in 0..<count {
                    addValues(
                        tile(step.lowerBound + i, block), head, rows, true, i, partial, room)
                }
                return
            }
            for i in 0..<count {
                kernels.pointee.quantize(
                    room.scores + i * TileLayout.tokens, Room.stride, rows,
                    LayerAttention.coarseWeight, room.weights + i * rows)
            }
            values.values(
                TileProducts.TileRun(
                    tiles: addresses + count, count: count, ahead: LayerAttention.tilesAhead,
                    aheadBytes: bytes),
                room.weights, rows, partial.output, width: self.width)
        }
    }

    /// Sets scores to what products are added to.
    @inline(__always)
    func start(
        _ scores: UnsafeMutablePointer<Float>, _ rows: Int, _ width: Int,
        _ shifts: UnsafeMutablePointer<Float>?
    ) {
        for row in 0..<rows {
            (scores + row * Room.stride).update(repeating: shifts?[row] ?? 0, count: width)
        }
    }

    @inline(__always)
    func keyScores(
        _ tile: Tile, _ head: Int, _ queries: LayerAttention.Queries, _ rows: Int, _ isDirect: Bool,
        _ target: UnsafeMutablePointer<Float>, _ room: Room
    ) {
        if tile.isSealed {
            keys.scores(
                tile.page, head: head, tile: tile.number, queries.body, bodyQuerySize, rows,
                target, Room.stride, isDirect, room.decoded, room.rest)
        } else {
            rawKeys.multiply(
                tile.page + head * rawHeadBytes, queries.raw, headSize, rows, target,
                Room.stride, isDirect, room.decoded, room.rest)
        }
    }

    @inline(__always)
    private func addValues(
        _ tile: Tile, _ head: Int, _ rows: Int, _ isDirect: Bool, _ column: Int,
        _ partial: Partial, _ room: Room
    ) {
        let weights = UnsafePointer(room.scores + column * TileLayout.tokens)
        if tile.isSealed {
            values.values(
                tile.page, head: head, weights, Room.stride, rows, partial.output, width, isDirect,
                room.decoded, room.rest)
        } else {
            rawValues.multiply(
                tile.page + head * rawHeadBytes + rawKeys.layout.byteCount, weights, Room.stride,
                rows, partial.output, width, isDirect, room.decoded, room.rest)
        }
    }

    /// Asks for what a head has of a tile: keys for the next products, values for those after the softmax.
    @inline(__always)
    private func fetch(_ tile: Tile, _ head: Int) {
        let bytes = tile.isSealed ? sealedHeadBytes : rawHeadBytes
        iq_prefetch(tile.page + head * bytes, bytes)
    }

    /// Whether all queries of a block see all tokens of a tile.
    @inline(__always)
    private func isVisible(_ tile: Tile, _ block: LayerAttention.QueryBlock) -> Bool {
        let firstQuery = firstPosition + block.first
        return tile.count == TileLayout.tokens
            && tile.firstToken + TileLayout.tokens <= firstQuery + 1
            && schedule.firstVisible(at: firstQuery + block.count - 1) <= tile.firstToken
    }

    /// Sets the scores of tokens that a row may not see to −∞.
    func mask(
        _ tile: Tile, _ block: LayerAttention.QueryBlock, _ rows: Int,
        _ scores: UnsafeMutablePointer<Float>
    ) {
        if isVisible(tile, block) { return }
        let firstQuery = firstPosition + block.first
        for row in 0..<rows {
            let position = firstQuery + row / ratio
            let low = min(
                max(0, schedule.firstVisible(at: position) - tile.firstToken),
                TileLayout.tokens)
            let high = max(low, min(tile.count, position + 1 - tile.firstToken))
            let line = scores + row * Room.stride
            for i in 0..<low { line[i] = -.infinity }
            for i in high..<TileLayout.tokens { line[i] = -.infinity }
        }
    }

    /// Turns scores into weights relative to each row's running maximum.
    private func weigh(
        _ rows: Int, _ width: Int, _ scores: UnsafeMutablePointer<Float>, _ partial: Partial
    ) {
        for row in 0..<rows {
            let line = scores + row * Room.stride
            partial.raise(row: row, to: kernels.pointee.maximum(line, width))
            if partial.maximum[row] == -.infinity {
                for i in 0..<width { line[i] = 0 }
            } else {
                partial.sum[row] += kernels.pointee.exponentials(
                    line, width, partial.maximum[row])
            }
        }
    }
}
