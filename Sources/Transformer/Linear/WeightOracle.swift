/// The plain meaning of every weight block, in float64 and one weight at a time: what the kernels are compared with.
///
/// Written from the layouts in `iq_weights.h`, without sharing a line with the kernels. Slow on purpose.
package enum WeightOracle {
    /// The weight at `index` of a row that starts at the first byte of `row`. Exact: all products of a float16,
    /// a sub-block scale and a code fit in a float64.
    package static func weight(
        _ type: WeightType, row: UnsafeRawBufferPointer, index: Int
    ) -> Double {
        let block = Block(
            bytes: UnsafeRawBufferPointer(
                rebasing: row[(index / type.blockElements * type.blockBytes)...]))
        let i = index % type.blockElements
        switch type {
        case .f32: return Double(Float(bitPattern: block.word(0)))
        case .f16: return block.half(0)
        case .bf16: return Double(Float(bitPattern: UInt32(block.short(0)) << 16))
        case .q8_0: return block.half(0) * Double(block.signed(2 + i))
        case .q4_0: return block.half(0) * Double(block.nibble(2, i) - 8)
        case .q4_1: return block.half(0) * Double(block.nibble(4, i)) + block.half(2)
        case .q5_0:
            let code = block.nibble(6, i) + 16 * block.bit(2, i)
            return block.half(0) * Double(code - 16)
        case .q5_1:
            let code = block.nibble(8, i) + 16 * block.bit(4, i)
            return block.half(0) * Double(code) + block.half(2)
        case .q4_K:
            let code = block.nibbleOf64(16, i)
            return block.half(0) * Double(block.kScale(i / 32)) * Double(code)
                - block.half(2) * Double(block.kMinimum(i / 32))
        case .q5_K:
            let fifth = block.byte(16 + i % 32) >> (i / 32) & 1
            let code = block.nibbleOf64(48, i) + 16 * fifth
            return block.half(0) * Double(block.kScale(i / 32)) * Double(code)
                - block.half(2) * Double(block.kMinimum(i / 32))
        case .q6_K:
            let part = i / 128
            let quarter = i % 128 / 32
            let low = block.byte(64 * part + i % 64) >> (quarter < 2 ? 0 : 4) & 15
            let high = block.byte(128 + 32 * part + i % 32) >> (2 * quarter) & 3
            let scale = block.signed(192 + i / 16)
            return block.half(208) * Double(scale) * Double(low + 16 * high - 32)
        }
    }

    /// All `columns` weights of a row.
    package static func row(
        _ type: WeightType, bytes: UnsafeRawBufferPointer, columns: Int
    ) -> [Double] {
        (0..<columns).map { weight(type, row: bytes, index: $0) }
    }

    /// A product in float64 and the sum of the magnitudes of its terms, which is what rounding errors of
    /// any order of summation are proportional to.
    package static func product(
        weights: [Double], activations: UnsafePointer<Float>
    ) -> (value: Double, magnitude: Double) {
        var value = 0.0
        var magnitude = 0.0
        for (k, weight) in weights.enumerated() {
            let term = weight * Double(activations[k])
            value += term
            magnitude += term.magnitude
        }
        return (value, magnitude)
    }

    /// Bytes of one block, read little endian.
    private struct Block {
        let bytes: UnsafeRawBufferPointer

        func byte(_ at: Int) -> Int { Int(bytes[at]) }
        func signed(_ at: Int) -> Int { Int(Int8(bitPattern: bytes[at])) }
        func short(_ at: Int) -> UInt16 { UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8 }
        func word(_ at: Int) -> UInt32 { UInt32(short(at)) | UInt32(short(at + 2)) << 16 }
        func bit(_ at: Int, _ i: Int) -> Int { byte(at + i / 8) >> (i % 8) & 1 }

        /// Code i of 32: low nibbles first.
        func nibble(_ at: Int, _ i: Int) -> Int {
            i < 16 ? byte(at + i) & 15 : byte(at + i - 16) >> 4
        }

        /// Code i of 256: low, then high nibbles of each 32 bytes.
        func nibbleOf64(_ at: Int, _ i: Int) -> Int {
            byte(at + i / 64 * 32 + i % 32) >> (i % 64 < 32 ? 0 : 4) & 15
        }

        /// Six-bit scale of sub-block s (bytes 4 to 15).
        func kScale(_ s: Int) -> Int {
            s < 4 ? byte(4 + s) & 63 : byte(8 + s) & 15 | (byte(s) >> 6) << 4
        }

        func kMinimum(_ s: Int) -> Int {
            s < 4 ? byte(8 + s) & 63 : byte(8 + s) >> 4 | (byte(4 + s) >> 6) << 4
        }

        /// An IEEE 754 binary16, by its definition.
        func half(_ at: Int) -> Double {
            let bits = Int(short(at))
            let exponent = bits >> 10 & 31
            let fraction = Double(bits & 1023)
            let magnitude: Double
            switch exponent {
            case 0: magnitude = fraction * 0x1p-24
            case 31: magnitude = fraction == 0 ? .infinity : .nan
            default:
                magnitude = Double(
                    sign: .plus, exponent: exponent - 15, significand: 1 + fraction / 1024)
            }
            return bits >> 15 == 1 ? -magnitude : magnitude
        }
    }
}
