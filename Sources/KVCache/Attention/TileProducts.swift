package import CPUKernels

/// The two products of attention over one tile, read as it is stored.
package struct TileProducts {
    package let layout: TileLayout
    let kernels: UnsafePointer<iq_attention_kernels>
    let dotCodes: iq_dot_codes_fn?
    let dotIntegers: iq_dot_integers_fn?
    let dotRun: iq_dot_run_fn?
    private let unpack: iq_unpack_fn?
    let dotDecoded: DecodedProduct
    let mode: Int32
    let bias: Float

    /// - Parameters:
    ///   - arithmetic: of products with codes.
    ///   - splits: whether products of many rows may go to a matrix unit.
    package init(
        _ layout: TileLayout, kernels: UnsafePointer<iq_attention_kernels>,
        arithmetic: ProductArithmetic, splits: Bool = false
    ) {
        self.layout = layout
        self.kernels = kernels
        dotDecoded = DecodedProduct(kernels, splits: splits)
        guard let grouped = layout.format.grouped else {
            dotCodes = nil
            dotIntegers = nil
            dotRun = nil
            unpack = nil
            mode = 0
            bias = 0
            return
        }
        let dots = kernels.pointee.dot_codes
        let integers = kernels.pointee.dot_integers
        let runs = kernels.pointee.dot_runs
        let unpacks = kernels.pointee.unpack
        let ofBits: (iq_dot_codes_fn?, iq_dot_integers_fn?, iq_dot_run_fn?, iq_unpack_fn?) =
            switch grouped.bits {
            case 2: (dots.0, integers.0, runs.0, unpacks.0)
            case 3: (dots.1, integers.1, runs.1, unpacks.1)
            case 4: (dots.2, integers.2, runs.2, unpacks.2)
            default: (dots.3, integers.3, runs.3, unpacks.3)
            }
        dotCodes = ofBits.0
        dotIntegers = arithmetic == .integer ? ofBits.1 : nil
        dotRun = arithmetic == .integer ? ofBits.2 : nil
        unpack = ofBits.3
        bias = Float(grouped.bias)
        mode =
            switch grouped.mode {
            case .symmetric: Int32(IQ_SCALE_SYMMETRIC.rawValue)
            case .asymmetric: Int32(IQ_SCALE_ASYMMETRIC.rawValue)
            case .hybrid: Int32(IQ_SCALE_HYBRID.rawValue)
            }
    }

    /// Floats that ``dot`` needs as scratch for `heads` heads.
    package func scratchCount(heads: Int) -> Int {
        heads * (layout.rows + 32) + 2 * layout.rows + 64 + integerCount(heads: heads)
    }

    /// `out[h][lane] += Σ x[h][row] · tile[row][lane]` for `heads` heads.
    package func dot(
        _ tile: UnsafeRawPointer, _ x: UnsafePointer<Float>, xStride: Int, heads: Int,
        out: UnsafeMutablePointer<Float>, outStride: Int, scratch: UnsafeMutablePointer<Float>
    ) {
        guard layout.format.grouped != nil else {
            kernels.pointee.dot_half(
                tile.assumingMemoryBound(to: UInt16.self), layout.lanes, layout.rows, layout.lanes,
                x, xStride, heads, out, outStride)
            return
        }
        if takesIntegers {
            let integers = UnsafeMutableRawPointer(scratch)
                .assumingMemoryBound(to: iq_multipliers.self)
            let rest = scratch + integerCount(heads: heads)
            quantize(x, xStride: xStride, heads: heads, into: integers, scratch: rest)
            withUnsafePointer(to: tile) { tiles in
                dot(
                    TileRun(tiles: tiles, count: 1), integers: integers, step: 0, heads: heads,
                    out: out, outStep: 0, outStride: outStride)
            }
        } else if layout.isInner {
            inner(tile, x, xStride, heads, out, outStride, scratch)
        } else {
            outer(tile, x, xStride, heads, out, outStride, scratch)
        }
    }

    /// Groups along the rows: the kernel multiplies each lane by its own scale, once per 32 rows.
    @inline(__always)
    private func inner(
        _ tile: UnsafeRawPointer, _ x: UnsafePointer<Float>, _ xStride: Int, _ heads: Int,
        _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ scratch: UnsafeMutablePointer<Float>
    ) {
        let scales = (tile + layout.scaleOffset).assumingMemoryBound(to: UInt16.self)
        let zeros = (tile + layout.zeroOffset).assumingMemoryBound(to: UInt16.self)
        for block in 0..<layout.rowBlocks {
            blockDot(
                tile, block, mode, scales + block * layout.lanes, zeros + block * layout.lanes,
                x + 32 * block, xStride, heads, out, outStride, scratch)
        }
    }

    /// One block of rows. A block of 16 rows holds two half-tiles of lanes, each multiplied with zeros in the
    /// other's rows.
    @inline(__always)
    private func blockDot(
        _ tile: UnsafeRawPointer, _ block: Int, _ mode: Int32, _ scales: UnsafePointer<UInt16>,
        _ zeros: UnsafePointer<UInt16>, _ x: UnsafePointer<Float>, _ xStride: Int, _ heads: Int,
        _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ scratch: UnsafeMutablePointer<Float>
    ) {
        let words = (tile + layout.wordOffset(block: block)).assumingMemoryBound(to: UInt32.self)
        if layout.rowCount(inBlock: block) == 32 {
            var codes = iq_code_block(
                words: words, word_stride: layout.lanes, scales: scales, zeros: zeros,
                lanes: layout.lanes, bias: bias, mode: mode)
            multiply(&codes, x, xStride, heads, out, outStride, scratch)
            return
        }
        let half = layout.lanes / 2
        for part in 0..<2 {
            halves(x, xStride, heads, part: part, into: scratch)
            var codes = iq_code_block(
                words: words, word_stride: half, scales: scales + part * half,
                zeros: zeros + part * half, lanes: half, bias: bias, mode: mode)
            multiply(
                &codes, scratch, 32, heads, out + part * half, outStride, scratch + 32 * heads)
        }
    }

    /// Groups along the lanes: scales belong to rows, so they are folded into x once per tile (32 lanes share the
    /// product), and zero points add one constant to all lanes of the group.
    private func outer(
        _ tile: UnsafeRawPointer, _ x: UnsafePointer<Float>, _ xStride: Int, _ heads: Int,
        _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ scratch: UnsafeMutablePointer<Float>
    ) {
        let rows = layout.rows
        let factors = scratch
        let offsets = scratch + rows
        let folded = scratch + 2 * rows
        let halfScratch = folded + heads * rows
        for laneBlock in 0..<layout.laneBlocks {
            affineScales(tile, laneBlock * rows, rows, factors, offsets)
            let lanes = min(32, layout.lanes - 32 * laneBlock)
            for h in 0..<heads {
                var constant: Float = 0
                for row in 0..<rows {
                    let value = x[h * xStride + row]
                    folded[h * rows + row] = value * factors[row]
                    constant += value * offsets[row]
                }
                let target = out + h * outStride + 32 * laneBlock
                for lane in 0..<lanes { target[lane] += constant }
            }
            for block in 0..<layout.rowBlocks {
                if layout.rowCount(inBlock: block) == 32 {
                    let words = (tile + layout.wordOffset(block: block))
                        .assumingMemoryBound(to: UInt32.self)
                    var codes = iq_code_block(
                        words: words + 32 * laneBlock, word_stride: layout.lanes, scales: nil,
                        zeros: nil, lanes: lanes, bias: 0, mode: 0)
                    multiply(
                        &codes, folded + 32 * block, rows, heads, out + 32 * laneBlock, outStride,
                        halfScratch)
                } else {
                    // Only K tiles have a short block, and they have one block of lanes.
                    let unused = tile.assumingMemoryBound(to: UInt16.self)
                    blockDot(
                        tile, block, 0, unused, unused, folded + 32 * block, rows, heads, out,
                        outStride, halfScratch)
                }
            }
        }
    }

    /// Scales of `count` groups from `first` on, in the form value = factor · code + offset. Exact: a float16 scale times
    /// a small integer fits float32.
    private func affineScales(
        _ tile: UnsafeRawPointer, _ first: Int, _ count: Int,
        _ factors: UnsafeMutablePointer<Float>, _ offsets: UnsafeMutablePointer<Float>
    ) {
        iq_half_to_float(
            (tile + layout.scaleOffset).assumingMemoryBound(to: UInt16.self) + first, factors, count
        )
        if mode == Int32(IQ_SCALE_SYMMETRIC.rawValue) {
            for i in 0..<count { offsets[i] = -bias * factors[i] }
            return
        }
        iq_half_to_float(
            (tile + layout.zeroOffset).assumingMemoryBound(to: UInt16.self) + first, offsets, count)
        guard mode == Int32(IQ_SCALE_HYBRID.rawValue) else { return }
        for i in 0..<count {
            if factors[i].sign == .minus {
                factors[i] = -factors[i]
            } else {
                if offsets[i].sign == .minus { factors[i] = -factors[i] }
                offsets[i] = -bias * factors[i]
            }
        }
    }

    /// Decodes a whole tile into `[row][lane]` floats, for many queries at once.
    package func decode(
        _ tile: UnsafeRawPointer, into out: UnsafeMutablePointer<Float>,
        scratch: UnsafeMutablePointer<Float>
    ) {
        guard layout.format.grouped != nil else {
            iq_half_to_float(
                tile.assumingMemoryBound(to: UInt16.self), out, layout.rows * layout.lanes)
            return
        }
        let lanes = layout.lanes
        for block in 0..<layout.rowBlocks {
            let words = (tile + layout.wordOffset(block: block)).assumingMemoryBound(
                to: UInt32.self)
            let target = out + 32 * block * lanes
            if layout.rowCount(inBlock: block) == 32 {
                unpack!(words, lanes, lanes, target, lanes)
            } else {
                let half = lanes / 2
                unpack!(words, half, half, scratch, half)
                layout.joinHalves(scratch, into: target)
            }
        }
        if layout.isInner {
            scaleLanes(tile, out, scratch)
        } else {
            for laneBlock in 0..<layout.laneBlocks {
                affineScales(
                    tile, laneBlock * layout.rows, layout.rows, scratch, scratch + layout.rows)
                let count = min(32, lanes - 32 * laneBlock)
                for row in 0..<layout.rows {
                    let target = out + row * lanes + 32 * laneBlock
                    let factor = scratch[row]
                    let offset = scratch[layout.rows + row]
                    for lane in 0..<count { target[lane] = target[lane] * factor + offset }
                }
            }
        }
    }

    private func scaleLanes(
        _ tile: UnsafeRawPointer, _ out: UnsafeMutablePointer<Float>,
        _ scratch: UnsafeMutablePointer<Float>
    ) {
        let lanes = layout.lanes
        let factors = scratch
        let offsets = scratch + lanes
        for block in 0..<layout.rowBlocks {
            affineScales(tile, block * lanes, lanes, factors, offsets)
            for row in 32 * block..<32 * block + layout.rowCount(inBlock: block) {
                let target = out + row * lanes
                for lane in 0..<lanes {
                    target[lane] = target[lane] * factors[lane] + offsets[lane]
                }
            }
        }
    }
}
