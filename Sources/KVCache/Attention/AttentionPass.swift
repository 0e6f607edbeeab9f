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
        let queryHeads: Int
        /// Numbers of a row of a partial: the head size, and as much again for each turned space.
        let width: Int
        let keys: BodyProducts
        let values: BodyProducts
        let rawKeys: TileProducts
        let rawValues: TileProducts
        let kernels: UnsafePointer<iq_attention_kernels>
        let schedule: WindowSchedule
        let pages: CachePages
        let rawHeadBytes: Int
        let sealedHeadBytes: Int
        /// Of them, those of the key tile, which comes first.
        let sealedKeyBytes: Int

        /// - Parameters:
        ///   - pages: of the cache, which must not change meanwhile.
        ///   - splits: whether products of many queries may go to a matrix unit.
        init(
            cache: LayerCache, kernels: UnsafePointer<iq_attention_kernels>,
            arithmetic: ProductArithmetic, splits: Bool, pages: CachePages,
            queries: UnsafePointer<Float>, output: UnsafeMutablePointer<Float>, firstPosition: Int
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
            sealedKeyBytes = cache.pageLayout.keys.byteCount
            headSize = cache.shape.headSize
            ratio = cache.shape.groupRatio
            queryHeads = cache.shape.queryHeads
            keys = BodyProducts(.keys, cache, kernels, arithmetic, splits: splits)
            values = BodyProducts(.values, cache, kernels, arithmetic, splits: splits)
            width = headSize * (1 + values.turnedSpaces)
            rawKeys = TileProducts(
                cache.rawKeyLayout, kernels: kernels, arithmetic: arithmetic, splits: splits)
            rawValues = TileProducts(
                cache.rawValueLayout, kernels: kernels, arithmetic: arithmetic, splits: splits)
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

        struct Tile {
            let page: UnsafeRawPointer
            let isSealed: Bool
            let firstToken: Int
            let count: Int
            /// Of the body, if it is sealed.
            var number = 0
        }

        @inline(__always)
        func tile(_ number: Int, _ block: QueryBlock) -> Tile {
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
