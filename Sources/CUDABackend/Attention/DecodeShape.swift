import CUDAKernels
package import KVCache

/// What a decode kernel is specialised by, and the sizes that follow: decode_shape.cuh, in Swift.
package struct DecodeShape: Sendable, Hashable {
    package let keys: TensorFormat
    package let values: TensorFormat
    package let headSize: Int
    package let isNormalized: Bool
    /// Query heads of a problem.
    package let heads: Int
    /// Warps of a block.
    package let warps: Int
    /// Blocks that a multiprocessor is to seat.
    package let blocks: Int
    /// Sequences of a launch at most.
    package let sequences: Int

    package init(
        _ policy: LayerPolicy, headSize: Int, heads: Int, warps: Int, blocks: Int, sequences: Int
    ) {
        isNormalized = policy.keyNormalization != nil
        keys = policy.keys
        values = policy.values
        self.headSize = headSize
        self.heads = heads
        self.warps = warps
        self.blocks = blocks
        self.sequences = sequences
    }

    /// Dynamic shared memory of a block: slots, barriers and counters of the warps, then their partials, then those of
    /// blocks.
    package var sharedBytes: Int {
        let partial = mergeHeads * (headSize + 10) * 4
        return warps * (slot(keyBytes) + slot(valueBytes) + 32 + partial + (headSize + 2) * 4)
    }

    /// Floats of a record of the partials.
    package var recordFloats: Int { heads * (headSize + 4) }

    private var keyBytes: Int {
        TileLayout.keys(headSize: headSize, format: keys).byteCount
    }
    private var valueBytes: Int {
        TileLayout.values(headSize: headSize, format: values).byteCount
    }

    /// Tiles that are fetched together at most.
    private var load: Int {
        let largest = max(keyBytes, valueBytes)
        return largest > 4608 ? 1 : largest > 2304 ? 2 : 4
    }

    private func slot(_ tile: Int) -> Int {
        (max(load * tile, 2 * TileLayout.tokens * headSize) + 127) / 128 * 128
    }

    private var mergeHeads: Int {
        let isSingle =
            heads == 1 && keys.deviceKind(.keys) == IQ_INNER
            && values.deviceKind(.values) == IQ_INNER
        return isSingle ? 1 : (heads + 3) / 4 * 4
    }

    package var variant: KernelVariant {
        let definitions: [String: Int] = [
            "IQ_HEAD_SIZE": headSize, "IQ_HEADS": heads, "IQ_WARPS": warps, "IQ_BLOCKS": blocks,
            "IQ_SEQUENCES": sequences, "IQ_NORMALIZED": isNormalized ? 1 : 0,
            "IQ_KEY_KIND": Int(keys.deviceKind(.keys).rawValue),
            "IQ_KEY_BITS": keys.grouped?.bits ?? 16, "IQ_KEY_BIAS": Self.bias(keys),
            "IQ_KEY_ZEROS": keys.grouped?.storesZeros == true ? 1 : 0,
            "IQ_VALUE_KIND": Int(values.deviceKind(.values).rawValue),
            "IQ_VALUE_BITS": values.grouped?.bits ?? 16, "IQ_VALUE_BIAS": Self.bias(values),
            "IQ_VALUE_MODE": values.grouped?.mode.number ?? 0,
        ]
        return KernelVariant(
            source: "decode.cu", entry: "iq_decode_attention", definitions: definitions)
    }

    private static func bias(_ format: TensorFormat) -> Int {
        guard let grouped = format.grouped, grouped.mode != .asymmetric else { return 0 }
        return grouped.bias
    }
}
