import CPUKernels

/// The products of attention over sealed tiles of any format.
struct BodyProducts {
    private enum Kind {
        case tiles(TileProducts)
        case codebook(CodebookProducts)
        case rotated(RotatedProducts)
    }

    private let kind: Kind
    private let page: PageLayout
    private let turns: RotaryTurns?
    private let kernels: UnsafePointer<iq_attention_kernels>
    private let dotDecoded: DecodedProduct
    /// Spaces besides the head's own in which queries or sums of values are: 1 for a rotation, 2 with a residual.
    let turnedSpaces: Int

    init(
        _ tensor: CacheTensor, _ cache: LayerCache,
        _ kernels: UnsafePointer<iq_attention_kernels>, _ arithmetic: ProductArithmetic,
        splits: Bool
    ) {
        page = cache.pageLayout
        turns = tensor == .keys ? cache.turns : nil
        self.kernels = kernels
        dotDecoded = DecodedProduct(kernels, splits: splits)
        let isKeys = tensor == .keys
        let layout = isKeys ? page.keys : page.values
        let headSize = cache.shape.headSize
        if let codebook = isKeys ? cache.codebooks?.keys : cache.codebooks?.values {
            kind = .codebook(
                CodebookProducts(
                    codebook, tensor, layout: layout, side: isKeys ? page.keySide : page.valueSide,
                    headSize: headSize, kernels: kernels))
            turnedSpaces = 0
        } else if let quantizer = isKeys ? cache.keyRotation : cache.valueRotation {
            kind = .rotated(
                RotatedProducts(
                    quantizer, layout: layout, kernels: kernels, dotDecoded: dotDecoded))
            turnedSpaces = quantizer.format.hasResidual ? 2 : 1
        } else {
            kind = .tiles(
                TileProducts(layout, kernels: kernels, arithmetic: arithmetic, splits: splits))
            turnedSpaces = 0
        }
    }

    func scratchCount(heads: Int) -> Int {
        switch kind {
        case .tiles(let products): products.scratchCount(heads: heads)
        case .codebook(let products): products.scratchCount(heads: heads)
        case .rotated(let products): products.scratchCount(heads: heads)
        }
    }

    /// Whether runs of tiles can be multiplied with multipliers that were brought into integers once.
    var takesIntegers: Bool {
        guard case .tiles(let products) = kind else { return false }
        return products.takesIntegers
    }

    /// Integers of one tile's multipliers.
    func multiplierCount(heads: Int) -> Int {
        guard case .tiles(let products) = kind, products.takesIntegers else { return 0 }
        return products.multiplierCount(heads: heads)
    }

    /// Floats that they take.
    func integerCount(heads: Int) -> Int {
        multiplierCount(heads: heads) * MemoryLayout<iq_multipliers>.stride / 4
    }

    /// Brings the queries of all tiles to come into integers.
    func quantize(
        _ queries: UnsafePointer<Float>, _ stride: Int, _ rows: Int,
        into integers: UnsafeMutablePointer<iq_multipliers>, scratch: UnsafeMutablePointer<Float>
    ) {
        guard case .tiles(let products) = kind else { return }
        products.quantize(
            queries, xStride: stride, heads: rows, into: integers, scratch: scratch)
    }

    /// Adds the scores of a head's keys: `out[h][token] += q[h] · k[token]`.
    ///
    /// - Parameters:
    ///   - tile: its number in the body, from which RoPE's angles follow.
    ///   - isDirect: multiply codes as they are, for few rows; otherwise decode them once for all.
    ///   - decoded: room for a tile.
    @inline(__always)
    func scores(
        _ start: UnsafeRawPointer, head: Int, tile: Int, _ queries: UnsafePointer<Float>,
        _ stride: Int, _ rows: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int,
        _ isDirect: Bool, _ decoded: UnsafeMutablePointer<Float>,
        _ scratch: UnsafeMutablePointer<Float>
    ) {
        let keys = start + head * page.headBytes
        switch kind {
        case .tiles(let products):
            products.multiply(
                keys, queries, stride, rows, out, outStride, isDirect, decoded, scratch)
        case .rotated(let products):
            products.scores(
                keys, queries, stride: stride, heads: rows, out: out, outStride: outStride,
                isDirect: isDirect, decoded: decoded, scratch: scratch)
        case .codebook(let products):
            // Static ranges belong to the rows that are summed over and keys must be turned, so the tile is decoded to
            // the first-level cache, once for all query heads.
            products.decode(
                keys, start + page.keySideOffset, head: head, into: decoded, scratch: scratch)
            if let turns { turn(decoded, turns, tile) }
            dotDecoded(
                decoded, TileLayout.tokens, page.keys.rows, TileLayout.tokens, queries, stride,
                rows, out, outStride)
        }
    }

    /// Adds the scores of a run of a head's key tiles to `out[h][32 · tile + token]`.
    ///
    /// - Parameter integers: of ``quantize(_:_:_:into:scratch:)``.
    @inline(__always)
    func scores(
        _ run: TileProducts.TileRun, _ integers: UnsafePointer<iq_multipliers>, _ rows: Int,
        _ out: UnsafeMutablePointer<Float>, _ outStride: Int
    ) {
        guard case .tiles(let products) = kind else { return }
        products.dot(
            run, integers: integers, step: 0, heads: rows, out: out, outStep: TileLayout.tokens,
            outStride: outStride)
    }

    /// Adds the values of a run of a head's value tiles, weighted by `weights[tile][h]`, to `out[h]`.
    @inline(__always)
    func values(
        _ run: TileProducts.TileRun, _ weights: UnsafePointer<iq_multipliers>, _ rows: Int,
        _ out: UnsafeMutablePointer<Float>, width: Int
    ) {
        guard case .tiles(let products) = kind else { return }
        products.dot(
            run, integers: weights, step: rows, heads: rows, out: out, outStep: 0, outStride: width)
    }

    /// RoPE at the tile's positions.
    private func turn(_ keys: UnsafeMutablePointer<Float>, _ turns: RotaryTurns, _ tile: Int) {
        let isHalfSplit = turns.rotary.pairing == .halfSplit
        turns.places.withUnsafeBufferPointer { places in
            kernels.pointee.turn_tile(
                keys, turns.pairs, isHalfSplit ? 1 : 2, isHalfSplit ? turns.pairs : 1,
                turns.first(ofTile: tile), places.baseAddress!)
        }
    }

    /// Adds weighted values: `out[h]{ plain, turned … } += Σ weight[h][token] · v[token]`.
    @inline(__always)
    func values(
        _ start: UnsafeRawPointer, head: Int, _ weights: UnsafePointer<Float>, _ stride: Int,
        _ rows: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ isDirect: Bool,
        _ decoded: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutablePointer<Float>
    ) {
        let values = start + head * page.headBytes + page.keys.byteCount
        switch kind {
        case .tiles(let products):
            products.multiply(
                values, weights, stride, rows, out, outStride, isDirect, decoded, scratch)
        case .rotated(let products):
            products.values(
                values, weights, stride: stride, heads: rows, out: out + page.values.lanes,
                outStride: outStride, isDirect: isDirect, decoded: decoded, scratch: scratch)
        case .codebook(let products):
            let side = start + page.valueSideOffset
            if isDirect, products.isDirect {
                products.dot(
                    values, side, head: head, weights, xStride: stride, heads: rows, out: out,
                    outStride: outStride, scratch: scratch)
            } else {
                products.decode(values, side, head: head, into: decoded, scratch: scratch)
                dotDecoded(
                    decoded, page.values.lanes, TileLayout.tokens, page.values.lanes, weights,
                    stride, rows, out, outStride)
            }
        }
    }
}

extension TileProducts {
    /// ``dot(_:_:xStride:heads:out:outStride:scratch:)``, or a product with the decoded tile.
    @inline(__always)
    func multiply(
        _ tile: UnsafeRawPointer, _ x: UnsafePointer<Float>, _ xStride: Int, _ rows: Int,
        _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ isDirect: Bool,
        _ decoded: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutablePointer<Float>
    ) {
        if isDirect {
            dot(
                tile, x, xStride: xStride, heads: rows, out: out, outStride: outStride,
                scratch: scratch)
        } else {
            decode(tile, into: decoded, scratch: scratch)
            dotDecoded(
                decoded, layout.lanes, layout.rows, layout.lanes, x, xStride, rows, out, outStride)
        }
    }
}
