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
        bits = Int32(format.codeBits ?? 16)
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
        let place = iq_code_bit(
            kind == IQ_INNER ? 1 : 0, bits, headSize, fragment(token: token, channel: channel),
            Int32(bit))
        return 32 * Int(place.word) + Int(place.shift)
    }
}

extension TensorFormat {
    /// How the GPU stores and multiplies tiles of the format.
    package func deviceKind(_ tensor: DeviceTileOrder.Tensor) -> iq_tile_kind {
        switch self {
        case .float16: return IQ_HALF
        case .grouped(let grouped):
            let inner: GroupAxis = tensor == .keys ? .channel : .token
            return grouped.axis == inner ? IQ_INNER : IQ_OUTER
        case .codebook, .rotated: return IQ_LOOKUP
        }
    }

    /// What the codes of a lookup format are laid over.
    package var deviceLookup: iq_lookup {
        switch self {
        case .float16, .grouped: IQ_NO_LOOKUP
        case .codebook(let format):
            format.vector == .channel ? IQ_CHANNEL_RANGES : IQ_TOKEN_RANGES
        case .rotated: IQ_ROTATED
        }
    }
}
