import CUDADriver
import CUDAKernels
import KVCache

/// Attention of a prompt over a device cache, with the meaning ``AttentionMeaning/prompt``: the tokens of one call see
/// each other as float16, and what the cache held before as it was held.
///
/// The prompt kernel reads dense float16 keys and values. They are made in two arrays `[token][KV heads][d]`, which all
/// layers share and which grow to what the longest call needed:
///
///     visible tokens of before                                        | the call's tokens
///     [ piece ][ piece ] …  at most `mostUnpacked` tokens each        |
///                           [ last piece, with all recent tokens      ][ written by the append kernel ]
///
///     1  unpack the last piece, before sealing changes it
///     2  append and seal: turns queries and keys, leaves keys and values as float16 behind the last piece
///     3  attention over both
///     4  for each other piece: unpack it, and merge attention over it
///
/// Everything is queued in the stream of the ``CUDACacheDevice``. Nothing is waited for but what
/// ``DeviceCache/append(layer:rows:count:)`` waits for, once for the key statistics. Not thread-safe.
package final class PromptAttention {
    /// Tokens of before that are unpacked at once, unless more are recent.
    package let mostUnpacked: Int

    private let device: CUDACacheDevice
    private let keys: any DeviceRange
    private let values: any DeviceRange
    /// Float32 `[count][query heads]{maximum, sum}`, where pieces are merged.
    private let statistics: any DeviceRange
    private var kernels: [Int: PrefillAttention] = [:]

    /// Reserves addresses for as much as the GPU has; takes no memory yet.
    package init(
        _ device: CUDACacheDevice, mostUnpacked: Int = 1 << 14
    ) throws(CUDABackendError) {
        self.device = device
        self.mostUnpacked = max(1, mostUnpacked)
        let bytes = device.context.device.memoryBytes
        keys = try device.reserve(bytes)
        values = try device.reserve(bytes)
        statistics = try device.reserve(bytes)
    }

    /// Bytes of device memory now mapped; given back when this is released.
    package var allocatedBytes: Int {
        keys.mappedBytes + values.mappedBytes + statistics.mappedBytes
    }

    /// Appends the first `count` rows to one layer, seals what is due, and writes their attention.
    ///
    /// - Parameters:
    ///   - rows: queries and keys before RoPE if `angles` are given, otherwise after it. Queries after RoPE are left at
    ///     `turned`, float32 `[count][query heads][d]`, at a multiple of 16.
    ///   - output: address of float32 `[count][query heads][d]`, a multiple of 16; may not be `turned`.
    /// - Throws: ``CUDABackendError/contextTooLong(tokens:reserved:)``, or
    ///   ``CUDABackendError/promptTooLong(tokens:asked:free:)`` with the cache unchanged; what appending and the driver
    ///   throw.
    package func attend(
        _ cache: DeviceCache, layer: Int, rows: DeviceRows, count: Int, output: UInt64
    ) throws(CUDABackendError) {
        guard count > 0 else { return }
        let place = cache.layout.layers[layer]
        let shape = place.shape
        let before = cache.tokenCount(layer: layer)
        guard count <= cache.mostTokens - before else {
            throw .contextTooLong(
                tokens: before.addingReportingOverflow(count).partialValue,
                reserved: cache.mostTokens)
        }
        guard rows.queries != 0, rows.turned != 0, output != 0, output != rows.turned else {
            throw .device(
                .invalidArgument(
                    "attention of a prompt needs queries, and an output that is not where they are"
                ))
        }
        let pieces = Self.pieces(
            visible: place.schedule.firstVisible(at: before)..<before,
            recent: place.schedule.firstToken(ofTile: cache.sealedTiles(layer: layer)),
            most: mostUnpacked)
        let last = pieces.last ?? before..<before
        let attention = try kernel(headSize: shape.headSize)
        try reserve(
            shape, count: count, tokens: max(pieces.map(\.count).max() ?? 0, last.count + count),
            merges: pieces.count > 1)

        try unpack(cache, layer, last)
        var rows = rows
        let front = UInt64(last.count * Self.rowBytes(shape))
        rows.denseKeys = keys.base + front
        rows.denseValues = values.base + front
        try cache.append(layer: layer, rows: rows, count: count)

        var work = attention.work(
            queries: rows.turned, count: count, keys: .init(keys.base, shape: shape),
            values: .init(values.base, shape: shape), keyCount: last.count + count,
            offset: before - last.lowerBound, output: output, shape: shape)
        if pieces.count > 1 { work.statistics = statistics.base }
        try attention.launch(work, on: device.stream)
        for piece in pieces.dropLast() {
            try unpack(cache, layer, piece)
            work.key_count = Int32(piece.count)
            work.offset = Int32(before - piece.lowerBound)
            work.initial = output
            work.initial_statistics = statistics.base
            try attention.launch(work, on: device.stream)
        }
    }

    /// Cuts the visible tokens into pieces, in order; the last one has all from `recent` on.
    package static func pieces(
        visible: Range<Int>, recent: Int, most: Int
    ) -> [Range<Int>] {
        guard !visible.isEmpty else { return [] }
        let first =
            visible.count <= most
            ? visible.lowerBound
            : max(visible.lowerBound, min(recent, visible.upperBound - most))
        var pieces: [Range<Int>] = []
        var start = visible.lowerBound
        while start < first {
            pieces.append(start..<min(start + most, first))
            start = pieces[pieces.count - 1].upperBound
        }
        return pieces + [first..<visible.upperBound]
    }

    private func unpack(
        _ cache: DeviceCache, _ layer: Int, _ range: Range<Int>
    ) throws(CUDABackendError) {
        guard !range.isEmpty else { return }
        try device.unpack(
            cache, layer: layer, positions: range, halfKeys: keys.base, halfValues: values.base)
    }

    // MARK: - Memory

    /// Bytes of one token's keys, or values, of all KV heads.
    private static func rowBytes(_ shape: LayerShape) -> Int { 2 * shape.kvHeads * shape.headSize }

    private func reserve(
        _ shape: LayerShape, count: Int, tokens: Int, merges: Bool
    ) throws(CUDABackendError) {
        let bytes = Self.rowBytes(shape).multipliedReportingOverflow(by: tokens)
        try grow(keys, to: bytes, count)
        try grow(values, to: bytes, count)
        guard merges else { return }
        try grow(
            statistics, to: (8 * shape.queryHeads).multipliedReportingOverflow(by: count), count)
    }

    private func grow(
        _ range: any DeviceRange, to bytes: (partialValue: Int, overflow: Bool), _ count: Int
    ) throws(CUDABackendError) {
        let wanted = bytes.overflow ? Int.max : bytes.partialValue
        guard wanted > range.mappedBytes else { return }
        guard wanted <= device.context.device.memoryBytes else {
            let free = try CUDABackendError.wrap { () throws(CUDAError) in
                try device.context.memory().free
            }
            throw .promptTooLong(tokens: count, asked: wanted - range.mappedBytes, free: free)
        }
        do throws(CUDABackendError) { try range.grow(to: wanted) } catch {
            guard case .outOfMemory(let asked, let free, _) = error else { throw error }
            throw .promptTooLong(tokens: count, asked: asked, free: free)
        }
    }

    private func kernel(headSize: Int) throws(CUDABackendError) -> PrefillAttention {
        if let kernel = kernels[headSize] { return kernel }
        let kernel = try PrefillAttention(headSize: headSize, kernels: device.kernels)
        kernels[headSize] = kernel
        return kernel
    }
}
