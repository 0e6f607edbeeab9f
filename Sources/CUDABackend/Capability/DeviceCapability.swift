import CUDAKernels
public import KVCache

/// What the CUDA kernels can do. It answers before anything is loaded; there is no silent fallback.
///
///             groups along the sum          groups across the sum              float16
///     K       along channels: 2, 3, 4, 8    along tokens: 2, 4, 8 bits,        yes
///             bits, symmetric               symmetric or asymmetric
///     V       along tokens: 2, 3, 4, 8      along channels: 2, 4, 8 bits,      yes
///             bits, any mode                symmetric or asymmetric
///
///             codebooks                     rotated
///     K, V    2, 3, 4 bits, all variants;   1, 2, 3, 4 bits without a residual; head sizes 64 and 128
///             head sizes 64 and 128
public enum DeviceCapability {
    /// Head sizes that kernels are made for.
    public static let headSizes = [64, 96, 128, 256]
    /// Head sizes of codebooks and rotated formats.
    public static let lookupHeadSizes = [64, 128]
    /// Query heads that share a KV head, at most.
    public static let mostRatio = 16

    /// Channels of all KV heads of a layer, at most, with a codebook: a block seals a tile of them all.
    public static let mostCodebookChannels = 8192
    /// Bytes of 128 tokens of all layers, at most.
    public static let mostPageBytes = 1 << 31

    /// Checks a policy for a model's shape.
    /// - Throws: what is not supported first, with the nearest choice that is.
    public static func check(policy: CachePolicy, shape: CacheShape) throws(CUDABackendError) {
        for (index, layer) in shape.layers.enumerated() {
            guard headSizes.contains(layer.headSize) else {
                let nearest = headSizes.min {
                    abs($0 - layer.headSize) < abs($1 - layer.headSize)
                }
                throw .unsupportedHeadSize(layer.headSize, layer: index, nearest: nearest ?? 128)
            }
            guard (1...mostRatio).contains(layer.groupRatio) else {
                throw .unsupportedRatio(layer.groupRatio, layer: index, most: mostRatio)
            }
            let layerPolicy = policy.layer(index, of: shape.layers.count)
            try check(layerPolicy.keys, .keys, layer: index)
            try check(layerPolicy.values, .values, layer: index)
            try checkLookup(layerPolicy, layer, index)
        }
        do throws(PolicyError) { try policy.checkRotary(for: shape) } catch {
            throw .policy(error)
        }
        // Kernels keep a page's size in 32 bits.
        let page = DeviceLayout(shape: shape, policy: policy, granularity: 1).pageStride
        guard page <= mostPageBytes else { throw .shapeTooLarge(page, most: mostPageBytes) }
    }

    /// Whether the formats of a policy run on the GPU, for every head size that is supported with them.
    public static func supports(_ policy: CachePolicy) -> Bool {
        let keys = [policy.keys] + policy.exceptions.compactMap(\.keys)
        let values = [policy.values] + policy.exceptions.compactMap(\.values)
        return keys.allSatisfy { (try? check($0, .keys, layer: 0)) != nil }
            && values.allSatisfy { (try? check($0, .values, layer: 0)) != nil }
    }

    /// Whether kernels for that policy and head size are made.
    static func supports(_ policy: LayerPolicy, headSize: Int) -> Bool {
        let isLookup = [policy.keys, policy.values].contains { $0.deviceLookup != IQ_NO_LOOKUP }
        return (isLookup ? lookupHeadSizes : headSizes).contains(headSize)
    }

    private static func check(
        _ format: TensorFormat, _ tensor: DeviceTileOrder.Tensor, layer: Int
    ) throws(CUDABackendError) {
        if let rotated = format.rotated, rotated.hasResidual {
            throw .unsupportedFormat(
                "\(tensor) with the residual of TurboQuant's inner-product variant", layer: layer,
                nearest: "\(rotated.bits) bits, rotated, without a residual (turboquant-K-V)")
        }
        guard let grouped = format.grouped else { return }
        if let nearest = nearest(grouped, tensor) {
            throw .unsupportedFormat(
                "\(tensor) of \(describe(grouped))", layer: layer, nearest: describe(nearest))
        }
        guard grouped.scaleFit == .extreme || grouped.mode == .asymmetric else {
            throw .unsupportedScaleFit(grouped.scaleFit.rawValue, layer: layer)
        }
    }

    /// What lookup formats ask of a shape.
    private static func checkLookup(
        _ policy: LayerPolicy, _ shape: LayerShape, _ layer: Int
    ) throws(CUDABackendError) {
        for (tensor, format) in [
            (DeviceTileOrder.Tensor.keys, policy.keys), (.values, policy.values),
        ] where format.deviceLookup != IQ_NO_LOOKUP {
            let name = format.rotated == nil ? "codebook" : "rotated format"
            let sizes = lookupHeadSizes.map(String.init).joined(separator: " and ")
            let nearest = "\((format.codeBits ?? 4) > 2 ? 4 : 2) bits, symmetric, in groups"
            guard lookupHeadSizes.contains(shape.headSize) else {
                throw .unsupportedFormat(
                    "\(tensor) of a \(name) with head size \(shape.headSize) (\(sizes) only)",
                    layer: layer, nearest: nearest)
            }
            let channels = shape.kvHeads * shape.headSize
            guard format.codebook == nil || channels <= mostCodebookChannels else {
                throw .unsupportedFormat(
                    "\(tensor) of a codebook over \(channels) channels (\(mostCodebookChannels) at most)",
                    layer: layer, nearest: nearest)
            }
        }
    }

    /// The nearest supported format, or `nil` if this one is.
    private static func nearest(
        _ format: GroupedFormat, _ tensor: DeviceTileOrder.Tensor
    ) -> GroupedFormat? {
        var near = format
        if TensorFormat.grouped(format).deviceKind(tensor) == IQ_INNER {
            if tensor == .keys { near.mode = .symmetric }
        } else {
            if near.mode == .hybrid { near.mode = .asymmetric }
            // 3 bits do not divide the 16 bits that a half of a word holds.
            if near.bits == 3 { near.bits = 4 }
        }
        if ![2, 3, 4, 8].contains(near.bits) {
            near.bits = near.bits < 2 ? 2 : near.bits > 6 ? 8 : 4
        }
        return near == format ? nil : near
    }

    private static func describe(_ format: GroupedFormat) -> String {
        "\(format.bits) bits, \(format.mode.rawValue), in groups along \(format.axis.rawValue)s"
    }
}
