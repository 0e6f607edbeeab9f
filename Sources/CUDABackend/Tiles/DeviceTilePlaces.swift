package import CUDAKernels
package import KVCache

/// Where the elements of a device tile lie: iq_device_tile.h, asked from Swift.
package struct DeviceTilePlaces: Sendable {
    private let tensor: DeviceTileOrder.Tensor
    private let headSize: Int32
    private let bits: Int32
    private let kind: iq_tile_kind

    package init(_ tensor: DeviceTileOrder.Tensor, headSize: Int, format: TensorFormat) {
        self.tensor = tensor
        self.headSize = Int32(headSize)
        bits = Int32(format.grouped?.bits ?? 16)
        kind = format.deviceKind(tensor)
    }

    private func fragment(token: Int, channel: Int) -> iq_fragment_place {
        let isInteger: Int32 = kind == IQ_INNER ? 1 : 0
        return tensor == .keys
            ? iq_key_fragment(isInteger, Int32(token), Int32(channel))
            : iq_value_fragment(isInteger, Int32(token), Int32(channel))
    }

    /// Index of an element of a float16 tile, in float16s.
    package func half(token: Int, channel: Int) -> Int {
        Int(iq_half_index(fragment(token: token, channel: channel)))
    }

    /// Index of the scale, and of the zero point, of an element's group.
    package func scale(token: Int, channel: Int) -> Int {
        tensor == .keys
            ? Int(iq_key_scale(Int32(kind.rawValue), Int32(token), Int32(channel)))
            : Int(iq_value_scale(Int32(kind.rawValue), headSize, Int32(token), Int32(channel)))
    }

    /// Where bit `bit` of a code lies: bits from the start of the tile, little endian.
    package func bit(_ bit: Int, token: Int, channel: Int) -> Int {
        let place = iq_code(
            kind == IQ_INNER ? 1 : 0, bits, headSize, fragment(token: token, channel: channel))
        guard place.low_word >= 0 else { return 32 * Int(place.word) + Int(place.shift) + bit }
        return bit == 0
            ? 32 * Int(place.low_word) + Int(place.low_shift)
            : 32 * Int(place.word) + Int(place.shift) + bit - 1
    }
}

extension TensorFormat {
    /// How the GPU stores and multiplies tiles of the format.
    package func deviceKind(_ tensor: DeviceTileOrder.Tensor) -> iq_tile_kind {
        guard let grouped else { return IQ_HALF }
        let inner: GroupAxis = tensor == .keys ? .channel : .token
        return grouped.axis == inner ? IQ_INNER : IQ_OUTER
    }
}
