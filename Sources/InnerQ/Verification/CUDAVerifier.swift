import CUDABackend
import CUDADriver
import KVCache
import Threading

/// The GPU with what the checks share.
final class CUDAVerifier {
    let context: CUDAContext
    let device: CUDACacheDevice
    let workers = WorkerPool(threads: WorkerPool.recommendedThreads)
    let isQuick: Bool
    let sizes: [Int]
    let policies: [CachePolicy]

    init(isQuick: Bool) throws {
        context = try CUDAContext()
        device = try CUDACacheDevice(context, kernels: try KernelCache(context))
        self.isQuick = isQuick
        sizes = isQuick ? [64] : CUDAVerification.headSizes
        let presets = CachePolicy.presets.map { $0.withStatistics(fromTokens: 256) }
        policies = isQuick ? presets : presets + Self.others
    }

    /// Formats that no preset has, and odd windows.
    private static let others: [CachePolicy] = {
        func make(
            _ name: String, _ keys: GroupedFormat?, _ values: GroupedFormat?, sink: Int,
            recent: Int, normalization: KeyNormalization? = nil
        ) -> CachePolicy {
            CachePolicy(
                name: name, keys: keys.map { .grouped($0) } ?? .float16,
                values: values.map { .grouped($0) } ?? .float16,
                windows: CacheWindows(sink: sink, recent: recent),
                keyNormalization: normalization)
        }
        func format(
            _ bits: Int, _ axis: GroupAxis, _ mode: QuantizationMode = .symmetric,
            _ levels: LevelSet = .fullRange
        ) -> GroupedFormat {
            GroupedFormat(bits: bits, axis: axis, mode: mode, levels: levels)
        }
        return [
            CachePolicy.preset(named: "innerq-base-official"),
            CachePolicy.preset(named: "innerq-hybrid-kernel"),
            make("k2 v8", format(2, .channel), format(8, .token), sink: 5, recent: 17),
            make(
                "k4 v4 hybrid", format(4, .channel, .symmetric, .kernel),
                format(4, .token, .hybrid), sink: 40, recent: 64,
                normalization: KeyNormalization(
                    centred: false, exponent: 0.5, queryExponent: 0.5, tokens: 150)),
            make(
                "k8 outer v8 outer", format(8, .token, .asymmetric),
                format(8, .channel, .asymmetric), sink: 0, recent: 0),
            make(
                "k4 outer v3 asymmetric", format(4, .token), format(3, .token, .asymmetric),
                sink: 32, recent: 1),
            make(
                "k8 v2 asymmetric", format(8, .channel), format(2, .token, .asymmetric), sink: 1,
                recent: 31),
            make(
                "k2 outer v4 outer", format(2, .token, .symmetric, .official),
                format(4, .channel), sink: 0, recent: 33),
            make("k16 v3", nil, format(3, .token), sink: 32, recent: 32),
            make(
                "k3 v16", format(3, .channel), nil, sink: 32, recent: 32,
                normalization: .published),
        ].compactMap { $0 } + lookups
    }()

    /// Lookup formats that no preset has: ranges from the sequence itself, other vectors, mixed with groups and float16.
    private static let lookups: [CachePolicy] = {
        func make(
            _ name: String, _ keys: TensorFormat, _ values: TensorFormat, sink: Int, recent: Int,
            normalization: KeyNormalization? = nil
        ) -> CachePolicy {
            CachePolicy(
                name: name, keys: keys, values: values,
                windows: CacheWindows(sink: sink, recent: recent), keyNormalization: normalization)
        }
        func rotated(_ bits: Int, seed: UInt64 = 1) -> TensorFormat {
            .rotated(RotatedFormat(bits: bits, seed: seed))
        }
        let base = CachePolicy.innerQBase
        let quantized = CachePolicy.kvQuant(bits: 3, outliers: 0.01)
        return [
            quantized.online(tokens: 150),
            CachePolicy.preset(named: "kvquant-nf4-5%-post-vchannel"),
            CachePolicy.preset(named: "kvquant-int2-0.3%-token"),
            CachePolicy.preset(named: "turboquant-2-1"),
            CachePolicy.preset(named: "turboquant-1-4"),
            make("kvquant keys, grouped values", quantized.keys, base.values, sink: 5, recent: 17),
            make(
                "normalized keys, kvquant values", base.keys, quantized.values, sink: 32,
                recent: 0, normalization: .published),
            make(
                "innerq keys, turboquant values", base.keys, rotated(3), sink: 32, recent: 96,
                normalization: base.withStatistics(fromTokens: 256).keyNormalization),
            make("turboquant keys, float16", rotated(4), .float16, sink: 0, recent: 33),
            make(
                "turboquant keys, kvquant values", rotated(2), quantized.values, sink: 1, recent: 0),
            make("two rotations", rotated(3), rotated(3, seed: 2), sink: 40, recent: 64),
        ].compactMap { $0 }
    }()

    /// Policies whose keys are turned in pairs of neighbouring channels; those of others are halves of a head apart.
    private static let interleaved = ["kvquant-nuq4-1%", "kvquant-nuq2", "kvquant-int2-0.3%-token"]

    /// Whether keys or values have codes that choose from a table.
    static func hasLookup(_ policy: CachePolicy) -> Bool {
        policy.formats.contains { $0.codebook != nil || $0.rotated != nil }
    }

    /// Head sizes that a policy is checked with.
    func sizes(_ policy: CachePolicy) -> [Int] {
        Self.hasLookup(policy)
            ? sizes.filter(DeviceCapability.lookupHeadSizes.contains) : sizes
    }

    /// Decode attention multiplies values of lookup formats as float16, and turns keys by float16 cosines and sines.
    func decodeTolerance(_ policy: CachePolicy) -> Double {
        policy.keys.codebook?.preRotary == true ? 1e-2 : Self.hasLookup(policy) ? 5e-3 : 1e-3
    }

    func shape(
        _ d: Int, ratio: Int = 2, window: Int? = nil, for policy: CachePolicy? = nil
    ) -> LayerShape {
        let shape = LayerShape(
            queryHeads: CUDAVerification.kvHeads * ratio, kvHeads: CUDAVerification.kvHeads,
            headSize: d, slidingWindow: window)
        guard let policy else { return shape }
        return shape.withRotary(
            for: policy,
            pairing: Self.interleaved.contains(policy.name) ? .interleaved : .halfSplit)
    }

    /// Ratios that a policy is checked with: all for presets without tables.
    func ratios(_ policy: CachePolicy) -> [Int] {
        let isPreset = CachePolicy.presets.contains { $0.name == policy.name }
        guard !isQuick, isPreset else { return [1, 4] }
        return Self.hasLookup(policy) ? [1, 4, 8] : CUDAVerification.ratios
    }

    /// Lengths at, one below and one above what changes something.
    func lengths(_ policy: CachePolicy) -> [Int] {
        let schedule = WindowSchedule(policy.layer(0, of: 1), slidingWindow: nil)
        var edges: Set<Int> = [0, 1, 2, 77]
        let first = schedule.firstSeal
        for edge in [32, schedule.sink, schedule.sink + 32, first, first + 32, first + 128] {
            edges.formUnion([edge - 1, edge, edge + 1])
        }
        if !isQuick { edges.insert(first + 371) }
        return edges.filter { $0 >= 0 }.sorted()
    }

    /// Compiles what the checks need, on all processors.
    func prepare() throws {
        var variants: Set<KernelVariant> = []
        for d in sizes {
            variants.insert(.append(headSize: d))
            variants.insert(.prefill(headSize: d, hopper: false))
            if context.device.capability.architecture == "sm_90a" {
                variants.insert(.prefill(headSize: d, hopper: true))
            }
            for policy in policies where sizes(policy).contains(d) {
                let layer = DeviceLayout(
                    shape: CacheShape(layers: [shape(d, for: policy)]), policy: policy,
                    granularity: device.granularity
                ).layers[0]
                for seal in SealLaunch.all(layer) { variants.insert(seal.variant) }
                variants.insert(.unpack(layer))
                for ratio in ratios(policy) {
                    let heads = layer.with(queryHeads: CUDAVerification.kvHeads * ratio)
                    variants.insert(DecodeShape.choices(heads, sequences: 1)[0].variant)
                }
                for ratio in [4, 16] {
                    let heads = layer.with(queryHeads: CUDAVerification.kvHeads * ratio)
                    let choices = DecodeShape.choices(heads, sequences: 64)
                    variants.insert(choices[ratio == 4 ? 0 : choices.count - 1].variant)
                }
            }
        }
        try device.kernels.prepare(Array(variants))
    }

    /// An array on the GPU.
    func upload(_ numbers: [Float]) throws -> DeviceBuffer {
        let buffer = try DeviceBuffer(context, byteCount: max(4 * numbers.count, 16))
        try buffer.write(numbers, waitingOn: device.stream)
        return buffer
    }

    func makeCache(
        _ shape: LayerShape, _ policy: CachePolicy, mostTokens: Int
    ) throws -> DeviceCache {
        let shape = CacheShape(layers: [shape])
        return try DeviceCache(
            shape: shape, policy: policy, calibration: .sample(for: shape, policy: policy),
            mostTokens: mostTokens, memory: device, kernels: device)
    }

    func random(_ count: Int, seed: UInt64) -> [Float] {
        var numbers = SplitMix64(seed: seed)
        return (0..<count).map { _ in numbers.normal() }
    }
}
