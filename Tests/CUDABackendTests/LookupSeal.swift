import CUDABackend
import CUDAKernels
import KVCache

/// Seals tiles of lookup formats in device order, plainly, with the arithmetic and the tables that kernels use.
struct LookupSeal {
    private let place: DeviceLayout.Layer
    private let tables: UnsafeMutableRawPointer?
    private let d: Int
    private let kvHeads: Int

    init(_ place: DeviceLayout.Layer, _ request: iq_seal_sequence) {
        self.place = place
        tables = UnsafeMutableRawPointer(bitPattern: UInt(request.normalizer))
        d = place.shape.headSize
        kvHeads = place.shape.kvHeads
    }

    private func numbers(_ offset: Int32) -> UnsafeMutablePointer<Float> {
        (tables! + Int(offset)).assumingMemoryBound(to: Float.self)
    }

    func seal(raw: UInt64, page: UInt64, tile: Int) {
        let (all, lookup) = (place.tables, place.lookup)
        let side = page + UInt64(place.sideOffset(tile: tile))
        for (tensor, format, tables, capacity, outliers, side) in [
            (
                DeviceTileOrder.Tensor.keys, place.policy.keys, all.keys, lookup.key_capacity,
                lookup.key_outliers, side
            ),
            (
                .values, place.policy.values, all.values, lookup.value_capacity,
                lookup.value_outliers, side + UInt64(place.keySide)
            ),
        ] where format.deviceLookup != IQ_NO_LOOKUP {
            let raw = raw + UInt64(tensor == .keys ? 0 : place.halfTile)
            func target(_ head: Int) -> UnsafeMutableRawPointer {
                let offset =
                    tensor == .keys
                    ? place.keyOffset(head: head, tile: tile)
                    : place.valueOffset(head: head, tile: tile)
                return HostDevice.pointer(page + UInt64(offset))
            }
            var values = load(tensor, raw)
            if tensor == .keys, all.frequencies >= 0 { turnBack(&values, tile: tile) }
            if format.rotated != nil {
                for head in 0..<kvHeads {
                    rotate(
                        Array(values[head * 32 * d..<(head + 1) * 32 * d]), tables, tensor, format,
                        target(head))
                }
            } else {
                let side = HostDevice.pointer(side)
                codebook(
                    values, tables, tensor, format, Int(capacity), Int(outliers), side, target)
            }
        }
    }

    /// `[KV head][channel][token]`.
    private func load(_ tensor: DeviceTileOrder.Tensor, _ raw: UInt64) -> [Float] {
        let places = DeviceTilePlaces(tensor, headSize: d, format: .float16)
        return (0..<kvHeads).flatMap { head in
            let halves = HostDevice.pointer(raw + UInt64(2 * head * place.halfTile))
                .assumingMemoryBound(to: UInt16.self)
            return (0..<32 * d).map {
                iq_half_float(halves[places.half(token: $0 % 32, channel: $0 / 32)])
            }
        }
    }

    private func turnBack(_ values: inout [Float], tile: Int) {
        let all = place.tables
        let frequencies = (tables! + Int(all.frequencies)).assumingMemoryBound(to: Double.self)
        let places = numbers(all.places)
        let first = Double(Int(place.lookup.body_position) + 32 * tile)
        let isSplit = place.shape.rotary?.pairing == .halfSplit
        for pair in 0..<d / 2 {
            let begin = iq_turn_of(first * frequencies[pair])
            for token in 0..<32 {
                let own = iq_turn(
                    cosine: places[64 * pair + token], sine: places[64 * pair + 32 + token])
                let turn = iq_turn_sum(begin, own)
                for head in 0..<kvHeads {
                    let x = (head * d + (isSplit ? pair : 2 * pair)) * 32 + token
                    let y = x + 32 * (isSplit ? d / 2 : 1)
                    (values[x], values[y]) = (
                        iq_turned_back(0, values[x], values[y], turn),
                        iq_turned_back(1, values[x], values[y], turn)
                    )
                }
            }
        }
    }

    private func pack(
        _ codes: [UInt8], _ bits: Int, _ tensor: DeviceTileOrder.Tensor,
        _ tile: UnsafeMutableRawPointer
    ) {
        let places = DeviceTilePlaces(tensor, headSize: d, format: .float16)
        var staged = [UInt8](repeating: 0, count: 32 * d)
        for i in codes.indices { staged[places.half(token: i % 32, channel: i / 32)] = codes[i] }
        let words = tile.assumingMemoryBound(to: UInt32.self)
        for word in 0..<d * bits {
            words[word] = iq_packed_word(0, Int32(bits), Int32(d), Int32(word), staged, 0, 32)
        }
    }

    // MARK: - Rotated

    private func rotate(
        _ values: [Float], _ tables: iq_lookup_tables, _ tensor: DeviceTileOrder.Tensor,
        _ format: TensorFormat, _ tile: UnsafeMutableRawPointer
    ) {
        let bits = format.codeBits!
        let norms = (tile + 4 * d * bits).assumingMemoryBound(to: UInt16.self)
        var codes = [UInt8](repeating: 0, count: 32 * d)
        for token in 0..<32 {
            var x = (0..<d).map { iq_mul(numbers(tables.signs)[$0], values[$0 * 32 + token]) }
            norms[token] = iq_stored_norm(x.reduce(0) { iq_sum($0, iq_mul($1, $1)) })
            var half = 1
            while half < d {
                x = x.indices.map { iq_butterfly(x[$0], x[$0 ^ half], $0 & half == 0 ? 0 : 1) }
                half *= 2
            }
            let norm = iq_half_float(norms[token])
            for channel in 0..<d {
                codes[channel * 32 + token] = UInt8(
                    iq_rotated_code(
                        iq_mul(x[channel], iq_rotation_scale(Int32(d))), norm,
                        numbers(tables.boundaries), Int32(bits)))
            }
        }
        pack(codes, bits, tensor, tile)
    }

    // MARK: - Codebook

    private func codebook(
        _ values: [Float], _ tables: iq_lookup_tables, _ tensor: DeviceTileOrder.Tensor,
        _ format: TensorFormat, _ capacity: Int, _ outliers: Int, _ side: UnsafeMutableRawPointer,
        _ target: (_ head: Int) -> UnsafeMutableRawPointer
    ) {
        let bits = format.codeBits!
        let isStatic = format.deviceLookup == IQ_CHANNEL_RANGES
        var taken = [Bool](repeating: false, count: values.count)
        var ranges: [iq_vector_range] = []
        if isStatic {
            ranges = (0..<kvHeads * d).map {
                iq_vector_range(
                    range: numbers(tables.ranges)[$0], zero: numbers(tables.zeros)[$0])
            }
            let (lows, highs) = (numbers(tables.lows), numbers(tables.highs))
            var beyond = values.indices.filter {
                values[$0] < lows[$0 / 32] || values[$0] > highs[$0 / 32]
            }
            .map { (index: $0, excess: iq_excess(values[$0], ranges[$0 / 32])) }
            // The farthest first; of equals that which a side lists first.
            beyond.sort {
                $0.excess != $1.excess
                    ? $0.excess > $1.excess
                    : key($0.index, tensor) < key($1.index, tensor)
            }
            for outlier in beyond.prefix(capacity) { taken[outlier.index] = true }
        } else {
            let halves = side.assumingMemoryBound(to: UInt16.self)
            for token in 0..<32 {
                let range = takeToken(token, values, capacity == 0 ? 0 : outliers, &taken)
                ranges.append(range)
                halves[2 * token] = iq_half_bits(range.range)
                halves[2 * token + 1] = iq_half_bits(range.zero)
            }
        }
        for head in 0..<kvHeads {
            let codes = (0..<32 * d).map { i -> UInt8 in
                let index = head * 32 * d + i
                let range = isStatic ? ranges[index / 32] : ranges[index % 32]
                return UInt8(
                    iq_lookup_code(
                        iq_normalized(values[index], range), numbers(tables.boundaries),
                        Int32(bits)))
            }
            pack(codes, bits, tensor, target(head))
        }
        store(values, taken, capacity, format, tensor, side)
    }

    /// Head and index in its tile.
    private func key(_ index: Int, _ tensor: DeviceTileOrder.Tensor) -> Int {
        let (head, channel, token) = (index / (32 * d), index / 32 % d, index % 32)
        return head * 32 * d + (tensor == .keys ? channel * 32 + token : token * d + channel)
    }

    private func takeToken(
        _ token: Int, _ values: [Float], _ outliers: Int, _ taken: inout [Bool]
    ) -> iq_vector_range {
        let channels = kvHeads * d
        func order(_ channel: Int) -> UInt32 {
            iq_half_order(UInt32(iq_half_bits(values[channel * 32 + token])))
        }
        let rising = (0..<channels).sorted { (order($0), $0) < (order($1), $1) }
        let falling = (0..<channels).sorted { (~order($0), $0) < (~order($1), $1) }
        for channel in falling.prefix(outliers) { taken[channel * 32 + token] = true }
        for channel in rising.filter({ !taken[$0 * 32 + token] }).prefix(outliers) {
            taken[channel * 32 + token] = true
        }
        let rest = (0..<channels).filter { !taken[$0 * 32 + token] }
        guard let first = rest.first, let last = rest.last else { return iq_vector_range_of(0, 0) }
        let low = rest.map(order).min()!
        let high = rest.map(order).max()!
        guard low == high, low == 0x8000 else {
            return iq_vector_range_of(iq_half_of_order(low), iq_half_of_order(high))
        }
        return iq_vector_range_of(values[first * 32 + token], values[last * 32 + token])
    }

    private func store(
        _ values: [Float], _ taken: [Bool], _ capacity: Int, _ format: TensorFormat,
        _ tensor: DeviceTileOrder.Tensor, _ side: UnsafeMutableRawPointer
    ) {
        guard capacity > 0 else { return }
        let places = iq_side_of(
            Int32(format.deviceLookup.rawValue), Int32(kvHeads), Int32(capacity))
        let starts = (side + Int(places.starts)).assumingMemoryBound(to: UInt16.self)
        let list = (side + Int(places.outliers)).assumingMemoryBound(to: UInt32.self)
        for i in 0..<Int(places.outliers - places.starts) / 2 { starts[i] = 0 }
        for i in 0..<Int(places.byte_count - places.outliers) / 4 { list[i] = 0 }
        var next = 0
        let sorted = values.indices.filter { taken[$0] }
            .sorted { key($0, tensor) < key($1, tensor) }
        for head in 0..<kvHeads {
            starts[head] = UInt16(next)
            while next < sorted.count, sorted[next] / (32 * d) == head {
                let index = key(sorted[next], tensor) % (32 * d)
                list[next] = UInt32(iq_half_bits(values[sorted[next]])) << 16 | UInt32(index)
                next += 1
            }
        }
        starts[kvHeads] = UInt16(next)
    }
}
