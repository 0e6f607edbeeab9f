/// How the elements of a weight tensor are stored, with GGML's names and block layouts.
///
/// A block holds ``blockSize`` consecutive elements of a row (the innermost axis) in ``blockBytes`` bytes:
///
///     f32   1      4        q5_0  32   22   d, 4 high-bit bytes, 16 nibble bytes
///     f16   1      2        q5_1  32   24   d, m, 4 high-bit bytes, 16 nibble bytes
///     bf16  1      2        q4_K  256  144  d, dmin, 12 six-bit scale bytes, 128 nibble bytes
///     q8_0  32     34       q5_K  256  176  as q4_K with 32 high-bit bytes before the nibbles
///     q4_0  32     18       q6_K  256  210  128 low-nibble, 64 high-bit, 16 int8 scale bytes, d
///     q4_1  32     20
///
/// `d`, `m` and `dmin` are float16.
public enum TensorType: String, Sendable, Hashable, CaseIterable, Codable {
    case f32, f16, bf16
    // The types' own names, as everyone writes them.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q8_0, q4_0, q4_1, q5_0, q5_1
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q4_K, q5_K, q6_K

    /// Elements of a row that are stored together.
    public var blockSize: Int {
        switch self {
        case .f32, .f16, .bf16: 1
        case .q8_0, .q4_0, .q4_1, .q5_0, .q5_1: 32
        case .q4_K, .q5_K, .q6_K: 256
        }
    }

    /// Bytes of one block.
    public var blockBytes: Int {
        switch self {
        case .f32: 4
        case .f16, .bf16: 2
        case .q8_0: 34
        case .q4_0: 18
        case .q4_1: 20
        case .q5_0: 22
        case .q5_1: 24
        case .q4_K: 144
        case .q5_K: 176
        case .q6_K: 210
        }
    }

    /// The number that GGUF files store for this type.
    public var ggmlID: UInt32 {
        switch self {
        case .f32: 0
        case .f16: 1
        case .bf16: 30
        case .q8_0: 8
        case .q4_0: 2
        case .q4_1: 3
        case .q5_0: 6
        case .q5_1: 7
        case .q4_K: 12
        case .q5_K: 13
        case .q6_K: 14
        }
    }

    /// The type with that GGUF number, `nil` if InnerQ does not read it.
    public init?(ggmlID: UInt32) {
        guard let type = Self.allCases.first(where: { $0.ggmlID == ggmlID }) else { return nil }
        self = type
    }

    /// Bytes of a row-major tensor of that shape (innermost axis last), or `nil` if the row length is not a whole number
    /// of blocks, an axis is not positive, or the count overflows.
    public func byteCount(shape: [Int]) -> Int? {
        guard let row = shape.last, row > 0, row % blockSize == 0 else { return nil }
        var bytes = row / blockSize
        for length in shape.dropLast() + [blockBytes] {
            guard length > 0 else { return nil }
            let (product, overflow) = bytes.multipliedReportingOverflow(by: length)
            if overflow { return nil }
            bytes = product
        }
        return bytes
    }

    /// GGML's name for a type number, also for types that InnerQ does not read; for error texts.
    static func ggmlName(_ id: UInt32) -> String {
        let names: [UInt32: String] = [
            4: "Q4_2", 5: "Q4_3", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS",
            17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S",
            23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M",
            34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
        ]
        return TensorType(ggmlID: id)?.rawValue ?? names[id] ?? "unknown"
    }

    /// All names, for error texts.
    static var supportedNames: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
