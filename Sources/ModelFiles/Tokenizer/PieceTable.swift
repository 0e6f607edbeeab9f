/// All pieces end to end, with a hash table from bytes to id.
///
///     pool     [ p0 bytes | p1 bytes | … ]
///     offsets  [ 0, |p0|, |p0|+|p1|, … ]           count + 1 entries
///     slots    [ id+1 or 0 ]                       a power of two, at most half full of the indexed ones
///
/// Hashes are seeded per process: a vocabulary made to collide cannot be prepared in advance.
final class PieceTable: @unchecked Sendable {
    /// More than this many bytes of pieces is refused, so that offsets fit 32 bits.
    static let byteLimit = 1 << 30

    // Written in init only; freed in deinit.
    private let pool: UnsafeMutablePointer<UInt8>
    private let offsets: UnsafeMutablePointer<UInt32>
    private let slots: UnsafeMutablePointer<UInt32>
    private let mask: Int
    let count: Int
    /// The length in bytes of the longest indexed piece.
    let longest: Int

    /// - Parameter isIndexed: which ids can be found by their bytes. Empty pieces never can.
    /// - Throws: ``TokenizerError/duplicatePiece(piece:first:second:)`` if two indexed ids share
    ///   their bytes, ``TokenizerError/tooLarge(what:found:limit:)``.
    init(_ pieces: [[UInt8]], isIndexed: (Int) -> Bool) throws(TokenizerError) {
        var total = 0
        for piece in pieces { total += piece.count }
        guard total <= Self.byteLimit else {
            throw .tooLarge(what: "bytes of pieces", found: total, limit: Self.byteLimit)
        }
        count = pieces.count
        pool = .allocate(capacity: max(total, 1))
        offsets = .allocate(capacity: count + 1)
        var indexed = 0
        for id in pieces.indices where isIndexed(id) { indexed += 1 }
        var slotCount = 16
        while slotCount < indexed * 2 { slotCount *= 2 }
        mask = slotCount - 1
        slots = .allocate(capacity: slotCount)
        slots.initialize(repeating: 0, count: slotCount)

        var offset = 0
        var longest = 0
        var clash: (Int, Int)?
        for (id, piece) in pieces.enumerated() {
            offsets[id] = UInt32(offset)
            for byte in piece {
                pool[offset] = byte
                offset += 1
            }
            guard !piece.isEmpty, isIndexed(id) else { continue }
            longest = max(longest, piece.count)
            let start = UnsafePointer(pool + offset - piece.count)
            var slot = Int(truncatingIfNeeded: hashBytes(start, piece.count)) & mask
            while slots[slot] != 0 {
                let other = Int(slots[slot]) - 1
                let otherStart = Int(offsets[other])
                if Int(offsets[other + 1]) - otherStart == piece.count,
                    equalBytes(pool + otherStart, start, piece.count)
                {
                    clash = clash ?? (other, id)
                    break
                }
                slot = (slot + 1) & mask
            }
            if slots[slot] == 0 { slots[slot] = UInt32(id + 1) }
        }
        offsets[count] = UInt32(offset)
        self.longest = longest
        if let clash {
            throw .duplicatePiece(
                piece: preview(pieces[clash.0]), first: clash.0, second: clash.1)
        }
    }

    deinit {
        pool.deallocate()
        offsets.deallocate()
        slots.deallocate()
    }

    /// The id of the piece with these bytes, or -1.
    @inline(__always)
    func find(_ bytes: UnsafePointer<UInt8>, _ length: Int) -> Int32 {
        if length == 0 || length > longest { return -1 }
        var slot = Int(truncatingIfNeeded: hashBytes(bytes, length)) & mask
        while true {
            let entry = slots[slot]
            if entry == 0 { return -1 }
            let id = Int(entry) - 1
            let start = Int(offsets[id])
            if Int(offsets[id + 1]) - start == length, equalBytes(pool + start, bytes, length) {
                return Int32(truncatingIfNeeded: id)
            }
            slot = (slot + 1) & mask
        }
    }

    func find(_ bytes: [UInt8]) -> Int32? {
        let id = bytes.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { find($0, buffer.count) } ?? -1
        }
        return id < 0 ? nil : id
    }

    /// The bytes of piece `id`, which the caller has checked. Valid as long as the table lives.
    @inline(__always)
    subscript(id: Int) -> UnsafeBufferPointer<UInt8> {
        let start = Int(offsets[id])
        return UnsafeBufferPointer(start: pool + start, count: Int(offsets[id + 1]) - start)
    }
}

private let hashSeed = UInt64.random(in: .min ... .max)

/// Mixes 64 bits (the finalizer of MurmurHash3).
@inline(__always)
func mixBits(_ value: UInt64) -> UInt64 {
    var value = value
    value ^= value >> 33
    value &*= 0xFF51_AFD7_ED55_8CCD
    value ^= value >> 33
    value &*= 0xC4CE_B9FE_1A85_EC53
    value ^= value >> 33
    return value
}

/// A seeded hash of `count` bytes, eight at a time.
@inline(__always)
func hashBytes(_ bytes: UnsafePointer<UInt8>, _ count: Int, seed: UInt64) -> UInt64 {
    var hash = seed ^ UInt64(truncatingIfNeeded: count) &* 0x9E37_79B9_7F4A_7C15
    var index = 0
    let raw = UnsafeRawPointer(bytes)
    while index + 8 <= count {
        hash = mixBits(hash ^ raw.loadUnaligned(fromByteOffset: index, as: UInt64.self))
        index += 8
    }
    var tail: UInt64 = 0
    while index < count {
        tail = tail << 8 | UInt64(bytes[index])
        index += 1
    }
    return mixBits(hash ^ tail)
}

@inline(__always)
func hashBytes(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
    hashBytes(bytes, count, seed: hashSeed)
}

@inline(__always)
func equalBytes(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    let left = UnsafeRawPointer(a)
    let right = UnsafeRawPointer(b)
    var index = 0
    while index + 8 <= count {
        if left.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            != right.loadUnaligned(fromByteOffset: index, as: UInt64.self)
        {
            return false
        }
        index += 8
    }
    while index < count {
        if a[index] != b[index] { return false }
        index += 1
    }
    return true
}
