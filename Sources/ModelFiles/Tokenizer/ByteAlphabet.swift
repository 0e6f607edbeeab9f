/// GPT-2's printable spelling of bytes: every byte is written as one character.
///
/// Printable Latin-1 bytes stand for themselves (`!` … `~`, `¡` … `¬`, `®` … `ÿ`); the other 68 are
/// U+0100, U+0101, … in order. So a blank is `Ġ` (U+0120) and a line feed `Ċ` (U+010A).
enum ByteAlphabet {
    /// For each byte the scalar that stands for it.
    static let scalars: [UInt32] = {
        var next: UInt32 = 0x100
        return (0..<256).map { (byte: UInt32) -> UInt32 in
            let isPrintable =
                (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte)
                || (0xAE...0xFF).contains(byte)
            if isPrintable { return byte }
            defer { next += 1 }
            return next
        }
    }()

    /// For each scalar below U+0144 the byte that it stands for, or -1.
    private static let bytes: [Int16] = {
        var table = [Int16](repeating: -1, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { table[Int(scalar)] = Int16(byte) }
        return table
    }()

    /// The bytes that a piece spells, or `nil` if it holds a character outside of the alphabet.
    static func bytes(spelledBy piece: [UInt8]) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(piece.count)
        return piece.withUnsafeBufferPointer { buffer -> [UInt8]? in
            guard let base = buffer.baseAddress else { return [] }
            var index = 0
            while index < buffer.count {
                let (scalar, length) = readScalar(base, index, buffer.count)
                guard scalar < 0x144, bytes[Int(scalar)] >= 0 else { return nil }
                result.append(UInt8(truncatingIfNeeded: bytes[Int(scalar)]))
                index += length
            }
            return result
        }
    }

    /// The spelling of one byte, in UTF-8.
    static func spelling(of byte: UInt8) -> [UInt8] {
        Array(String(Unicode.Scalar(UInt16(scalars[Int(byte)]))!).utf8)
    }
}
