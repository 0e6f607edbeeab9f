package import CUDAKernels
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
    /// How keys that are stored as they are before RoPE are turned.
    package let preRotary: iq_pre_rotary
    /// Copies of the tables of pairs of levels, so that lanes seldom want the same bank of shared memory: a power of two.
    package private(set) var tableCopies = 1

    /// Shared memory that a block may have on Hopper.
    package static let usualSharedBytes = 227 * 1024

    /// - Parameter mostSharedBytes: of a block that has a multiprocessor to itself.
    package init(
        _ policy: LayerPolicy, headSize: Int, heads: Int, warps: Int, blocks: Int, sequences: Int,
        preRotary: iq_pre_rotary = IQ_POST_ROTARY, mostSharedBytes: Int = usualSharedBytes
    ) {
        isNormalized = policy.keyNormalization != nil
        keys = policy.keys
        values = policy.values
        self.headSize = headSize
        self.heads = heads
        self.warps = warps
        self.blocks = blocks
        self.sequences = sequences
        self.preRotary = preRotary
        guard tableBytes > 0 else { return }
        // Every block takes a kilobyte more than it asks for, and the kernel has some variables of its own.
        let most = (mostSharedBytes + 1024) / blocks - 1024 - 256
        tableCopies = 32
        while tableCopies > 1, sharedBytes > most { tableCopies /= 2 }
    }

    /// Dynamic shared memory of a block: slots, barriers and counters of the warps, then their partials, then those of
    /// blocks or what lookup tiles need.
    package var sharedBytes: Int {
        // Where there are lookup tiles, partials of warps take the place of their slots but for maximum and sum.
        let partial = mergeHeads * (hasLookup ? 2 : headSize + 10) * 4
        let merged = warps * (headSize + 2) * 4
        return warps * (slotBytes + 32 + partial) + max(merged, lookupBytes)
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
        return largest > 4608 ? 1 : largest > 2304 || hasOutliers ? 2 : 4
    }

    /// Slots of a warp: a chunk of keys, one of values, each with room for a float16 tile.
    ///
    /// With outliers a warp has room for one such tile besides, and the two slots have it only together.
    private var slotBytes: Int {
        let raw = 2 * TileLayout.tokens * headSize
        let key = slot(keyBytes, keys, more: hasOutliers ? 0 : queryBytes)
        let value = slot(valueBytes, values)
        return max(key + value, raw) + (hasOutliers ? raw : 0)
    }

    /// Tiles with the ranges of their tokens, and what else lies in the slot.
    private func slot(_ tile: Int, _ format: TensorFormat, more: Int = 0) -> Int {
        let ranges = format.deviceLookup == IQ_TOKEN_RANGES ? 4 * TileLayout.tokens : 0
        let least = hasOutliers ? 0 : 2 * TileLayout.tokens * headSize
        return (max(load * (tile + ranges) + more, least) + 127) / 128 * 128
    }

    /// Queries that are turned back for each tile, in two parts. With outliers they lie where tiles are expanded later.
    private var queryBytes: Int {
        preRotary == IQ_POST_ROTARY ? 0 : 2 * heads * ((2 * headSize + 127) / 128 * 128)
    }

    private var hasOutliers: Bool { keys.hasOutliers || values.hasOutliers }
    private var hasLookup: Bool {
        keys.deviceLookup != IQ_NO_LOOKUP || values.deviceLookup != IQ_NO_LOOKUP
    }

    private var mergeHeads: Int {
        let isSingle =
            heads == 1 && keys.deviceKind(.keys) == IQ_INNER
            && values.deviceKind(.values) == IQ_INNER
        return isSingle ? 1 : (heads + 3) / 4 * 4
    }

    /// Tables of pairs of levels and of angles; for each warp, ranges of channels.
    private var lookupBytes: Int {
        let turns = preRotary == IQ_POST_ROTARY ? 0 : headSize
        let statics = [keys, values].filter { $0.deviceLookup == IQ_CHANNEL_RANGES }.count
        return 64 * turns + tableBytes + warps * 4 * headSize * statics
    }

    /// Levels of pairs of 3-bit or 4-bit codes, four bytes each.
    private var tableBytes: Int {
        [keys, values].reduce(0) { sum, format in
            let bits = format.codeBits ?? 0
            guard format.deviceLookup != IQ_NO_LOOKUP, bits >= 3 else { return sum }
            return sum + (4 << (2 * bits)) * tableCopies
        }
    }

    package var variant: KernelVariant {
        var definitions: [String: Int] = [
            "IQ_HEAD_SIZE": headSize, "IQ_HEADS": heads, "IQ_WARPS": warps, "IQ_BLOCKS": blocks,
            "IQ_SEQUENCES": sequences, "IQ_NORMALIZED": isNormalized ? 1 : 0,
            "IQ_KEY_KIND": Int(keys.deviceKind(.keys).rawValue),
            "IQ_KEY_BITS": keys.codeBits ?? 16, "IQ_KEY_BIAS": Self.bias(keys),
            "IQ_KEY_ZEROS": keys.grouped?.storesZeros == true ? 1 : 0,
            "IQ_VALUE_KIND": Int(values.deviceKind(.values).rawValue),
            "IQ_VALUE_BITS": values.codeBits ?? 16, "IQ_VALUE_BIAS": Self.bias(values),
            "IQ_VALUE_MODE": values.grouped?.mode.number ?? 0,
        ]
        if keys.deviceLookup != IQ_NO_LOOKUP {
            definitions["IQ_KEY_LOOKUP"] = Int(keys.deviceLookup.rawValue)
            definitions["IQ_KEY_OUTLIERS"] = keys.hasOutliers ? 1 : 0
            definitions["IQ_PRE_ROTARY"] = Int(preRotary.rawValue)
        }
        if values.deviceLookup != IQ_NO_LOOKUP {
            definitions["IQ_VALUE_LOOKUP"] = Int(values.deviceLookup.rawValue)
            definitions["IQ_VALUE_OUTLIERS"] = values.hasOutliers ? 1 : 0
        }
        if tableBytes > 0 { definitions["IQ_TABLE_COPIES"] = tableCopies }
        return KernelVariant(
            source: "decode.cu", entry: "iq_decode_attention", definitions: definitions)
    }

    private static func bias(_ format: TensorFormat) -> Int {
        guard let grouped = format.grouped, grouped.mode != .asymmetric else { return 0 }
        return grouped.bias
    }
}

extension TensorFormat {
    fileprivate var hasOutliers: Bool { (codebook?.outliers ?? 0) > 0 }
}
