import CUDAKernels
import KVCache

/// Tables of lookup formats: ranges, levels, angles and signs, which the CPU's own code makes, so that both have the same
/// numbers. iq_device_tables.h draws them.
extension DeviceCache {
    /// Takes static ranges from the first tokens, which are all in the windows still, for formats that want it so.
    func fixCodebooks(layer: Int) throws(CUDABackendError) {
        let place = layout.layers[layer]
        let count = place.schedule.firstSeal - place.schedule.sink
        let kvHeads = place.shape.kvHeads
        let (d, tileSize) = (place.shape.headSize, place.halfTile / 2)
        let first = place.sinkTiles * kvHeads * tileSize
        if var keys = states[layer].codebooks?.keys, keys.takesRanges {
            let halves = try unsealed(layer: layer, .keys)
            var all = halves[first...].map { Float(Float16(bitPattern: $0)) }
            if let turns = turns(layer: layer) {
                let tiles = all.count / (kvHeads * tileSize)
                turns.reserve(tiles: tiles)
                all.withUnsafeMutableBufferPointer { all in
                    for head in 0..<tiles * kvHeads {
                        turns.turnBack(all.baseAddress! + head * tileSize, tile: head / kvHeads)
                    }
                }
            }
            keys.fix(count: count) { token, channel in
                let (tile, slot) = (token / TileLayout.tokens, token % TileLayout.tokens)
                return all[(tile * kvHeads * d + channel) * TileLayout.tokens + slot]
            }
            states[layer].codebooks?.keys = keys
        }
        if var values = states[layer].codebooks?.values, values.takesRanges {
            let halves = try unsealed(layer: layer, .values)
            values.fix(count: count) { token, channel in
                let (tile, slot) = (token / TileLayout.tokens, token % TileLayout.tokens)
                let start = first + (tile * kvHeads + channel / d) * tileSize
                return Float(Float16(bitPattern: halves[start + slot * d + channel % d]))
            }
            states[layer].codebooks?.values = values
        }
    }

    /// Angles of the layer's keys, if they are stored as they were before RoPE.
    private func turns(layer: Int) -> RotaryTurns? {
        let place = layout.layers[layer]
        guard place.shape.preRotary(place.policy) != IQ_POST_ROTARY, let rotary = place.shape.rotary
        else { return nil }
        let sink = place.schedule.sink
        if let made = turns.first(where: { $0.sink == sink && $0.turns.rotary == rotary }) {
            return made.turns
        }
        let made = RotaryTurns(rotary, sink: sink)
        turns.append((sink, made))
        return made
    }

    /// Writes a layer's tables to the device, if it has any.
    func uploadTables(layer: Int) throws(CUDABackendError) {
        let place = layout.layers[layer]
        guard place.hasTables else { return }
        let tables = place.tables
        let start = DeviceLayout.round(place.normalizerBytes, to: 16)
        var bytes = [UInt8](repeating: 0, count: Int(tables.byte_count) - start)
        func put<Number: BitwiseCopyable>(_ numbers: [Number], at offset: Int32) {
            guard offset >= 0 else { return }
            numbers.withUnsafeBytes { source in
                bytes.withUnsafeMutableBytes {
                    $0.baseAddress!.advanced(by: Int(offset) - start).copyMemory(
                        from: source.baseAddress!, byteCount: source.count)
                }
            }
        }
        if let turns = turns(layer: layer) {
            put(turns.rotary.frequencies, at: tables.frequencies)
            put(turns.places, at: tables.places)
        }
        for (places, format, codebook) in [
            (tables.keys, place.policy.keys, states[layer].codebooks?.keys),
            (tables.values, place.policy.values, states[layer].codebooks?.values),
        ] {
            if let codebook {
                put(codebook.ranges, at: places.ranges)
                put(codebook.zeros, at: places.zeros)
                put(codebook.lows, at: places.lows)
                put(codebook.highs, at: places.highs)
                put(codebook.levels.boundaries, at: places.boundaries)
                put(codebook.levels.decoded, at: places.decoded)
            } else if let format = format.rotated {
                let quantizer = RotatedQuantizer(format, headSize: place.shape.headSize)
                put(quantizer.boundaries, at: places.boundaries)
                put(quantizer.decoded, at: places.decoded)
                put(quantizer.rotation.signs, at: places.signs)
            }
        }
        try write(bytes, to: normalizerAddress(layer) + UInt64(start))
    }

    /// Checks that a calibration has ranges for every channel and levels for every code that the policy takes from it.
    static func check(
        _ calibration: CacheCalibration, _ policy: CachePolicy, _ shape: CacheShape
    ) throws(CUDABackendError) {
        do throws(PolicyError) { try policy.check(calibration, for: shape) } catch {
            throw .policy(error)
        }
    }
}
