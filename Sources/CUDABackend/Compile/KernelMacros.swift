import CUDADriver
import CUDAKernels
import KVCache

/// What kernels are specialised by, as macros.
extension TensorFormat {
    /// `IQ_KEY_KIND`, `_BITS` and `_MODE`, or the same of `IQ_VALUE`; the mode of lookup formats is `enum iq_lookup`.
    func definitions(_ tensor: DeviceTileOrder.Tensor) -> [String: Int] {
        let name = tensor.macro
        return [
            "\(name)_KIND": Int(deviceKind(tensor).rawValue),
            "\(name)_BITS": codeBits ?? 16,
            "\(name)_MODE": grouped?.mode.number ?? Int(deviceLookup.rawValue),
        ]
    }

    /// `IQ_KEY_LEVELS`, or that of `IQ_VALUE`: which multiples of the scale a symmetric code may stand for.
    func levels(_ tensor: DeviceTileOrder.Tensor) -> [String: Int] {
        // Without symmetric groups they make no difference, and the kernel is the same.
        let levels = grouped?.mode == .asymmetric ? nil : grouped?.levels
        return ["\(tensor.macro)_LEVELS": levels?.number ?? 0]
    }
}

extension LayerShape {
    /// `enum iq_pre_rotary`: how keys that are stored as they are before RoPE are turned.
    func preRotary(_ policy: LayerPolicy) -> iq_pre_rotary {
        guard policy.keys.codebook?.preRotary == true, let rotary else { return IQ_POST_ROTARY }
        return rotary.pairing == .halfSplit ? IQ_HALF_SPLIT : IQ_INTERLEAVED
    }
}

extension DeviceTileOrder.Tensor {
    var macro: String { self == .keys ? "IQ_KEY" : "IQ_VALUE" }
}

extension QuantizationMode {
    /// `enum iq_mode`.
    var number: Int {
        switch self {
        case .symmetric: 0
        case .asymmetric: 1
        case .hybrid: 2
        }
    }
}

extension LevelSet {
    /// `enum iq_levels`.
    var number: Int {
        switch self {
        case .official: 0
        case .kernel: 1
        case .fullRange: 2
        }
    }
}

extension [String: Int] {
    static func + (left: [String: Int], right: [String: Int]) -> [String: Int] {
        left.merging(right) { $1 }
    }
}
