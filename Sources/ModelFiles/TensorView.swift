/// A tensor inside a mapped file: a name, a type, a shape and the place of its bytes. Copies share the file.
public struct TensorView: Sendable {
    /// The name that the file gives it.
    public let name: String
    public let type: TensorType
    /// Axis lengths, outermost first, each at least 1. A weight that maps `in` to `out` features has shape `[out, in]`
    /// (GGUF writes the same tensor as `ne = [in, out]`).
    public let shape: [Int]
    /// The file, kept mapped as long as any view of it lives.
    public let file: MappedFile
    /// Bytes from the start of the file to the first element.
    public let offset: Int
    /// Bytes of all elements; `offset + byteCount` is inside the file.
    public let byteCount: Int

    /// The elements, row-major. Valid while this view, a copy of it, or its file is referenced.
    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: file.bytes[offset..<offset + byteCount])
    }

    /// The product of ``shape``.
    public var elementCount: Int { byteCount / type.blockBytes * type.blockSize }
    /// All axes but the innermost, multiplied.
    public var rows: Int { elementCount / columns }
    /// The innermost axis.
    public var columns: Int { shape[shape.count - 1] }

    /// The caller has checked that the range lies in the file and fits the shape.
    init(
        name: String, type: TensorType, shape: [Int], file: MappedFile, offset: Int, byteCount: Int
    ) {
        self.name = name
        self.type = type
        self.shape = shape
        self.file = file
        self.offset = offset
        self.byteCount = byteCount
    }

    /// All elements as float32, for small tensors such as norms and biases.
    ///
    /// - Returns: ``elementCount`` values, or `nil` for block-quantized types.
    public func floats() -> [Float]? {
        withExtendedLifetime(file) {
            let bytes = self.bytes
            switch type {
            case .f32:
                return [Float](unsafeUninitializedCapacity: elementCount) { out, count in
                    UnsafeMutableRawBufferPointer(out).copyMemory(from: bytes)
                    count = elementCount
                }
            case .f16:
                return (0..<elementCount).map {
                    let bits = bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)
                    return Self.widen(half: UInt16(littleEndian: bits))
                }
            case .bf16:
                return (0..<elementCount).map {
                    let bits = bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)
                    return Float(bitPattern: UInt32(UInt16(littleEndian: bits)) << 16)
                }
            default: return nil
            }
        }
    }

    /// float16 bits to float32, without the `Float16` type that x86 macOS lacks.
    private static func widen(half bits: UInt16) -> Float {
        let sign = UInt32(bits & 0x8000) << 16
        let exponent = UInt32(bits >> 10) & 0x1F
        let fraction = UInt32(bits & 0x3FF)
        switch exponent {
        case 0:
            let magnitude = Float(fraction) * 0x1p-24
            return Float(bitPattern: magnitude.bitPattern | sign)
        case 31: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
        default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
        }
    }
}
