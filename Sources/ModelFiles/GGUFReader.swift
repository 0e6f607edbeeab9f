/// The contents of a GGUF file, versions 2 and 3, little-endian: metadata and tensors.
///
///     "GGUF"  version u32  tensors u64  pairs u64
///     pairs   × ( key string, type u32, value )          string = length u64, bytes
///     tensors × ( name string, axes u32, ne u64 × axes, type u32, offset u64 )
///     padding to general.alignment (32 if absent)
///     data: each tensor at its offset from here, a multiple of the alignment
///
/// Everything is checked when the file is opened: afterwards no accessor can fail on a length. Memory use is
/// proportional to the number of keys and tensors, which the file's size bounds.
/// Source: the GGUF specification in ggml's `docs/gguf.md`.
public struct GGUFReader: Sendable {
    public let file: MappedFile
    public let version: UInt32
    /// Bytes; a power of two.
    public let alignment: Int
    /// Metadata by key.
    public let metadata: [String: GGUFValue]
    /// Keys in the file's order.
    public let keys: [String]
    /// Tensors in the file's order.
    public let tensors: [TensorView]
    private let indices: [String: Int]

    /// Opens and checks the file at `path`.
    public init(path: String) throws(ModelFileError) {
        try self.init(file: MappedFile(path: path))
    }

    /// Checks a mapped file.
    ///
    /// - Throws: ``ModelFileError`` with the offset of the first field at fault.
    public init(file: MappedFile) throws(ModelFileError) {
        self.file = file
        var cursor = ByteCursor(file)
        version = try Self.readVersion(&cursor)
        // A tensor's entry has at least a name length, an axis count, one axis, a type and an offset.
        let tensorCount = try cursor.count(unit: 32, "the tensor count")
        let pairCount = try cursor.count(unit: 13, "the metadata count")
        (metadata, keys) = try Self.readMetadata(&cursor, count: pairCount)
        alignment = try Self.readAlignment(metadata, cursor)
        (tensors, indices) = try Self.readTensors(&cursor, count: tensorCount, alignment: alignment)
    }

    /// The tensor of that name, if the file has one.
    public func tensor(named name: String) -> TensorView? { indices[name].map { tensors[$0] } }

    /// The metadata value of that key, if the file has one.
    public subscript(_ key: String) -> GGUFValue? { metadata[key] }
}

extension GGUFReader {
    private static func readVersion(_ cursor: inout ByteCursor) throws(ModelFileError) -> UInt32 {
        let magic = try cursor.take(4, "the magic number")
        guard magic.elementsEqual("GGUF".utf8) else {
            throw cursor.error(
                .notThisFormat, at: 0,
                "This is not a GGUF file: it does not begin with \"GGUF\". "
                    + "Give a .gguf file or a folder with config.json.")
        }
        let version = try cursor.integer(UInt32.self, "the version")
        if version.byteSwapped == 2 || version.byteSwapped == 3 {
            throw cursor.error(
                .notThisFormat, at: 4,
                "This GGUF file is big-endian. Convert the model again as little-endian.")
        }
        guard version == 2 || version == 3 else {
            throw cursor.error(
                .notThisFormat, at: 4,
                "GGUF version \(version) is not read; versions 2 and 3 are. "
                    + "Convert the model again with a current converter.")
        }
        return version
    }

    private static func readMetadata(
        _ cursor: inout ByteCursor, count: Int
    ) throws(ModelFileError) -> ([String: GGUFValue], [String]) {
        var values: [String: GGUFValue] = [:]
        var keys: [String] = []
        values.reserveCapacity(count)
        keys.reserveCapacity(count)
        for _ in 0..<count {
            let start = cursor.offset
            let key = try readName(&cursor, "a metadata key")
            let value = try readValue(&cursor, key: key)
            guard values.updateValue(value, forKey: key) == nil else {
                throw cursor.error(
                    .malformed, at: start,
                    "The metadata key \"\(key)\" appears twice. The file is damaged; download it again."
                )
            }
            keys.append(key)
        }
        return (values, keys)
    }

    private static func readName(
        _ cursor: inout ByteCursor, _ what: String
    ) throws(ModelFileError) -> String {
        let start = cursor.offset
        let bytes = try cursor.stringBytes(what)
        guard bytes.count <= 65535, let name = String(validating: bytes, as: UTF8.self) else {
            throw cursor.error(
                .malformed, at: start,
                "The length or the UTF-8 of \(what) is wrong. The file is damaged; download it again."
            )
        }
        return name
    }

    private static func readValue(
        _ cursor: inout ByteCursor, key: String
    ) throws(ModelFileError) -> GGUFValue {
        let start = cursor.offset
        let rawType = try cursor.integer(UInt32.self, "the type of \(key)")
        guard let type = GGUFType(rawValue: rawType) else {
            throw cursor.error(
                .malformed, at: start,
                "\(key) has the unknown type \(rawType). The file is damaged; download it again.")
        }
        switch type {
        case .uint8: return .unsigned(UInt64(try cursor.integer(UInt8.self, key)))
        case .uint16: return .unsigned(UInt64(try cursor.integer(UInt16.self, key)))
        case .uint32: return .unsigned(UInt64(try cursor.integer(UInt32.self, key)))
        case .uint64: return .unsigned(try cursor.integer(UInt64.self, key))
        case .int8: return .signed(Int64(try cursor.integer(Int8.self, key)))
        case .int16: return .signed(Int64(try cursor.integer(Int16.self, key)))
        case .int32: return .signed(Int64(try cursor.integer(Int32.self, key)))
        case .int64: return .signed(try cursor.integer(Int64.self, key))
        case .float32:
            return .float(Double(Float(bitPattern: try cursor.integer(UInt32.self, key))))
        case .float64: return .float(Double(bitPattern: try cursor.integer(UInt64.self, key)))
        case .bool: return .bool(try cursor.integer(UInt8.self, key) != 0)
        case .string:
            return .string(String(decoding: try cursor.stringBytes(key), as: UTF8.self))
        case .array: return .array(try GGUFArray(reading: &cursor, depth: 0, key: key))
        }
    }

    private static func readAlignment(
        _ metadata: [String: GGUFValue], _ cursor: ByteCursor
    ) throws(ModelFileError) -> Int {
        guard let value = metadata["general.alignment"] else { return 32 }
        guard let alignment = value.integer, alignment > 0, alignment <= 1 << 20,
            alignment & (alignment - 1) == 0
        else {
            throw ModelFileError(
                .malformed, path: cursor.file.path,
                "general.alignment is not a power of two up to 2^20. The file is damaged; download it again."
            )
        }
        return alignment
    }
}

extension GGUFReader {
    /// A tensor's entry, before the place of the data section is known.
    private struct Entry {
        var name: String
        var type: TensorType
        var shape: [Int]
        var byteCount: Int
        /// From the start of the data section.
        var offset: Int
        /// Of the entry itself, for errors.
        var place: Int
    }

    private static func readTensors(
        _ cursor: inout ByteCursor, count: Int, alignment: Int
    ) throws(ModelFileError) -> ([TensorView], [String: Int]) {
        var entries: [Entry] = []
        var indices: [String: Int] = [:]
        entries.reserveCapacity(count)
        indices.reserveCapacity(count)
        for index in 0..<count {
            let entry = try readEntry(&cursor, alignment: alignment)
            guard indices.updateValue(index, forKey: entry.name) == nil else {
                throw cursor.error(
                    .malformed, at: entry.place,
                    "The tensor \"\(entry.name)\" appears twice. The file is damaged; download it again."
                )
            }
            entries.append(entry)
        }
        if entries.isEmpty { return ([], [:]) }

        // The cursor is inside the file and the alignment at most 2^20, so this cannot overflow.
        let dataStart = (cursor.offset + alignment - 1) & ~(alignment - 1)
        let dataBytes = cursor.file.count - dataStart
        for entry in entries {
            // Both terms are below 2^62, see `readEntry`.
            guard entry.offset + entry.byteCount <= dataBytes else {
                throw cursor.error(
                    .truncated, at: entry.place,
                    "The data of tensor \"\(entry.name)\" ends past the end of the file. "
                        + "The file is cut off; download it again.")
            }
        }
        let ordered = entries.sorted { $0.offset < $1.offset }
        for (before, after) in zip(ordered, ordered.dropFirst())
        where before.offset + before.byteCount > after.offset {
            throw cursor.error(
                .malformed, at: after.place,
                "The tensors \"\(before.name)\" and \"\(after.name)\" overlap. "
                    + "The file is damaged; download it again.")
        }
        let views = entries.map {
            TensorView(
                name: $0.name, type: $0.type, shape: $0.shape, file: cursor.file,
                offset: dataStart + $0.offset, byteCount: $0.byteCount)
        }
        return (views, indices)
    }

    private static func readEntry(
        _ cursor: inout ByteCursor, alignment: Int
    ) throws(ModelFileError) -> Entry {
        let place = cursor.offset
        let name = try readName(&cursor, "a tensor name")
        let axes = try cursor.integer(UInt32.self, "the axis count of \(name)")
        guard (1...4).contains(axes) else {
            throw cursor.error(
                .malformed, at: place,
                "The tensor \"\(name)\" has \(axes) axes instead of 1 to 4. The file is damaged; download it again."
            )
        }
        var shape: [Int] = []
        for _ in 0..<axes {
            // Anything out of range becomes 0, which `byteCount` refuses.
            let length = try cursor.integer(UInt64.self, "an axis of \(name)")
            shape.append(Int(exactly: length) ?? 0)
        }
        shape.reverse()  // The file has the innermost axis first.
        let rawType = try cursor.integer(UInt32.self, "the type of \(name)")
        let offset = try cursor.integer(UInt64.self, "the offset of \(name)")
        guard let type = TensorType(ggmlID: rawType) else {
            throw cursor.error(
                .unsupported, at: place,
                "The tensor \"\(name)\" has type \(TensorType.ggmlName(rawType)) (\(rawType)), which InnerQ does "
                    + "not read. Use a file with \(TensorType.supportedNames), for example Q4_K_M or Q8_0."
            )
        }
        guard let byteCount = type.byteCount(shape: shape) else {
            throw cursor.error(
                .malformed, at: place,
                "The shape \(shape) of tensor \"\(name)\" does not fit its type \(type.rawValue). "
                    + "The file is damaged; download it again.")
        }
        guard byteCount <= cursor.file.count else {
            throw cursor.error(
                .truncated, at: place,
                "The tensor \"\(name)\" needs \(byteCount) bytes, more than the whole file has. "
                    + "The file is cut off; download it again.")
        }
        guard let offset = Int(exactly: offset), offset <= cursor.file.count,
            offset % alignment == 0
        else {
            throw cursor.error(
                .malformed, at: place,
                "The offset \(offset) of tensor \"\(name)\" is not a multiple of \(alignment) inside the file. "
                    + "The file is damaged; download it again.")
        }
        return Entry(
            name: name, type: type, shape: shape, byteCount: byteCount, offset: offset,
            place: place)
    }
}
