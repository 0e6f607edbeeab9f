// Packing of one tile, exact: what kernels are compared with, and what seals tiles.
import CPUKernels

/// The words and bits of one code: see iq_attention.h.
enum CodePlace {
    /// The word of a lane, and the bit in it, that hold bit `bit` of a code.
    @inline(__always)
    static func bit(_ bit: Int, row: Int, bits: Int) -> (word: Int, shift: Int) {
        if bits == 3 && row >= 24 {
            let second = row >= 28 ? 1 : 0
            let shift = 8 * (row % 4) + 6
            return bit < 2 ? (second, shift + bit) : (2, shift + second)
        }
        let rows = bits == 3 ? 8 : 32 / bits
        return (row / rows, 8 * (row % 4) + bits * (row % rows / 4) + bit)
    }

    /// Reads the code of `bits` bits.
    @inline(__always)
    static func read(
        _ words: UnsafePointer<UInt32>, stride: Int, lane: Int, row: Int, bits: Int
    ) -> UInt8 {
        let low = bit(0, row: row, bits: bits)
        let code = words[low.word * stride + lane] >> UInt32(low.shift)
        guard bits == 3 && row >= 24 else { return UInt8(code & ((1 << UInt32(bits)) - 1)) }
        let high = bit(2, row: row, bits: bits)
        return UInt8(code & 3 | (words[high.word * stride + lane] >> UInt32(high.shift) & 1) << 2)
    }

    /// Ors the code into words that were zero.
    @inline(__always)
    static func write(
        _ code: UInt8, _ words: UnsafeMutablePointer<UInt32>, stride: Int, lane: Int, row: Int,
        bits: Int
    ) {
        let code = UInt32(code)
        let low = bit(0, row: row, bits: bits)
        guard bits == 3 && row >= 24 else {
            words[low.word * stride + lane] |= code << UInt32(low.shift)
            return
        }
        let high = bit(2, row: row, bits: bits)
        words[low.word * stride + lane] |= (code & 3) << UInt32(low.shift)
        words[high.word * stride + lane] |= (code >> 2) << UInt32(high.shift)
    }
}

extension TileLayout {
    /// Unsigned code of the element at (row, lane).
    package func code(_ tile: UnsafeRawPointer, row: Int, lane: Int) -> UInt8 {
        let (words, stride, row, lane) = place(tile, row: row, lane: lane)
        return CodePlace.read(
            words, stride: stride, lane: lane, row: row, bits: format.codeBits ?? 0)
    }

    /// Stores a code into a tile whose code bytes were zero.
    package func setCode(_ code: UInt8, _ tile: UnsafeMutableRawPointer, row: Int, lane: Int) {
        let (words, stride, row, lane) = place(UnsafeRawPointer(tile), row: row, lane: lane)
        CodePlace.write(
            code, UnsafeMutablePointer(mutating: words), stride: stride, lane: lane, row: row,
            bits: format.codeBits ?? 0)
    }

    /// Stores the codes of all lanes of a row into a tile whose code bytes were zero.
    package func setRow(
        _ codes: UnsafePointer<UInt8>, _ tile: UnsafeMutableRawPointer, row: Int
    ) {
        let bits = format.codeBits ?? 0
        let isWhole = rowCount(inBlock: row / 32) == 32
        let part = isWhole ? lanes : lanes / 2
        for first in stride(from: 0, to: lanes, by: part) {
            // In a short block the upper half of the lanes has rows of its own.
            let (words, stride, row, lane) = place(UnsafeRawPointer(tile), row: row, lane: first)
            let target = UnsafeMutablePointer(mutating: words) + lane
            // Of the codes as many bits from `bit` on as `mask` has.
            func put(bit: Int, mask: UInt32) {
                let place = CodePlace.bit(bit, row: row, bits: bits)
                iq_put_codes(
                    codes + first, part, UInt32(bit), mask, UInt32(place.shift),
                    target + place.word * stride)
            }
            if bits == 3 && row >= 24 {
                put(bit: 0, mask: 3)
                put(bit: 2, mask: 1)
            } else {
                put(bit: 0, mask: (1 << UInt32(bits)) - 1)
            }
        }
    }

    @inline(__always)
    private func place(
        _ tile: UnsafeRawPointer, row: Int, lane: Int
    ) -> (words: UnsafePointer<UInt32>, stride: Int, row: Int, lane: Int) {
        let block = row / 32
        let words = (tile + wordOffset(block: block)).assumingMemoryBound(to: UInt32.self)
        if rowCount(inBlock: block) == 32 { return (words, lanes, row % 32, lane) }
        let half = lanes / 2
        return (words, half, row % 32 + (lane >= half ? 16 : 0), lane % half)
    }

    /// Where bit `bit` of the code at (row, lane) lies: bits from the start of the tile, little endian. For float16,
    /// where its value's bits lie.
    package func bitOffset(row: Int, lane: Int, bit: Int) -> Int {
        guard let bits = format.codeBits else { return 16 * (row * lanes + lane) + bit }
        let block = row / 32
        let isWhole = rowCount(inBlock: block) == 32
        let stride = isWhole ? lanes : lanes / 2
        let inBlock = row % 32 + (!isWhole && lane >= stride ? 16 : 0)
        let place = CodePlace.bit(bit, row: inBlock, bits: bits)
        let word = wordOffset(block: block) / 4 + place.word * stride + lane % stride
        return 32 * word + place.shift
    }

    /// Index of the group that (row, lane) belongs to.
    package func group(row: Int, lane: Int) -> Int {
        isInner ? (row / 32) * lanes + lane : (lane / 32) * rows + row
    }

    /// The scale of a group as stored.
    package func scale(_ tile: UnsafeRawPointer, group: Int) -> GroupScale {
        let stored = (tile + scaleOffset).assumingMemoryBound(to: UInt16.self)[group]
        let scale = Float(Float16(bitPattern: stored))
        guard let grouped = format.grouped, grouped.storesZeros else {
            return GroupScale(
                magnitude: abs(scale), isNegative: scale.sign == .minus, isAsymmetric: false,
                zero: 0)
        }
        let zero = Float(
            Float16(bitPattern: (tile + zeroOffset).assumingMemoryBound(to: UInt16.self)[group]))
        if grouped.mode == .asymmetric || scale.sign == .minus {
            return GroupScale(
                magnitude: abs(scale), isNegative: false, isAsymmetric: true, zero: zero)
        }
        return GroupScale(
            magnitude: scale, isNegative: zero.sign == .minus, isAsymmetric: false, zero: 0)
    }

    /// Stores the scale of a group. Hybrid groups: the sign bit of the scale says asymmetric; a symmetric group
    /// keeps the direction of its scale in the sign of a zero point of 0.
    package func setScale(_ scale: GroupScale, _ tile: UnsafeMutableRawPointer, group: Int) {
        guard let grouped = format.grouped else { return }
        let scales = (tile + scaleOffset).assumingMemoryBound(to: UInt16.self)
        let magnitude = Float16(scale.magnitude).bitPattern
        let sign: UInt16 = 0x8000
        switch grouped.mode {
        case .symmetric: scales[group] = magnitude | (scale.isNegative ? sign : 0)
        case .asymmetric: scales[group] = magnitude
        case .hybrid: scales[group] = magnitude | (scale.isAsymmetric ? sign : 0)
        }
        guard grouped.storesZeros else { return }
        let zeros = (tile + zeroOffset).assumingMemoryBound(to: UInt16.self)
        zeros[group] =
            scale.isAsymmetric ? Float16(scale.zero).bitPattern : (scale.isNegative ? sign : 0)
    }

    /// Quantizes `rows × lanes` values into a tile. All bytes of the tile are written.
    package func encode(_ values: UnsafePointer<Float>, into tile: UnsafeMutableRawPointer) {
        guard let grouped = format.grouped else { return }
        tile.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        if isInner {
            LaneQuantizer.with(grouped, lanes: lanes) { quantizer in
                for block in 0..<rowBlocks {
                    let first = 32 * block
                    let count = rowCount(inBlock: block)
                    quantizer.fit(values + first * lanes, rows: count)
                    setScales(quantizer, tile, block: block)
                    for row in first..<first + count {
                        quantizer.round(values + row * lanes)
                        setRow(quantizer.codes, tile, row: row)
                    }
                }
            }
        } else {
            encodeOuter(values, GroupQuantizer(grouped), into: tile)
        }
    }

    /// Groups along lanes, one by one.
    private func encodeOuter(
        _ values: UnsafePointer<Float>, _ quantizer: GroupQuantizer,
        into tile: UnsafeMutableRawPointer
    ) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { codes in
            let codes = codes.baseAddress!
            for block in 0..<laneBlocks {
                let first = 32 * block
                let count = min(32, lanes - first)
                for row in 0..<rows {
                    let scale = quantizer.encode(
                        values + row * lanes + first, count: count, codes: codes)
                    setScale(scale, tile, group: block * rows + row)
                    for i in 0..<count { setCode(codes[i], tile, row: row, lane: first + i) }
                }
            }
        }
    }

    /// Stores the scales of a block of rows.
    func setScales(_ quantizer: LaneQuantizer, _ tile: UnsafeMutableRawPointer, block: Int) {
        for lane in 0..<lanes {
            setScale(quantizer.scale(lane: lane), tile, group: block * lanes + lane)
        }
    }

    /// The oracle's decoding of a whole tile into `rows × lanes` values.
    package func decode(_ tile: UnsafeRawPointer, into values: UnsafeMutablePointer<Float>) {
        guard let grouped = format.grouped else {
            let halves = tile.assumingMemoryBound(to: UInt16.self)
            for i in 0..<rows * lanes { values[i] = Float(Float16(bitPattern: halves[i])) }
            return
        }
        for row in 0..<rows {
            for lane in 0..<lanes {
                values[row * lanes + lane] = scale(tile, group: group(row: row, lane: lane))
                    .value(of: code(tile, row: row, lane: lane), bias: grouped.bias)
            }
        }
    }
}
