/// bfloat16, the upper half of a float32: gradients are stored in it, whose range matters more than their digits.
package enum BrainFloat {
    /// Rounded to the nearest, half to even. Infinities and NaN stay what they are.
    package static func bits(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        guard bits & 0x7F80_0000 != 0x7F80_0000 else {
            return UInt16(bits >> 16) | (bits & 0xFFFF != 0 ? 1 : 0)
        }
        return UInt16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
    }

    package static func value(_ bits: UInt16) -> Float {
        Float(bitPattern: UInt32(bits) << 16)
    }
}
