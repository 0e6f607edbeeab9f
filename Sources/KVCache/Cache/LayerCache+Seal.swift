import CPUKernels
import Threading

extension LayerCache {
    /// A float16 page to quantize into a page of the body.
    struct Sealing {
        let raw: UnsafeRawPointer
        /// Number of the tile, from which RoPE's positions follow.
        let tile: Int
        let page: UnsafeMutableRawPointer
    }

    /// Quantizes float16 pages: each head of each by itself, where ranges and statistics are not shared.
    func quantize(_ pages: [Sealing], workers: WorkerPool?) {
        let heads = shape.kvHeads
        guard let workers, codebooks == nil, pages.count * heads > 1 else {
            for page in pages { quantize(page, heads: 0..<heads) }
            return
        }
        // Each task reads what it needs of this cache and writes its own head of its own page.
        workers.run(count: pages.count * heads) { task, _ in
            let head = task % heads
            self.quantize(pages[task / heads], heads: head..<head + 1)
        }
    }

    /// - Parameter heads: all of them, if the policy has codebooks.
    private func quantize(_ sealing: Sealing, heads: Range<Int>) {
        let size = shape.headSize * TileLayout.tokens
        withUnsafeTemporaryAllocation(
            of: Float.self, capacity: codebooks == nil ? size : shape.kvHeads * size
        ) { values in
            let values = values.baseAddress!
            quantizeKeys(sealing.raw, tile: sealing.tile, into: sealing.page, heads, values)
            quantizeValues(sealing.raw, into: sealing.page, heads, values)
        }
    }

    private var rawHeadBytes: Int { rawKeyLayout.byteCount + rawValueLayout.byteCount }

    private func rawKeys(_ raw: UnsafeRawPointer, _ head: Int) -> UnsafeRawPointer {
        raw + head * rawHeadBytes
    }

    private func rawValues(_ raw: UnsafeRawPointer, _ head: Int) -> UnsafeRawPointer {
        raw + head * rawHeadBytes + rawKeyLayout.byteCount
    }

    /// - Parameter values: room for the floats of a head; of all heads, if there are codebooks.
    private func quantizeKeys(
        _ raw: UnsafeRawPointer, tile: Int, into page: UnsafeMutableRawPointer, _ heads: Range<Int>,
        _ values: UnsafeMutablePointer<Float>
    ) {
        let size = shape.headSize * TileLayout.tokens
        for head in heads {
            let source = rawKeys(raw, head)
            let target = page + head * pageLayout.headBytes
            if policy.keys == .float16 {
                target.copyMemory(from: source, byteCount: keyLayout.byteCount)
                continue
            }
            let own = policy.keys.codebook == nil ? values : values + head * size
            iq_half_to_float(source.assumingMemoryBound(to: UInt16.self), own, size)
            switch policy.keys {
            case .float16: break
            case .grouped:
                normalizer?.apply(head: head, keyTile: own)
                if let feedback = normalizer?.feedback {
                    feedback.encode(head: head, own, layout: keyLayout, into: target)
                } else {
                    keyLayout.encode(own, into: target)
                }
            case .rotated:
                guard let keyRotation else { break }
                keyLayout.encodeRotated(own, keyRotation, into: target)
            case .codebook: turns?.turnBack(own, tile: tile)
            }
        }
        if let codebook = codebooks?.keys {
            encode(codebook, .keys, UnsafePointer(values), into: page)
        }
    }

    private func quantizeValues(
        _ raw: UnsafeRawPointer, into page: UnsafeMutableRawPointer, _ heads: Range<Int>,
        _ values: UnsafeMutablePointer<Float>
    ) {
        let d = shape.headSize
        let size = d * TileLayout.tokens
        for head in heads {
            let source = rawValues(raw, head)
            let target = page + head * pageLayout.headBytes + keyLayout.byteCount
            switch policy.values {
            case .float16:
                target.copyMemory(from: source, byteCount: valueLayout.byteCount)
            case .grouped:
                iq_half_to_float(source.assumingMemoryBound(to: UInt16.self), values, size)
                valueLayout.encode(values, into: target)
            case .rotated:
                guard let valueRotation else { break }
                iq_half_to_float(source.assumingMemoryBound(to: UInt16.self), values, size)
                valueLayout.encodeRotated(values, valueRotation, into: target)
            case .codebook:
                // The encoder wants channels outside, as keys have them.
                let halves = source.assumingMemoryBound(to: UInt16.self)
                for token in 0..<TileLayout.tokens {
                    for channel in 0..<d {
                        values[head * size + channel * TileLayout.tokens + token] = Float(
                            Float16(bitPattern: halves[token * d + channel]))
                    }
                }
            }
        }
        if let codebook = codebooks?.values {
            encode(codebook, .values, UnsafePointer(values), into: page)
        }
    }

    private func encode(
        _ codebook: TensorCodebook, _ tensor: CacheTensor, _ values: UnsafePointer<Float>,
        into page: UnsafeMutableRawPointer
    ) {
        let isKeys = tensor == .keys
        let encoder = CodebookEncoder(
            codebook: codebook, tensor: tensor, kvHeads: shape.kvHeads, headSize: shape.headSize,
            layout: isKeys ? keyLayout : valueLayout,
            side: isKeys ? pageLayout.keySide : pageLayout.valueSide)
        let first = isKeys ? 0 : keyLayout.byteCount
        let beyond = encoder.encode(
            values, tile: { page + $0 * pageLayout.headBytes + first },
            side: page + (isKeys ? pageLayout.keySideOffset : pageLayout.valueSideOffset))
        guard codebook.format.vector == .channel else { return }
        rangeStatistics.elements += codebook.channels * TileLayout.tokens
        rangeStatistics.beyond += beyond
    }

    /// Takes the normalizer's statistics from the tokens seen until now.
    func fixNormalizer() {
        let count = schedule.firstSeal
        for head in 0..<shape.kvHeads {
            func tile(_ page: UnsafeRawPointer, _ first: Int) -> KeyNormalizer.Tile {
                KeyNormalizer.Tile(
                    firstToken: first,
                    keys: rawKeys(page, head).assumingMemoryBound(to: UInt16.self))
            }
            let tiles =
                sink.enumerated().compactMap { place in
                    place.element.map {
                        tile(UnsafeRawPointer($0), place.offset * TileLayout.tokens)
                    }
                }
                + raw.enumerated().map {
                    tile(UnsafeRawPointer($1), schedule.firstToken(ofTile: rawFirst + $0))
                }
            normalizer?.fix(
                head: head, skip: normalizerSkip, count: count,
                queryCount: count * shape.groupRatio, tiles: tiles)
        }
    }

    /// Tokens left out of the normalizer's statistics.
    private var normalizerSkip: Int {
        policy.keyNormalization?.skipsSink == true ? schedule.sink : 0
    }

    /// Takes static ranges from the tokens seen until now, sinks left out.
    func fixCodebooks() {
        let d = shape.headSize
        let count = schedule.firstSeal
        let skip = schedule.sink
        let tiles = (count - skip + TileLayout.tokens - 1) / TileLayout.tokens
        if var keys = codebooks?.keys, keys.takesRanges {
            turns?.reserve(tiles: tiles)
            var all = [Float](
                repeating: 0, count: tiles * shape.kvHeads * d * TileLayout.tokens)
            let size = d * TileLayout.tokens
            all.withUnsafeMutableBufferPointer { all in
                for tile in 0..<tiles {
                    for head in 0..<shape.kvHeads {
                        let own = all.baseAddress! + (tile * shape.kvHeads + head) * size
                        let source = rawKeys(raw[tile], head)
                        iq_half_to_float(source.assumingMemoryBound(to: UInt16.self), own, size)
                        turns?.turnBack(own, tile: tile)
                    }
                }
            }
            keys.fix(count: count - skip) { token, channel in
                let (tile, slot) = (token / TileLayout.tokens, token % TileLayout.tokens)
                return all[(tile * shape.kvHeads * d + channel) * TileLayout.tokens + slot]
            }
            codebooks?.keys = keys
        }
        if var values = codebooks?.values, values.takesRanges {
            values.fix(count: count - skip) { token, channel in
                let tile = rawValues(raw[token / TileLayout.tokens], channel / d)
                    .assumingMemoryBound(to: UInt16.self)
                return Float(
                    Float16(bitPattern: tile[token % TileLayout.tokens * d + channel % d]))
            }
            codebooks?.values = values
        }
    }
}
