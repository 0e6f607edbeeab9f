import CPUKernels

/// Products with multipliers that were rounded to integers: see ``ProductArithmetic/integer``.
extension TileProducts {
    /// Whether the multipliers of a tile can be brought into integers once and serve any tile: its groups lie along the
    /// rows, so that no scale has to be multiplied into them.
    var takesIntegers: Bool { dotIntegers != nil && layout.isInner }

    /// Floats that the integers of `heads` heads take.
    func integerCount(heads: Int) -> Int {
        dotIntegers == nil
            ? 0 : (layout.rowBlocks + 1) * heads * MemoryLayout<iq_multipliers>.stride / 4
    }

    /// Multipliers as integers, `[block of 32 rows][head]`. A last block of 16 rows has two: one for each half of the
    /// lanes, with zeros in the other's rows.
    func quantize(
        _ x: UnsafePointer<Float>, xStride: Int, heads: Int,
        into integers: UnsafeMutablePointer<iq_multipliers>, scratch: UnsafeMutablePointer<Float>
    ) {
        let whole = layout.rows / 32
        for block in 0..<whole {
            kernels.pointee.quantize(x + 32 * block, xStride, heads, integers + block * heads)
        }
        guard whole < layout.rowBlocks else { return }
        for part in 0..<2 {
            halves(x + 32 * whole, xStride, heads, part: part, into: scratch)
            kernels.pointee.quantize(scratch, 32, heads, integers + (whole + part) * heads)
        }
    }

    /// The 16 multipliers of each head in half `part` of 32, with zeros in the other.
    @inline(__always)
    func halves(
        _ x: UnsafePointer<Float>, _ xStride: Int, _ heads: Int, part: Int,
        into out: UnsafeMutablePointer<Float>
    ) {
        for h in 0..<heads {
            for i in 0..<16 {
                out[32 * h + 16 * part + i] = x[h * xStride + i]
                out[32 * h + 16 * (1 - part) + i] = 0
            }
        }
    }

    /// ``dot(_:_:xStride:heads:out:outStride:scratch:)`` with multipliers of ``quantize(_:xStride:heads:into:scratch:)``.
    @inline(__always)
    func dot(
        _ tile: UnsafeRawPointer, integers: UnsafePointer<iq_multipliers>, heads: Int,
        out: UnsafeMutablePointer<Float>, outStride: Int
    ) {
        let lanes = layout.lanes
        let scales = (tile + layout.scaleOffset).assumingMemoryBound(to: UInt16.self)
        let zeros = (tile + layout.zeroOffset).assumingMemoryBound(to: UInt16.self)
        for block in 0..<layout.rowBlocks {
            let words = (tile + layout.wordOffset(block: block)).assumingMemoryBound(
                to: UInt32.self)
            let isWhole = layout.rowCount(inBlock: block) == 32
            let width = isWhole ? lanes : lanes / 2
            for part in 0..<(isWhole ? 1 : 2) {
                var codes = iq_code_block(
                    words: words, word_stride: width, scales: scales + block * lanes + part * width,
                    zeros: zeros + block * lanes + part * width, lanes: width, bias: bias,
                    mode: mode)
                dotIntegers!(
                    &codes, integers + (block + part) * heads, heads, out + part * width, outStride)
            }
        }
    }

    /// One whole block, by floats or by integers.
    @inline(__always)
    func multiply(
        _ codes: inout iq_code_block, _ x: UnsafePointer<Float>, _ xStride: Int, _ heads: Int,
        _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ scratch: UnsafeMutablePointer<Float>
    ) {
        guard let dotIntegers else {
            dotCodes!(&codes, x, xStride, heads, out, outStride)
            return
        }
        let integers = UnsafeMutableRawPointer(scratch).assumingMemoryBound(to: iq_multipliers.self)
        kernels.pointee.quantize(x, xStride, heads, integers)
        dotIntegers(&codes, integers, heads, out, outStride)
    }
}
