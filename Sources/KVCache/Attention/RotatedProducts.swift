import CPUKernels

/// The products of attention over one tile of a rotated format, in the turned space: queries come turned, and sums of
/// values go out turned.
///
///     scores   γ_t · Σ_j (Π q)_j level[code_tj]   +   √(π/2)/d · ε_t · Σ_j (S q)_j sign_tj
///     values   Πᵀ Σ_t p_t γ_t level[code_tj]      +   Sᵀ Σ_t √(π/2)/d · p_t ε_t sign_tj
///
/// with the norms γ and, of the residual, ε (TurboQuant, section 3).
struct RotatedProducts {
    let layout: TileLayout
    private let hasResidual: Bool
    private let kernels: UnsafePointer<iq_attention_kernels>
    private let lookup: iq_lookup_fn
    private let dotLookup: iq_dot_lookup_fn
    private let dotDecoded: DecodedProduct
    private let table: [Float]
    /// Of the 1-bit residual: √(π/2) / d.
    private let residualFactor: Float

    init(
        _ quantizer: RotatedQuantizer, layout: TileLayout,
        kernels: UnsafePointer<iq_attention_kernels>, dotDecoded: DecodedProduct
    ) {
        self.layout = layout
        self.kernels = kernels
        self.dotDecoded = dotDecoded
        hasResidual = quantizer.format.hasResidual
        (lookup, dotLookup) = kernels.pointee.lookups(bits: quantizer.format.levelBits)
        table = quantizer.decoded
        residualFactor = quantizer.projection?.factor ?? 0
    }

    func scratchCount(heads: Int) -> Int {
        heads * (TileLayout.tokens + layout.rows) + 4 * TileLayout.tokens
            + 32 * layout.lanes
    }

    private func norms(
        _ tile: UnsafeRawPointer, _ offset: Int, _ factor: Float,
        into out: UnsafeMutablePointer<Float>
    ) {
        iq_half_to_float(
            (tile + offset).assumingMemoryBound(to: UInt16.self), out, TileLayout.tokens)
        if factor != 1 { for i in 0..<TileLayout.tokens { out[i] *= factor } }
    }

    /// Scores of a tile of keys: `out[h][token] += …`.
    ///
    /// - Parameter queries: `[h]{ Π q, and with a residual S q }`.
    func scores(
        _ tile: UnsafeRawPointer, _ queries: UnsafePointer<Float>, stride: Int, heads: Int,
        out: UnsafeMutablePointer<Float>, outStride: Int, isDirect: Bool,
        decoded: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
    ) {
        let rest = scratch + TileLayout.tokens
        norms(tile, layout.normOffset, 1, into: scratch)
        scores(
            tile, wordOffset: 0, table, lookup, dotLookup, bits: layout.format.codeBits ?? 1,
            queries, stride, heads, scratch, out, outStride, isDirect, decoded, rest)
        guard hasResidual else { return }
        norms(tile, layout.errorOffset, residualFactor, into: scratch)
        let (signLookup, signDot) = kernels.pointee.lookups(bits: 1)
        scores(
            tile, wordOffset: layout.signOffset, RotatedQuantizer.signs, signLookup, signDot,
            bits: 1,
            queries + layout.rows, stride, heads, scratch, out, outStride, isDirect, decoded, rest)
    }

    private func scores(
        _ tile: UnsafeRawPointer, wordOffset: Int, _ table: [Float], _ lookup: iq_lookup_fn,
        _ dotLookup: iq_dot_lookup_fn, bits: Int, _ queries: UnsafePointer<Float>, _ stride: Int,
        _ heads: Int, _ norms: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>,
        _ outStride: Int, _ isDirect: Bool, _ decoded: UnsafeMutablePointer<Float>,
        _ scratch: UnsafeMutablePointer<Float>
    ) {
        let tokens = TileLayout.tokens
        if !isDirect || layout.rows % 32 != 0 {
            decode(tile + wordOffset, table, lookup, bits: bits, into: decoded, scratch)
            for row in 0..<layout.rows {
                for token in 0..<tokens { decoded[row * tokens + token] *= norms[token] }
            }
            dotDecoded(
                decoded, tokens, layout.rows, tokens, queries, stride, heads, out, outStride)
            return
        }
        for i in 0..<heads * tokens { scratch[i] = 0 }
        for block in 0..<layout.rowBlocks {
            let words = (tile + wordOffset + block * bits * tokens * 4)
                .assumingMemoryBound(to: UInt32.self)
            dotLookup(
                words, tokens, tokens, table, queries + 32 * block, stride, heads, scratch, tokens)
        }
        for h in 0..<heads {
            let target = out + h * outStride
            for token in 0..<tokens { target[token] += norms[token] * scratch[h * tokens + token] }
        }
    }

    /// Codes of a tile to `[row][lane]` levels.
    private func decode(
        _ words: UnsafeRawPointer, _ table: [Float], _ lookup: iq_lookup_fn, bits: Int,
        into out: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutablePointer<Float>
    ) {
        let (ones, zeros, rest) = (scratch, scratch + 32, scratch + 64)
        for i in 0..<32 {
            ones[i] = 1
            zeros[i] = 0
        }
        for block in 0..<layout.rowBlocks {
            let own = (words + block * bits * layout.lanes * 4).assumingMemoryBound(
                to: UInt32.self)
            let target = out + 32 * block * layout.lanes
            if layout.rowCount(inBlock: block) == 32 {
                lookup(
                    own, layout.lanes, layout.lanes, table, ones, zeros, target, layout.lanes)
            } else {
                let half = layout.lanes / 2
                lookup(own, half, half, table, ones, zeros, rest, half)
                layout.joinHalves(rest, into: target)
            }
        }
    }

    /// Weighted sums of a tile of values, still turned: `out[h]{ by Π, and with a residual by S } += …`.
    func values(
        _ tile: UnsafeRawPointer, _ weights: UnsafePointer<Float>, stride: Int, heads: Int,
        out: UnsafeMutablePointer<Float>, outStride: Int, isDirect: Bool,
        decoded: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>
    ) {
        let rest = scratch + TileLayout.tokens
        norms(tile, layout.normOffset, 1, into: scratch)
        values(
            tile, table, lookup, dotLookup, weights, stride, heads, scratch, out, outStride,
            isDirect, decoded, rest, bits: layout.format.codeBits ?? 1)
        guard hasResidual else { return }
        norms(tile, layout.errorOffset, residualFactor, into: scratch)
        let (signLookup, signDot) = kernels.pointee.lookups(bits: 1)
        values(
            tile + layout.signOffset, RotatedQuantizer.signs, signLookup, signDot, weights, stride,
            heads,
            scratch, out + layout.lanes, outStride, isDirect, decoded, rest, bits: 1)
    }

    private func values(
        _ words: UnsafeRawPointer, _ table: [Float], _ lookup: iq_lookup_fn,
        _ dotLookup: iq_dot_lookup_fn, _ weights: UnsafePointer<Float>, _ stride: Int,
        _ heads: Int, _ norms: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>,
        _ outStride: Int, _ isDirect: Bool, _ decoded: UnsafeMutablePointer<Float>,
        _ scratch: UnsafeMutablePointer<Float>, bits: Int
    ) {
        let tokens = TileLayout.tokens
        for h in 0..<heads {
            for token in 0..<tokens {
                scratch[h * tokens + token] = weights[h * stride + token] * norms[token]
            }
        }
        if isDirect {
            dotLookup(
                words.assumingMemoryBound(to: UInt32.self), layout.lanes, layout.lanes, table,
                scratch, tokens, heads, out, outStride)
        } else {
            decode(words, table, lookup, bits: bits, into: decoded, scratch + heads * tokens)
            dotDecoded(
                decoded, layout.lanes, tokens, layout.lanes, scratch, tokens, heads, out,
                outStride)
        }
    }
}
