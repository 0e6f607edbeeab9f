import CUDABackend
import KVCache

/// SplitMix64: the tests' only source of randomness.
struct Random: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Sum of four uniform numbers less their mean: near enough to normal.
    mutating func value() -> Float {
        var sum: Float = 0
        for _ in 0..<4 { sum += Float(next() >> 40) / Float(1 << 24) }
        return (sum - 2) * 1.7
    }

    mutating func values(_ count: Int) -> [Float] { (0..<count).map { _ in value() } }
}

/// A format of K or of V and a head size that the GPU has tiles for.
struct TileCase: Sendable, CustomStringConvertible {
    var tensor: DeviceTileOrder.Tensor
    var headSize: Int
    var format: TensorFormat

    var description: String {
        let what =
            switch format {
            case .float16: "float16"
            case .grouped(let format): "\(format.bits) bits along \(format.axis)s \(format.mode)"
            case .codebook(let format): "codebook of \(format.bits) bits"
            case .rotated(let format): "rotated, \(format.bits) bits"
            }
        return "\(tensor) of \(headSize), \(what)"
    }

    var layout: TileLayout {
        tensor == .keys
            ? .keys(headSize: headSize, format: format)
            : .values(headSize: headSize, format: format)
    }

    /// All that the capability table promises, and lookup tiles of every head size.
    static let all: [TileCase] = {
        var cases: [TileCase] = []
        for d in DeviceCapability.headSizes {
            for tensor in DeviceTileOrder.Tensor.allCases {
                cases.append(TileCase(tensor: tensor, headSize: d, format: .float16))
                for bits in 2...4 {
                    cases.append(
                        TileCase(
                            tensor: tensor, headSize: d,
                            format: .codebook(CodebookFormat(bits: bits, vector: .token))))
                }
                for bits in 1...4 {
                    cases.append(
                        TileCase(
                            tensor: tensor, headSize: d,
                            format: .rotated(RotatedFormat(bits: bits))))
                }
                for axis in GroupAxis.allCases {
                    for mode in QuantizationMode.allCases {
                        for bits in [2, 3, 4, 8] {
                            let format = TensorFormat.grouped(
                                GroupedFormat(bits: bits, axis: axis, mode: mode))
                            let policy = CachePolicy(
                                name: "", keys: tensor == .keys ? format : .float16,
                                values: tensor == .values ? format : .float16, windows: .none)
                            if DeviceCapability.supports(policy) {
                                cases.append(
                                    TileCase(tensor: tensor, headSize: d, format: format))
                            }
                        }
                    }
                }
            }
        }
        return cases
    }()
}

extension CachePolicy {
    /// Whether keys or values have a lookup format.
    var hasLookup: Bool { formats.contains { $0.codebook != nil || $0.rotated != nil } }
}
