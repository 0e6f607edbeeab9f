/// Reads little-endian values from a mapped file, front to back, and refuses to step past its end.
struct ByteCursor {
    let file: MappedFile
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset: Int

    init(_ file: MappedFile, offset: Int = 0) {
        self.file = file
        bytes = file.bytes
        self.offset = offset
    }

    /// Bytes between the cursor and the end of the file.
    var remaining: Int { bytes.count - offset }

    func error(
        _ reason: ModelFileError.Reason, at offset: Int? = nil, _ detail: String
    ) -> ModelFileError {
        ModelFileError(reason, path: file.path, offset: offset ?? self.offset, detail)
    }

    private func requireBytes(_ count: Int, _ what: String) throws(ModelFileError) {
        guard count >= 0, count <= remaining else {
            throw error(
                .truncated,
                "\(what) needs \(count) bytes and only \(remaining) are left. "
                    + "The file is cut off or damaged; download it again.")
        }
    }

    /// The next integer.
    mutating func integer<T: FixedWidthInteger>(
        _ type: T.Type, _ what: String
    ) throws(ModelFileError) -> T {
        try requireBytes(MemoryLayout<T>.size, what)
        let value = bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
        offset += MemoryLayout<T>.size
        return T(littleEndian: value)
    }

    /// A 64-bit count of things that take at least `unit` bytes each in the rest of the file, so that a hostile count
    /// is refused before anything is allocated for it.
    mutating func count(unit: Int, _ what: String) throws(ModelFileError) -> Int {
        let start = offset
        let raw = try integer(UInt64.self, what)
        guard raw <= UInt64(remaining / unit) else {
            throw error(
                .truncated, at: start,
                "\(what) says \(raw), more than the file's last \(remaining) bytes can hold. "
                    + "The file is cut off or damaged; download it again.")
        }
        return Int(raw)
    }

    /// Steps over `count` bytes and returns them.
    @discardableResult
    mutating func take(_ count: Int, _ what: String) throws(ModelFileError)
        -> UnsafeRawBufferPointer
    {
        try requireBytes(count, what)
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    /// The bytes of a GGUF string: a 64-bit length, then that many bytes.
    mutating func stringBytes(_ what: String) throws(ModelFileError) -> UnsafeRawBufferPointer {
        let length = try count(unit: 1, what)
        return try take(length, what)
    }
}
