import CPUKernels

extension LayerAttention {
    /// What the units of one call share. Read-only, but for `output`, of which each unit writes its own rows.
    struct Pass: @unchecked Sendable {
        let cache: LayerCache
        let queries: UnsafePointer<Float>
        let output: UnsafeMutablePointer<Float>
        /// Position of query 0.
        let firstPosition: Int
        let headSize: Int
        /// Query heads of a KV head.
        let ratio: Int
        private let queryHeads: Int
        /// Numbers of a row of a partial: the head size, and as much again for each turned space.
        let width: Int
        private let keys: BodyProducts
        private let values: BodyProducts
        private let rawKeys: TileProducts
        private let rawValues: TileProducts
        private let kernels: UnsafePointer<iq_attention_kernels>
        private let schedule: WindowSchedule
        private let pages: CachePages
        private let rawHeadBytes: Int
        private let sealedHeadBytes: Int

        /// - Parameter pages: of the cache, which must not change meanwhile.
        init(
            cache: LayerCache, kernels: UnsafePointer<iq_attention_kernels>,
            arithmetic: ProductArithmetic, pages: CachePages, queries: UnsafePointer<Float>,
            output: UnsafeMutablePointer<Float>, firstPosition: Int
        ) {
            self.cache = cache
            self.queries = queries
            self.output = output
            self.firstPosition = firstPosition
            self.kernels = kernels
            self.pages = pages
            schedule = cache.schedule
            rawHeadBytes = cache.rawKeyLayout.byteCount + cache.rawValueLayout.byteCount
            sealedHeadBytes = cache.pageLayout.headBytes
            headSize = cache.shape.headSize
            ratio = cache.shape.groupRatio
            queryHeads = cache.shape.queryHeads
            keys = BodyProducts(.keys, cache, kernels, arithmetic)
            values = BodyProducts(.values, cache, kernels, arithmetic)
            width = headSize * (1 + values.turnedSpaces)
            rawKeys = TileProducts(
                cache.rawKeyLayout, kernels: kernels, arithmetic: arithmetic)
            rawValues = TileProducts(
                cache.rawValueLayout, kernels: kernels, arithmetic: arithmetic)
        }

        /// Numbers of the tiles that a block of queries sees: sink pages first, then body and recent.
        func tiles(_ block: QueryBlock) -> Range<Int> {
            let sinkPages = pages.sink.count
            let end = firstPosition + block.first + block.count
            let beyond = max(0, end - schedule.sink)
            let last = sinkPages + (beyond + TileLayout.tokens - 1) / TileLayout.tokens
            // The block's first query sees furthest back.
            let visible = schedule.firstVisible(at: firstPosition + block.first)
            let first =
                visible < schedule.sink
                ? visible / TileLayout.tokens
                : sinkPages + (visible - schedule.sink) / TileLayout.tokens
            return min(first, last)..<last
        }

        /// Numbers of a query of the body: the head size, twice if a residual has a projection of its own.
        private var bodyQuerySize: Int { headSize * max(1, keys.turnedSpaces) }

        struct Tile {
            let page: UnsafeRawPointer
            let isSealed: Bool
            let firstToken: Int
            let count: Int
            /// Of the body, if it is sealed.
            var number = 0
        }

        @inline(__always)
        private func tile(_ number: Int, _ block: QueryBlock) -> Tile {
            let sinkPages = pages.sink.count
            if number < sinkPages {
                let first = number * TileLayout.tokens
                return Tile(
                    page: UnsafeRawPointer(pages.sink[number]!), isSealed: false, firstToken: first,
                    count: min(TileLayout.tokens, schedule.sink - first))
            }
            let index = number - sinkPages
            let first = schedule.firstToken(ofTile: index)
            if index < block.sealed {
                return Tile(
                    page: UnsafeRawPointer(pages.body[index - pages.bodyFirst]), isSealed: true,
                    firstToken: first, count: TileLayout.tokens, number: index)
            }
            return Tile(
                page: UnsafeRawPointer(pages.raw[index - pages.rawFirst]), isSealed: false,
                firstToken: first, count: TileLayout.tokens)
        }

        func scratchCount(rows: Int) -> Int {
            let decoded = headSize * TileLayout.tokens
            return rows * headSize + rows * bodyQuerySize + rows
                + rows * LayerAttention.tilesPerStep * TileLayout.tokens
                + decoded + keys.integerCount(heads: rows)
                + max(keys.scratchCount(heads: rows), values.scratchCount(heads: rows)) + 2048
        }

        /// Adds the attention of one KV head's rows over some tiles to `partial`.
        ///
        /// Rows are `[query of the block][query head of the group]`.
        func accumulate(
            _ head: Int, _ block: QueryBlock, _ tiles: Range<Int>, _ partial: Partial,
            _ scratch: UnsafeMutablePointer<Float>
        ) {
            let rows = block.count * ratio
            let rawQueries = scratch
            let bodyQueries = rawQueries + rows * headSize
            let shifts = bodyQueries + rows * bodyQuerySize
            let scores = shifts + rows
            let stride = LayerAttention.tilesPerStep * TileLayout.tokens
            let decoded = scores + rows * stride
            let integerQueries = decoded + headSize * TileLayout.tokens
            let integerCount = keys.integerCount(heads: rows)
            let rest = integerQueries + integerCount
            prepare(head, block, rawQueries, bodyQueries, shifts)
            let isDirect = rows <= LayerAttention.directRows
            var integers: UnsafePointer<iq_multipliers>?
            if isDirect && integerCount > 0 {
                let target = UnsafeMutableRawPointer(integerQueries)
                    .assumingMemoryBound(to: iq_multipliers.self)
                keys.quantize(bodyQueries, bodyQuerySize, rows, into: target, scratch: rest)
                integers = UnsafePointer(target)
            }
            var next = tiles.lowerBound
            while next < tiles.upperBound {
                let step = next..<min(next + LayerAttention.tilesPerStep, tiles.upperBound)
                let columns = step.count * TileLayout.tokens
                for (column, number) in step.enumerated() {
                    let tile = tile(number, block)
                    if isDirect { fetch(number + 2, head, block, tiles) }
                    let target = scores + column * TileLayout.tokens
                    for row in 0..<rows {
                        let start = tile.isSealed ? shifts[row] : 0
                        for i in 0..<TileLayout.tokens { target[row * stride + i] = start }
                    }
                    if tile.isSealed {
                        keys.scores(
                            tile.page, head: head, tile: tile.number, bodyQueries, bodyQuerySize,
                            integers, rows, target, stride, isDirect, decoded, rest)
                    } else {
                        rawKeys.multiply(
                            tile.page + head * rawHeadBytes, rawQueries, headSize, rows, target,
                            stride, isDirect, decoded, rest)
                    }
                    mask(tile, block, rows, target, stride)
                }
                weigh(rows, columns, stride, scores, partial)
                for (column, number) in step.enumerated() {
                    let tile = tile(number, block)
                    let weights = UnsafePointer(scores + column * TileLayout.tokens)
                    if tile.isSealed {
                        values.values(
                            tile.page, head: head, weights, stride, rows, partial.output, width,
                            isDirect, decoded, rest)
                    } else {
                        rawValues.multiply(
                            tile.page + head * rawHeadBytes + rawKeys.layout.byteCount,
                            weights, stride, rows, partial.output, width, isDirect, decoded, rest)
                    }
                }
                next = step.upperBound
            }
        }

        /// Asks for what a head has of tile `number`: keys for the next products, values for those after the softmax.
        @inline(__always)
        private func fetch(_ number: Int, _ head: Int, _ block: QueryBlock, _ tiles: Range<Int>) {
            guard number < tiles.upperBound else { return }
            let tile = tile(number, block)
            let bytes = tile.isSealed ? sealedHeadBytes : rawHeadBytes
            iq_prefetch(tile.page + head * bytes, bytes)
        }

        /// Queries times the attention scale; for the body also times the key scales, with q · mean beside them, or turned
        /// as rotated keys are.
        private func prepare(
            _ head: Int, _ block: QueryBlock, _ rawQueries: UnsafeMutablePointer<Float>,
            _ bodyQueries: UnsafeMutablePointer<Float>, _ shifts: UnsafeMutablePointer<Float>
        ) {
            let scale = cache.shape.attentionScale
            let (rotation, normalizer) = (cache.keyRotation, cache.normalizer)
            for query in 0..<block.count {
                for member in 0..<ratio {
                    let row = query * ratio + member
                    let source =
                        queries
                        + ((block.first + query) * queryHeads + head * ratio + member) * headSize
                    let target = rawQueries + row * headSize
                    for i in 0..<headSize { target[i] = source[i] * scale }
                    shifts[row] = 0
                    let body = bodyQueries + row * bodyQuerySize
                    if let quantizer = rotation {
                        quantizer.rotation.apply(target, into: body)
                        quantizer.projection?.project(target, into: body + headSize)
                        continue
                    }
                    guard let normalizer else {
                        for i in 0..<headSize { body[i] = target[i] }
                        continue
                    }
                    normalizer.scales.withUnsafeBufferPointer { scales in
                        for i in 0..<headSize { body[i] = target[i] * scales[head * headSize + i] }
                    }
                    normalizer.means.withUnsafeBufferPointer { means in
                        guard !means.isEmpty else { return }
                        var sum: Float = 0
                        for i in 0..<headSize { sum += target[i] * means[head * headSize + i] }
                        shifts[row] = sum
                    }
                }
            }
        }

        /// Sets the scores of tokens that a row may not see to −∞.
        private func mask(
            _ tile: Tile, _ block: QueryBlock, _ rows: Int, _ scores: UnsafeMutablePointer<Float>,
            _ stride: Int
        ) {
            let firstQuery = firstPosition + block.first
            let seesAll =
                tile.count == TileLayout.tokens
                && tile.firstToken + TileLayout.tokens <= firstQuery + 1
                && schedule.firstVisible(at: firstQuery + block.count - 1) <= tile.firstToken
            if seesAll { return }
            for row in 0..<rows {
                let position = firstQuery + row / ratio
                let low = min(
                    max(0, schedule.firstVisible(at: position) - tile.firstToken),
                    TileLayout.tokens)
                let high = max(low, min(tile.count, position + 1 - tile.firstToken))
                let line = scores + row * stride
                for i in 0..<low { line[i] = -.infinity }
                for i in high..<TileLayout.tokens { line[i] = -.infinity }
            }
        }

        /// Turns scores into weights relative to each row's running maximum.
        private func weigh(
            _ rows: Int, _ width: Int, _ stride: Int, _ scores: UnsafeMutablePointer<Float>,
            _ partial: Partial
        ) {
            for row in 0..<rows {
                let line = scores + row * stride
                partial.raise(row: row, to: kernels.pointee.maximum(line, width))
                if partial.maximum[row] == -.infinity {
                    for i in 0..<width { line[i] = 0 }
                } else {
                    partial.sum[row] += kernels.pointee.exponentials(
                        line, width, partial.maximum[row])
                }
            }
        }

        /// - Parameter scratch: a head size of floats, twice.
        func finish(
            _ head: Int, _ block: QueryBlock, _ partial: Partial,
            _ scratch: UnsafeMutablePointer<Float>
        ) {
            for query in 0..<block.count {
                for member in 0..<ratio {
                    let row = query * ratio + member
                    if let quantizer = cache.valueRotation {
                        turnBack(partial.output + row * width, quantizer, scratch)
                    }
                    partial.finish(
                        row: row, count: headSize,
                        into: output
                            + ((block.first + query) * queryHeads + head * ratio + member)
                            * headSize)
                }
            }
        }

        /// Adds to a row's sum of values what was summed in turned spaces.
        private func turnBack(
            _ sums: UnsafeMutablePointer<Float>, _ quantizer: RotatedQuantizer,
            _ scratch: UnsafeMutablePointer<Float>
        ) {
            quantizer.rotation.applyTranspose(sums + headSize, into: scratch)
            for i in 0..<headSize { sums[i] += scratch[i] }
            guard let projection = quantizer.projection else { return }
            projection.projectTranspose(sums + 2 * headSize, into: scratch)
            for i in 0..<headSize { sums[i] += scratch[i] }
        }
    }
}
