import CUDAKernels
import KVCache

extension KernelVariant {
    /// Policies whose formats together are all that the capability table has.
    static let catalogued: [CachePolicy] =
        CachePolicy.presets
        + [
            "innerq-base-official", "innerq-base-kernel", "innerq-hybrid-official",
            "innerq-hybrid-kernel",
        ]
        .compactMap { CachePolicy.preset(named: $0) } + others + lookups

    /// Each format of keys and of values that no preset has, in pairs.
    private static let others: [CachePolicy] = {
        func formats(
            _ axis: GroupAxis, _ bits: [Int], _ modes: [QuantizationMode]
        ) -> [TensorFormat] {
            modes.flatMap { mode in
                bits.map { .grouped(GroupedFormat(bits: $0, axis: axis, mode: mode)) }
            }
        }
        let keys =
            formats(.channel, [2, 3, 4, 8], [.symmetric])
            + formats(.token, [2, 4, 8], [.symmetric, .asymmetric])
        let values =
            formats(.token, [2, 3, 4, 8], [.symmetric, .asymmetric, .hybrid])
            + formats(.channel, [2, 4, 8], [.symmetric, .asymmetric])
        return (0..<max(keys.count, values.count)).map {
            CachePolicy(
                name: "format \($0)", keys: keys[$0 % keys.count],
                values: values[$0 % values.count], windows: .none)
        } + [
            CachePolicy(
                name: "keys only", keys: CachePolicy.innerQBase.keys, values: .float16,
                windows: .none, keyNormalization: .published),
            CachePolicy(
                name: "values only", keys: .float16, values: CachePolicy.innerQBase.values,
                windows: .none),
        ]
    }()

    /// Each lookup format of keys and of values, with one another and with others.
    private static let lookups: [CachePolicy] = {
        let formats =
            CodebookVector.allCases.flatMap { vector in
                [2, 3, 4].map { TensorFormat.codebook(CodebookFormat(bits: $0, vector: vector)) }
            } + (1...4).map { TensorFormat.rotated(RotatedFormat(bits: $0)) }
        let turned = CodebookFormat(bits: 3, vector: .token, preRotary: true)
        let base = CachePolicy.innerQBase
        var pairs = zip(formats, formats.reversed()).map { ($0, $1) }
        pairs += [
            (.codebook(turned), base.values), (base.keys, formats[4]),
            (.float16, formats[1]), (formats[9], .float16), (base.keys, formats[8]),
        ]
        return pairs.enumerated().map { index, formats in
            CachePolicy(
                name: "lookup \(index)", keys: formats.0, values: formats.1, windows: .none,
                keyNormalization: base.keyNormalization)
        }
    }()

    /// The layers that kernels are made for: every format with every head size that it is supported with, and every way
    /// of RoPE where a format undoes it.
    private static func layers(headSize d: Int, ratio: Int = 1) -> [DeviceLayout.Layer] {
        catalogued.flatMap { policy -> [DeviceLayout.Layer] in
            let policy = policy.layer(0, of: 1)
            let isPreRotary = policy.keys.codebook?.preRotary == true
            let pairings: [RotaryShape.Pairing?] = isPreRotary ? [.halfSplit, .interleaved] : [nil]
            return pairings.compactMap { pairing -> DeviceLayout.Layer? in
                let shape = LayerShape(
                    queryHeads: ratio, kvHeads: 1, headSize: d,
                    rotary: pairing.map {
                        RotaryShape(
                            pairing: $0, frequencies: Array(repeating: 0, count: d / 2))
                    })
                guard DeviceCapability.supports(policy, headSize: d) else { return nil }
                return DeviceLayout.Layer(shape, policy)
            }
        }
    }

    /// Append, seal and unpack kernels.
    static func cache() -> [KernelVariant] {
        var variants: Set<KernelVariant> = []
        for d in DeviceCapability.headSizes {
            variants.insert(.append(headSize: d))
            for layer in layers(headSize: d) {
                for seal in SealLaunch.all(layer) { variants.insert(seal.variant) }
                variants.insert(.unpack(layer))
            }
        }
        return sorted(variants)
    }

    /// Decode kernels of every preset for one sequence, of the sizes that most models have.
    static var usual: [KernelVariant] {
        var variants: Set<KernelVariant> = []
        for ratio in [1, 4, 8] {
            for layer in layers(headSize: 128, ratio: ratio)
            where CachePolicy.presets.contains(where: { $0.layer(0, of: 1) == layer.policy })
                && (ratio == 4 || !layer.hasTables)
            {
                variants.insert(DecodeShape.choices(layer, sequences: 1)[0].variant)
            }
        }
        return sorted(variants)
    }

    /// Decode kernels, for every ratio of heads.
    static func decode() -> [KernelVariant] {
        var variants: Set<KernelVariant> = []
        for d in DeviceCapability.headSizes {
            for ratio in 1...DeviceCapability.mostRatio {
                for layer in layers(headSize: d, ratio: ratio) {
                    for sequences in DecodeShape.sequenceCounts {
                        for shape in DecodeShape.choices(layer, sequences: sequences) {
                            variants.insert(shape.variant)
                        }
                    }
                }
            }
        }
        return sorted(variants)
    }

    /// Prompt kernels, and the bandwidth probe.
    static func prefill(for architecture: String) -> [KernelVariant] {
        let kinds = architecture == "sm_90a" ? [false, true] : [false]
        return DeviceCapability.headSizes.flatMap { d in
            kinds.map { KernelVariant.prefill(headSize: d, hopper: $0) }
        } + [.probe]
    }

    private static func sorted(_ variants: Set<KernelVariant>) -> [KernelVariant] {
        variants.sorted { $0.description < $1.description }
    }
}
