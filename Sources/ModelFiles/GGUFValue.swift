/// The type numbers of GGUF metadata.
public enum GGUFType: UInt32, Sendable, Hashable {
    case uint8 = 0
    case int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of a value in the file; the least possible for strings (a length) and arrays (a type and a length).
    var minimumBytes: Int {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64, .string: 8
        case .array: 12
        }
    }
}

/// A metadata value. Integers are widened; arrays stay in the file until asked for.
public enum GGUFValue: Sendable {
    case unsigned(UInt64)
    case signed(Int64)
    case float(Double)
    case bool(Bool)
    /// Damaged UTF-8 is repaired with U+FFFD here; arrays of strings give the exact bytes.
    case string(String)
    case array(GGUFArray)

    /// The value as an integer, if it is one and fits.
    public var integer: Int? {
        switch self {
        case .unsigned(let value): Int(exactly: value)
        case .signed(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The value as a number, if it is one.
    public var number: Double? {
        switch self {
        case .unsigned(let value): Double(value)
        case .signed(let value): Double(value)
        case .float(let value): value
        default: nil
        }
    }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var array: GGUFArray? { if case .array(let value) = self { value } else { nil } }
}

/// An array in GGUF metadata, left in the mapped file: a vocabulary of 262 144 pieces costs nothing until it is read.
///
/// Its lengths were checked when the file was opened.
public struct GGUFArray: Sendable {
    public let elementType: GGUFType
    public let count: Int
    let file: MappedFile
    /// Of the first element.
    let offset: Int

    /// The exact bytes of each string; `nil` if the elements are not strings.
    public func strings() -> [[UInt8]]? {
        guard elementType == .string else { return nil }
        return elements { cursor throws(ModelFileError) in
            [UInt8](try cursor.stringBytes("a string"))
        }
    }

    /// The elements as floats; `nil` if they are not numbers.
    public func floats() -> [Float]? {
        switch elementType {
        case .float32:
            elements { cursor throws(ModelFileError) in
                Float(bitPattern: try cursor.integer(UInt32.self, "a float"))
            }
        case .float64:
            elements { cursor throws(ModelFileError) in
                Float(Double(bitPattern: try cursor.integer(UInt64.self, "a float")))
            }
        default: integers()?.map { Float($0) }
        }
    }

    /// The elements as integers (booleans as 0 and 1; unsigned values beyond 2⁶³ saturate); `nil` if they are
    /// neither.
    public func integers() -> [Int64]? {
        switch elementType {
        case .uint8, .bool: integers(UInt8.self)
        case .int8: integers(Int8.self)
        case .uint16: integers(UInt16.self)
        case .int16: integers(Int16.self)
        case .uint32: integers(UInt32.self)
        case .int32: integers(Int32.self)
        case .uint64: integers(UInt64.self)
        case .int64: integers(Int64.self)
        default: nil
        }
    }

    /// The inner arrays; `nil` if the elements are not arrays.
    public func arrays() -> [GGUFArray]? {
        guard elementType == .array else { return nil }
        return elements { cursor throws(ModelFileError) in
            try GGUFArray(reading: &cursor, depth: 1, key: "an inner array")
        }
    }

    private func integers<T: FixedWidthInteger>(_ type: T.Type) -> [Int64]? {
        elements { cursor throws(ModelFileError) in
            Int64(clamping: try cursor.integer(type, "an integer"))
        }
    }

    private func elements<T>(
        _ read: (inout ByteCursor) throws(ModelFileError) -> T
    ) -> [T]? {
        withExtendedLifetime(file) {
            var cursor = ByteCursor(file, offset: offset)
            var result: [T] = []
            result.reserveCapacity(count)
            for _ in 0..<count {
                // Cannot fail: the same walk succeeded when the file was opened.
                guard let value = try? read(&cursor) else { return nil }
                result.append(value)
            }
            return result
        }
    }
}

extension GGUFArray {
    /// Arrays in arrays deeper than this are refused; no known file has any.
    private static let deepest = 8

    /// Reads an array's header and steps over its elements, checking every length on the way.
    init(reading cursor: inout ByteCursor, depth: Int, key: String) throws(ModelFileError) {
        let start = cursor.offset
        let rawType = try cursor.integer(UInt32.self, "the element type of \(key)")
        guard let type = GGUFType(rawValue: rawType) else {
            throw cursor.error(
                .malformed, at: start,
                "\(key) is an array of unknown type \(rawType). The file is damaged; download it again."
            )
        }
        guard depth < Self.deepest else {
            throw cursor.error(
                .malformed, at: start,
                "\(key) nests arrays more than \(Self.deepest) deep. The file is damaged; download it again."
            )
        }
        let count = try cursor.count(unit: type.minimumBytes, "the element count of \(key)")
        elementType = type
        self.count = count
        file = cursor.file
        offset = cursor.offset
        switch type {
        case .string:
            for _ in 0..<count { _ = try cursor.stringBytes("a string of \(key)") }
        case .array:
            for _ in 0..<count {
                _ = try GGUFArray(reading: &cursor, depth: depth + 1, key: key)
            }
        default: try cursor.take(count * type.minimumBytes, "the elements of \(key)")
        }
    }
}
