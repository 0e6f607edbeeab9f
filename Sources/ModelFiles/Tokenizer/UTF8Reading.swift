/// One step through bytes that should be UTF-8 but need not be.
///
/// A byte that does not begin a well-formed sequence (Unicode 3.9, table 3-7: no overlong forms, no
/// surrogates, nothing above U+10FFFF) is a unit of one byte with the scalar ``invalidScalar``.
let invalidScalar: UInt32 = .max

/// Reads the scalar at `index`; the caller guarantees `index < end`.
///
/// - Returns: the scalar, or ``invalidScalar``, and how many bytes it takes (1 … 4).
@inline(__always)
func readScalar(
    _ text: UnsafePointer<UInt8>, _ index: Int, _ end: Int
) -> (scalar: UInt32, length: Int) {
    let first = text[index]
    if first < 0x80 { return (UInt32(first), 1) }
    return readMultibyteScalar(text, index, end)
}

private func readMultibyteScalar(
    _ text: UnsafePointer<UInt8>, _ index: Int, _ end: Int
) -> (scalar: UInt32, length: Int) {
    let first = UInt32(text[index])
    let left = end - index

    @inline(__always) func continuation(_ at: Int) -> UInt32? {
        let byte = text[index + at]
        return byte & 0xC0 == 0x80 ? UInt32(byte & 0x3F) : nil
    }

    if first >= 0xC2, first < 0xE0 {
        guard left >= 2, let b = continuation(1) else { return (invalidScalar, 1) }
        return ((first & 0x1F) << 6 | b, 2)
    }
    if first >= 0xE0, first < 0xF0 {
        guard left >= 3, let b = continuation(1), let c = continuation(2) else {
            return (invalidScalar, 1)
        }
        let scalar = (first & 0x0F) << 12 | b << 6 | c
        guard scalar >= 0x800, scalar < 0xD800 || scalar > 0xDFFF else {
            return (invalidScalar, 1)
        }
        return (scalar, 3)
    }
    if first >= 0xF0, first < 0xF5 {
        guard left >= 4, let b = continuation(1), let c = continuation(2),
            let d = continuation(3)
        else { return (invalidScalar, 1) }
        let scalar = (first & 0x07) << 18 | b << 12 | c << 6 | d
        guard scalar >= 0x10000, scalar <= 0x10FFFF else { return (invalidScalar, 1) }
        return (scalar, 4)
    }
    return (invalidScalar, 1)
}

/// How many bytes at the end of `bytes` could be the beginning of a longer UTF-8 sequence (0 … 3).
func incompleteTail(_ bytes: some BidirectionalCollection<UInt8>) -> Int {
    var length = 0
    for byte in bytes.reversed().prefix(3) {
        length += 1
        if byte & 0xC0 == 0x80 { continue }
        let needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1
        return byte < 0xF5 && needed > length ? length : 0
    }
    return 0
}
