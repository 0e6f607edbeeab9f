/// The element types that safetensors headers name.
public enum SafetensorsType: String, Sendable, Hashable, CaseIterable {
    case f64 = "F64"
    case f32 = "F32"
    case f16 = "F16"
    case bf16 = "BF16"
    case i64 = "I64"
    case i32 = "I32"
    case i16 = "I16"
    case i8 = "I8"
    case u64 = "U64"
    case u32 = "U32"
    case u16 = "U16"
    case u8 = "U8"
    case bool = "BOOL"
    case f8E4M3 = "F8_E4M3"
    case f8E5M2 = "F8_E5M2"

    /// Bytes of one element.
    public var byteCount: Int {
        switch self {
        case .f64, .i64, .u64: 8
        case .f32, .i32, .u32: 4
        case .f16, .bf16, .i16, .u16: 2
        case .i8, .u8, .bool, .f8E4M3, .f8E5M2: 1
        }
    }

    /// The same as a weight type, if weights can have it.
    public var weightType: TensorType? {
        switch self {
        case .f32: .f32
        case .f16: .f16
        case .bf16: .bf16
        default: nil
        }
    }
}

/// One entry of a safetensors file: any element type, any shape (also empty axes and scalars).
public struct SafetensorsEntry: Sendable {
    public let name: String
    public let type: SafetensorsType
    /// Outermost axis first.
    public let shape: [Int]
    public let file: MappedFile
    /// Bytes from the start of the file.
    public let offset: Int
    public let byteCount: Int

    /// The elements, row-major, little-endian. Valid while this entry or its file is referenced. Not always aligned
    /// to the element size.
    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: file.bytes[offset..<offset + byteCount])
    }
}

/// The contents of a safetensors file.
///
///     header length u64 | header JSON { name: { dtype, shape, data_offsets: [begin, end] }, … } | data
///
/// Offsets count from the start of the data. The header is checked whole when the file is opened: known types, sizes
/// that match shapes, ranges inside the file that do not overlap. Memory use is bounded by the header's length, and
/// that by the file's and by ``longestHeader``.
/// Source: the format description in the safetensors project's README.
public struct SafetensorsReader: Sendable {
    /// Bytes; the format's own limit.
    public static let longestHeader = 100_000_000

    public let file: MappedFile
    /// Entries by their place in the file.
    public let entries: [SafetensorsEntry]
    /// The header's free-form `__metadata__`.
    public let metadata: [String: String]
    private let indices: [String: Int]

    /// Opens and checks the file at `path`.
    public init(path: String) throws(ModelFileError) {
        try self.init(file: MappedFile(path: path))
    }

    /// Checks a mapped file.
    ///
    /// - Throws: ``ModelFileError`` with the offset of the fault.
    public init(file: MappedFile) throws(ModelFileError) {
        var cursor = ByteCursor(file)
        let length = try cursor.count(unit: 1, "the header length")
        guard length <= Self.longestHeader else {
            throw cursor.error(
                .malformed, at: 0,
                "The header length \(length) is over the format's limit. The file is damaged; download it again."
            )
        }
        let header = try cursor.take(length, "the header")
        let json = try FileJSON(parsing: header, offset: 8, path: file.path)
        guard let members = json.members else {
            throw cursor.error(
                .notThisFormat, at: 8,
                "The header is no JSON object; this is not a safetensors file.")
        }
        var entries: [SafetensorsEntry] = []
        var metadata: [String: String] = [:]
        for (name, value) in members {
            if name == "__metadata__" {
                for (key, value) in value.members ?? [] { metadata[key] = value.string }
            } else {
                entries.append(try Self.entry(name, value, file: file, dataStart: cursor.offset))
            }
        }
        entries.sort { ($0.offset, $0.byteCount) < ($1.offset, $1.byteCount) }
        for (before, after) in zip(entries, entries.dropFirst())
        where before.offset + before.byteCount > after.offset {
            throw ModelFileError(
                .malformed, path: file.path,
                "The tensors \"\(before.name)\" and \"\(after.name)\" overlap. "
                    + "The file is damaged; download it again.")
        }
        self.file = file
        self.entries = entries
        self.metadata = metadata
        var indices: [String: Int] = [:]
        for (index, entry) in entries.enumerated() { indices[entry.name] = index }
        self.indices = indices
    }

    private static func entry(
        _ name: String, _ value: FileJSON, file: MappedFile, dataStart: Int
    ) throws(ModelFileError) -> SafetensorsEntry {
        func fault(_ reason: ModelFileError.Reason, _ what: String) -> ModelFileError {
            ModelFileError(reason, path: file.path, offset: 8, "The tensor \"\(name)\" \(what).")
        }
        guard let typeName = value["dtype"]?.string, let axes = value["shape"]?.array,
            let range = value["data_offsets"]?.array, range.count == 2,
            let begin = range[0].integer, let end = range[1].integer
        else {
            throw fault(
                .malformed,
                "lacks dtype, shape or data_offsets. The file is damaged; download it again")
        }
        guard let type = SafetensorsType(rawValue: typeName) else {
            throw fault(.unsupported, "has type \(typeName), which InnerQ does not read")
        }
        var shape: [Int] = []
        var bytes = type.byteCount
        for axis in axes {
            guard let length = axis.integer, length >= 0 else {
                throw fault(.malformed, "has a wrong shape. The file is damaged; download it again")
            }
            let (product, overflow) = bytes.multipliedReportingOverflow(by: length)
            guard !overflow else {
                throw fault(.malformed, "is too large. The file is damaged; download it again")
            }
            bytes = product
            shape.append(length)
        }
        let available = file.count - dataStart
        guard begin >= 0, begin <= end, end <= available else {
            throw fault(
                .truncated,
                "has its data at \(begin) ..< \(end) of \(available) bytes. The file is cut off; download it again"
            )
        }
        guard end - begin == bytes else {
            throw fault(
                .malformed,
                "needs \(bytes) bytes and has \(end - begin). The file is damaged; download it again"
            )
        }
        return SafetensorsEntry(
            name: name, type: type, shape: shape, file: file, offset: dataStart + begin,
            byteCount: bytes)
    }

    /// The entry of that name, if the file has one.
    public func entry(named name: String) -> SafetensorsEntry? {
        indices[name].map { entries[$0] }
    }

    /// The entry of that name as a weight.
    ///
    /// - Returns: `nil` if there is none.
    /// - Throws: ``ModelFileError`` with reason `wrongTensor` if it has an element type that weights cannot have, is
    ///   a scalar, or has an empty axis.
    public func tensor(named name: String) throws(ModelFileError) -> TensorView? {
        guard let entry = entry(named: name) else { return nil }
        guard let type = entry.type.weightType, type.byteCount(shape: entry.shape) != nil else {
            throw ModelFileError(
                .wrongTensor, path: file.path, offset: entry.offset,
                "The tensor \"\(name)\" has type \(entry.type.rawValue) and shape \(entry.shape); "
                    + "a weight is F32, F16 or BF16 and has elements. Use an unquantized checkpoint, or GGUF."
            )
        }
        return TensorView(
            name: name, type: type, shape: entry.shape, file: file, offset: entry.offset,
            byteCount: entry.byteCount)
    }
}
