import KVCache

extension KernelVariant {
    /// Policies whose formats together are all that the capability table has.
    static let catalogued: [CachePolicy] =
        CachePolicy.presets
        + [
            "innerq-base-official", "innerq-base-kernel", "innerq-hybrid-official",
            "innerq-hybrid-kernel",
        ]
        .compactMap { CachePolicy.preset(named: $0) } + others

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

    /// Append, seal and unpack kernels.
    static func cache() -> [KernelVariant] {
        var variants: Set<KernelVariant> = []
        for d in DeviceCapability.headSizes {
            variants.insert(.append(headSize: d))
            for policy in catalogued {
                let layer = policy.layer(0, of: 1)
                variants.insert(.seal(layer, headSize: d))
                variants.insert(.unpack(layer, headSize: d))
            }
        }
        return sorted(variants)
    }

    /// Decode kernels of every preset for one sequence, of the sizes that most models have.
    static var usual: [KernelVariant] {
        var variants: Set<KernelVariant> = []
        for policy in CachePolicy.presets {
            for ratio in [1, 4, 8] {
                let layer = DeviceLayout.Layer(
                    LayerShape(queryHeads: ratio, kvHeads: 1, headSize: 128),
                    policy.layer(0, of: 1))
                variants.insert(DecodeShape.choices(layer, sequences: 1)[0].variant)
            }
        }
        return sorted(variants)
    }

    /// Decode kernels, for every ratio of heads.
    static func decode() -> [KernelVariant] {
        var variants: Set<KernelVariant> = []
        for d in DeviceCapability.headSizes {
            for policy in catalogued {
                for ratio in 1...DeviceCapability.mostRatio {
                    let layer = DeviceLayout.Layer(
                        LayerShape(queryHeads: ratio, kvHeads: 1, headSize: d),
                        policy.layer(0, of: 1))
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
