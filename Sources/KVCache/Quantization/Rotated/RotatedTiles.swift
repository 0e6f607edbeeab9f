// Tiles of turned vectors: TileLayout draws them. A K tile has a token a lane, a V tile a token a row.

extension TileLayout {
    /// The residual's signs, as a tile of one-bit codes that begins at ``signOffset``.
    package var signLayout: TileLayout {
        TileLayout(
            rows: rows, lanes: lanes, format: .rotated(RotatedFormat(bits: 1)), isInner: isInner)
    }

    /// Encodes `rows × lanes` values, not yet turned, into a tile. All bytes of the tile are written.
    package func encodeRotated(
        _ values: UnsafePointer<Float>, _ quantizer: RotatedQuantizer,
        into tile: UnsafeMutableRawPointer
    ) {
        tile.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        if quantizer.format.hasResidual {
            encodeVectors(values, quantizer, tile)
        } else {
            encodeAll(values, quantizer, tile)
        }
    }

    /// The oracle's decoding of a whole tile into `rows × lanes` values, turned back.
    package func decodeRotated(
        _ tile: UnsafeRawPointer, _ quantizer: RotatedQuantizer,
        into values: UnsafeMutablePointer<Float>
    ) {
        let d = quantizer.headSize
        let signLayout = self.signLayout
        var vector = [Float](repeating: 0, count: d)
        var codes = [UInt8](repeating: 0, count: d)
        var signs = codes
        for token in 0..<Self.tokens {
            for channel in 0..<d {
                let (row, lane) = isInner ? (channel, token) : (token, channel)
                codes[channel] = code(tile, row: row, lane: lane)
                guard quantizer.format.hasResidual else { continue }
                signs[channel] = signLayout.code(tile + signOffset, row: row, lane: lane)
            }
            quantizer.decode(norms(tile, token: token), codes: codes, signs: signs, into: &vector)
            for channel in 0..<d {
                values[isInner ? channel * lanes + token : token * lanes + channel] =
                    vector[channel]
            }
        }
    }

    /// What is stored of a token's vector beside its codes.
    package func norms(_ tile: UnsafeRawPointer, token: Int) -> RotatedNorms {
        let norm = (tile + normOffset).assumingMemoryBound(to: UInt16.self)[token]
        guard format.rotated?.hasResidual == true else {
            return RotatedNorms(norm: Float16(bitPattern: norm), error: 0)
        }
        let error = (tile + errorOffset).assumingMemoryBound(to: UInt16.self)[token]
        return RotatedNorms(norm: Float16(bitPattern: norm), error: Float16(bitPattern: error))
    }

    // MARK: - One vector after the other

    private func encodeVectors(
        _ values: UnsafePointer<Float>, _ quantizer: RotatedQuantizer,
        _ tile: UnsafeMutableRawPointer
    ) {
        let d = quantizer.headSize
        let signLayout = self.signLayout
        let norms = (tile + normOffset).assumingMemoryBound(to: UInt16.self)
        let errors = (tile + errorOffset).assumingMemoryBound(to: UInt16.self)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: d) { vector in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 2 * d) { bytes in
                let codes = bytes.baseAddress!
                let signs = codes + d
                for token in 0..<Self.tokens {
                    for channel in 0..<d {
                        vector[channel] =
                            values[isInner ? channel * lanes + token : token * lanes + channel]
                    }
                    let stored = quantizer.encode(vector.baseAddress!, codes: codes, signs: signs)
                    norms[token] = stored.norm.bitPattern
                    errors[token] = stored.error.bitPattern
                    for channel in 0..<d {
                        let (row, lane) = isInner ? (channel, token) : (token, channel)
                        setCode(codes[channel], tile, row: row, lane: lane)
                        signLayout.setCode(signs[channel], tile + signOffset, row: row, lane: lane)
                    }
                }
            }
        }
    }

    // MARK: - All vectors of the tile side by side

    private func encodeAll(
        _ values: UnsafePointer<Float>, _ quantizer: RotatedQuantizer,
        _ tile: UnsafeMutableRawPointer
    ) {
        let d = quantizer.headSize
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 32 * d) { vectors in
            withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 32 * d) { codes in
                let vectors = vectors.baseAddress!
                let codes = codes.baseAddress!
                if isInner {
                    vectors.update(from: values, count: 32 * d)
                } else {
                    for token in 0..<32 {
                        for channel in 0..<d {
                            vectors[32 * channel + token] = values[token * lanes + channel]
                        }
                    }
                }
                let norms = (tile + normOffset).assumingMemoryBound(to: Float16.self)
                quantizer.encode32(vectors, codes: codes, norms: norms)
                if isInner {
                    pack(codes, rowStride: 32, laneStride: 1, into: tile)
                } else {
                    pack(codes, rowStride: 1, laneStride: 32, into: tile)
                }
            }
        }
    }

    /// Stores the codes of all elements into a tile of zeros; that of (row, lane) at `row · rowStride + lane · laneStride`.
    @inline(__always)
    private func pack(
        _ codes: UnsafePointer<UInt32>, rowStride: Int, laneStride: Int,
        into tile: UnsafeMutableRawPointer
    ) {
        let bits = format.codeBits ?? 0
        for row in 0..<rows {
            let block = row / 32
            let words = (tile + wordOffset(block: block)).assumingMemoryBound(to: UInt32.self)
            let first = codes + row * rowStride
            if rowCount(inBlock: block) == 32 {
                CodePlace.writeRow(
                    first, laneStride, lanes, words, stride: lanes, row: row % 32, bits: bits)
            } else {
                let half = lanes / 2
                CodePlace.writeRow(
                    first, laneStride, half, words, stride: half, row: row % 32, bits: bits)
                CodePlace.writeRow(
                    first + half * laneStride, laneStride, half, words, stride: half,
                    row: row % 32 + 16, bits: bits)
            }
        }
    }
}

extension CodePlace {
    /// Ors `count` lanes' codes of one row into words that were zero.
    @inline(__always)
    fileprivate static func writeRow(
        _ codes: UnsafePointer<UInt32>, _ laneStride: Int, _ count: Int,
        _ words: UnsafeMutablePointer<UInt32>, stride: Int, row: Int, bits: Int
    ) {
        let place = bit(0, row: row, bits: bits)
        let target = words + place.word * stride
        let shift = UInt32(place.shift)
        if bits == 3 && row >= 24 {
            let top = bit(2, row: row, bits: bits)
            let high = words + top.word * stride
            for lane in 0..<count {
                let code = codes[lane * laneStride]
                target[lane] |= (code & 3) &<< shift
                high[lane] |= (code >> 2) &<< UInt32(top.shift)
            }
            return
        }
        for lane in 0..<count { target[lane] |= codes[lane * laneStride] &<< shift }
    }
}
