import CPUKernels

/// The products of attention over one tile of a codebook format, read as it is stored.
struct CodebookProducts {
    let layout: TileLayout
    private let side: SideLayout
    private let codebook: TensorCodebook
    private let kernels: UnsafePointer<iq_attention_kernels>
    private let lookup: iq_lookup_fn
    private let dotLookup: iq_dot_lookup_fn
    private let isKeys: Bool
    private let headSize: Int

    init(
        _ codebook: TensorCodebook, _ tensor: CacheTensor, layout: TileLayout, side: SideLayout,
        headSize: Int, kernels: UnsafePointer<iq_attention_kernels>
    ) {
        isKeys = tensor == .keys
        self.codebook = codebook
        self.layout = layout
        self.side = side
        self.headSize = headSize
        self.kernels = kernels
        (lookup, dotLookup) = kernels.pointee.lookups(bits: codebook.format.bits)
    }

    /// Floats of scratch for `heads` heads.
    func scratchCount(heads: Int) -> Int {
        TileLayout.tokens * (heads + 4) + 16 * layout.lanes + 2 * layout.lanes
    }

    /// Whether weights can be multiplied without decoding the tile: values with a range for each token.
    var isDirect: Bool { !isKeys && codebook.format.vector == .token }

    /// Decodes a head's tile into `[row][lane]` floats, outliers in their places; keys are not turned.
    func decode(
        _ tile: UnsafeRawPointer, _ sideBytes: UnsafeRawPointer, head: Int,
        into out: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
    ) {
        let reader = SideReader(layout: side, bytes: sideBytes)
        let tokens = TileLayout.tokens
        let scalesAreOfRows = isKeys == (codebook.format.vector == .channel)
        // Scales of the rows of a block, and of all lanes.
        let (scales, zeros) = (scratch, scratch + tokens)
        let rest = scratch + 2 * tokens
        codebook.levels.table.withUnsafeBufferPointer { table in
            for block in 0..<layout.rowBlocks {
                let count = layout.rowCount(inBlock: block)
                for i in 0..<tokens {
                    // A block of 16 rows holds half of the lanes in its upper 16.
                    let row = 32 * block + (count == 32 ? i : i % 16)
                    let own = scalesAreOfRows ? affine(row, head, reader) : (1, 0)
                    scales[i] = own.0
                    zeros[i] = own.1
                }
                let words = (tile + layout.wordOffset(block: block)).assumingMemoryBound(
                    to: UInt32.self)
                let target = out + 32 * block * layout.lanes
                if count == 32 {
                    lookup(
                        words, layout.lanes, layout.lanes, table.baseAddress!, scales, zeros,
                        target, layout.lanes)
                } else {
                    let half = layout.lanes / 2
                    lookup(words, half, half, table.baseAddress!, scales, zeros, rest, half)
                    layout.joinHalves(rest, into: target)
                }
            }
        }
        if !scalesAreOfRows {
            for lane in 0..<layout.lanes {
                (rest[lane], rest[layout.lanes + lane]) = affine(lane, head, reader)
            }
            for row in 0..<layout.rows {
                let target = out + row * layout.lanes
                for lane in 0..<layout.lanes {
                    target[lane] = target[lane] * rest[lane] + rest[layout.lanes + lane]
                }
            }
        }
        reader.forEachOutlier(head) { index, value in out[index] = value }
    }

    /// Range and zero of a vector: of channel `index` of the head, or of token `index`.
    @inline(__always)
    private func affine(_ index: Int, _ head: Int, _ reader: SideReader) -> (Float, Float) {
        guard codebook.format.vector == .channel else {
            let own = reader.affine(index)
            return (own.range, own.zero)
        }
        let channel = head * headSize + index
        return (codebook.ranges[channel], codebook.zeros[channel])
    }

    /// `out[h][lane] += Σ x[h][token] · value[token][lane]`, for values with a range for each token.
    func dot(
        _ tile: UnsafeRawPointer, _ sideBytes: UnsafeRawPointer, head: Int,
        _ x: UnsafePointer<Float>, xStride: Int, heads: Int, out: UnsafeMutablePointer<Float>,
        outStride: Int, scratch: UnsafeMutablePointer<Float>
    ) {
        let reader = SideReader(layout: side, bytes: sideBytes)
        let tokens = TileLayout.tokens
        let (ranges, zeros, folded) = (scratch, scratch + tokens, scratch + 2 * tokens)
        for token in 0..<tokens { (ranges[token], zeros[token]) = reader.affine(token) }
        for h in 0..<heads {
            var constant: Float = 0
            for token in 0..<tokens {
                let weight = x[h * xStride + token]
                folded[h * tokens + token] = weight * ranges[token]
                constant += weight * zeros[token]
            }
            let target = out + h * outStride
            for lane in 0..<layout.lanes { target[lane] += constant }
        }
        let words = tile.assumingMemoryBound(to: UInt32.self)
        codebook.levels.table.withUnsafeBufferPointer { table in
            dotLookup(
                words, layout.lanes, layout.lanes, table.baseAddress!, folded, tokens, heads, out,
                outStride)
            // What the code of an outlier stands for was added; the rest of its value is missing.
            reader.forEachOutlier(head) { index, value in
                let (token, lane) = (index / layout.lanes, index % layout.lanes)
                let code = layout.code(tile, row: token, lane: lane)
                let missing = value - (ranges[token] * table[Int(code)] + zeros[token])
                for h in 0..<heads {
                    out[h * outStride + lane] += x[h * xStride + token] * missing
                }
            }
        }
    }
}

extension iq_attention_kernels {
    /// The kernels of codes that choose from a table; every table of kernels has them.
    func lookups(bits: Int) -> (iq_lookup_fn, iq_dot_lookup_fn) {
        switch bits {
        case 1: (lookup.0!, dot_lookup.0!)
        case 2: (lookup.1!, dot_lookup.1!)
        case 3: (lookup.2!, dot_lookup.2!)
        default: (lookup.3!, dot_lookup.3!)
        }
    }
}

extension TileLayout {
    /// Puts the two halves of a last block of 16 rows, unpacked as `[32][lanes / 2]`, side by side.
    func joinHalves(_ halves: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>) {
        let half = lanes / 2
        for row in 0..<16 {
            for lane in 0..<half {
                target[row * lanes + lane] = halves[row * half + lane]
                target[row * lanes + half + lane] = halves[(row + 16) * half + lane]
            }
        }
    }
}
