import ModelFiles

/// A vector file with its entries as arrays.
struct VectorFile {
    let reader: SafetensorsReader
    let name: String

    func has(_ key: String) -> Bool { reader.entry(named: key) != nil }

    func shape(_ key: String, rank: Int) throws -> [Int] {
        let shape = try entry(key).shape
        guard shape.count == rank else {
            throw VectorVerification.Failure.malformed(
                file: name, "'\(key)' must have \(rank) axes")
        }
        return shape
    }

    func floats(_ key: String) throws -> [Float] {
        let entry = try entry(key)
        guard entry.type == .f32 else {
            throw VectorVerification.Failure.malformed(file: name, "'\(key)' must be F32")
        }
        let bytes = entry.bytes
        return (0..<bytes.count / 4).map {
            bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)
        }
    }

    func integers(_ key: String) throws -> [Int] {
        let entry = try entry(key)
        let bytes = entry.bytes
        switch entry.type {
        case .i32:
            return (0..<bytes.count / 4).map {
                Int(bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self))
            }
        case .u8: return bytes.map { Int($0) }
        case .i8: return bytes.map { Int(Int8(bitPattern: $0)) }
        default:
            throw VectorVerification.Failure.malformed(file: name, "'\(key)' must be I32, U8 or I8")
        }
    }

    private func entry(_ key: String) throws -> SafetensorsEntry {
        guard let entry = reader.entry(named: key) else {
            throw VectorVerification.Failure.malformed(file: name, "'\(key)' is missing")
        }
        return entry
    }
}
