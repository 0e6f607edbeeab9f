package import CPUKernels

/// Products with multipliers that were rounded to integers: see ``ProductArithmetic/integer``.
extension TileProducts {
    /// Whether the multipliers of a tile can be brought into integers once and serve any tile: its groups lie along the
    /// rows, so that no scale has to be multiplied into them.
    package var takesIntegers: Bool { dotIntegers != nil && layout.isInner }

    /// Integers that the multipliers of `heads` heads are: 32 rows each, and two for a last block of 16 rows.
    package func multiplierCount(heads: Int) -> Int {
        (layout.rowBlocks + (layout.rows % 32 == 0 ? 0 : 1)) * heads
    }

    /// Floats that the integers of `heads` heads take.
    func integerCount(heads: Int) -> Int {
        dotIntegers == nil
            ? 0 : multiplierCount(heads: heads) * MemoryLayout<iq_multipliers>.stride / 4
    }

    /// Multipliers as integers, `[block of 32 rows][head]`. A last block of 16 rows has two: one for each half of the
    /// lanes, with zeros in the other's rows.
    ///
    /// - Parameter coarse: a head whose multipliers are no larger than this in a block keeps 8 bits of them there.
    package func quantize(
        _ x: UnsafePointer<Float>, xStride: Int, heads: Int, coarse: Float = -1,
        into integers: UnsafeMutablePointer<iq_multipliers>, scratch: UnsafeMutablePointer<Float>
    ) {
        let whole = layout.rows / 32
        for block in 0..<whole {
            kernels.pointee.quantize(
                x + 32 * block, xStride, heads, coarse, integers + block * heads)
        }
        guard whole < layout.rowBlocks else { return }
        for part in 0..<2 {
            halves(x + 32 * whole, xStride, heads, part: part, into: scratch)
            kernels.pointee.quantize(scratch, 32, heads, coarse, integers + (whole + part) * heads)
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

    /// Tiles to multiply one after the other.
    package struct TileRun {
        /// `count` of them, and `ahead` more addresses: as many tiles ahead, memory is asked for.
        let tiles: UnsafePointer<UnsafeRawPointer>
        let count: Int
        let ahead: Int
        let aheadBytes: Int

        package init(
            tiles: UnsafePointer<UnsafeRawPointer>, count: Int, ahead: Int = 0, aheadBytes: Int = 0
        ) {
            self.tiles = tiles
            self.count = count
            self.ahead = ahead
            self.aheadBytes = aheadBytes
        }
    }

    /// ``dot(_:_:xStride:heads:out:outStride:scratch:)`` over tiles, with multipliers of
    /// ``quantize(_:xStride:heads:coarse:into:scratch:)``.
    ///
    /// - Parameters:
    ///   - step: multipliers from one tile to the next.
    ///   - outStep: floats from the outputs of one tile to those of the next.
    package func dot(
        _ run: TileRun, integers: UnsafePointer<iq_multipliers>, step: Int, heads: Int,
        out: UnsafeMutablePointer<Float>, outStep: Int, outStride: Int
    ) {
        run.tiles.withMemoryRebound(to: UnsafeRawPointer?.self, capacity: run.count) { tiles in
            var run = iq_tile_run(
                tiles: tiles, count: run.count, ahead: run.ahead, ahead_bytes: run.aheadBytes,
                rows: layout.rows, lanes: layout.lanes, scale_offset: layout.scaleOffset,
                zero_offset: layout.zeroOffset, bias: bias, mode: mode)
            dotRun!(&run, integers, step, heads, out, outStep, outStride)
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
        kernels.pointee.quantize(x, xStride, heads, -1, integers)
        dotIntegers(&codes, integers, heads, out, outStride)
    }
}
