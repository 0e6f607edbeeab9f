internal import CPUKernels

/// float16, as caches hold it.
enum Half {
    static let largest: Float = 65504

    /// Little endian; what is too large becomes the largest.
    static func bits(_ values: UnsafeBufferPointer<Float>) -> [UInt16] {
        var cut = [Float](values)
        for index in cut.indices { cut[index] = min(max(cut[index], -largest), largest) }
        return [UInt16](unsafeUninitializedCapacity: values.count) { bits, count in
            iq_float_to_half(cut, bits.baseAddress, values.count)
            for index in bits.indices { bits[index] = bits[index].littleEndian }
            count = values.count
        }
    }

    static func rounded(_ value: Float) -> Float {
        var (value, bits): (Float, UInt16) = (value, 0)
        iq_float_to_half(&value, &bits, 1)
        iq_half_to_float(&bits, &value, 1)
        return value
    }
}
