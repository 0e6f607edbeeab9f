package import CUDADriver
package import CUDAKernels
import KVCache

/// The GPU as a device cache sees it: memory, copies, and the append and seal kernels, in the order of one stream.
///
/// Several caches share one. Not thread-safe.
package final class CUDACacheDevice: DeviceMemory, DeviceCacheKernels {
    package let context: CUDAContext
    package let kernels: KernelCache
    package let stream: CUDAStream
    package let granularity: Int

    /// Kernels that have been asked for, with what is fixed for their launches.
    private var launches: [KernelVariant: KernelFunction] = [:]
    /// The parameters of a launch, filled in place.
    private let parameters: UnsafeMutableRawPointer

    package init(_ context: CUDAContext, kernels: KernelCache) throws(CUDABackendError) {
        self.context = context
        self.kernels = kernels
        stream = try CUDABackendError.wrap { () throws(CUDAError) in try CUDAStream(context) }
        // Reserving addresses takes no memory and tells what memory comes in.
        granularity = try CUDABackendError.wrap { () throws(CUDAError) in
            try VirtualRange(context, reserving: 1, purpose: "a page").granularity
        }
        let size = max(MemoryLayout<iq_append>.size, MemoryLayout<iq_seal>.size)
        parameters = .allocate(byteCount: size, alignment: 16)
        parameters.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    }

    deinit { parameters.deallocate() }

    // MARK: - Memory

    private final class Range: DeviceRange {
        let device: CUDACacheDevice
        var range: VirtualRange

        init(_ device: CUDACacheDevice, _ bytes: Int) throws(CUDABackendError) {
            let context = device.context
            self.device = device
            range = try CUDABackendError.wrap { () throws(CUDAError) in
                try VirtualRange(context, reserving: max(bytes, 1), purpose: "the cache")
            }
        }

        var base: UInt64 { range.address }
        var mappedBytes: Int { range.mappedBytes }

        func grow(to bytes: Int) throws(CUDABackendError) {
            do throws(CUDAError) {
                try range.grow(to: bytes, on: device.stream)
            } catch { throw CUDABackendError(error) }
        }
    }

    package func reserve(_ bytes: Int) throws(CUDABackendError) -> any DeviceRange {
        try Range(self, bytes)
    }

    package func upload(
        _ source: UnsafeRawBufferPointer, to address: UInt64
    ) throws(CUDABackendError) {
        // The driver has copied pageable memory, or put it aside, when this returns.
        do throws(CUDAError) { try stream.copy(source, to: address) } catch {
            throw CUDABackendError(error)
        }
    }

    package func download(
        _ address: UInt64, into target: UnsafeMutableRawBufferPointer
    ) throws(CUDABackendError) {
        do throws(CUDAError) {
            try stream.copy(from: address, to: target)
            try stream.synchronize()
        } catch { throw CUDABackendError(error) }
    }

    package func copy(
        _ source: UInt64, to target: UInt64, bytes: Int
    ) throws(CUDABackendError) {
        do throws(CUDAError) {
            try stream.copy(from: source, to: target, byteCount: bytes)
        } catch { throw CUDABackendError(error) }
    }

    // MARK: - Kernels

    package func append(
        _ rows: DeviceRows, layer: DeviceLayout.Layer, sequences: [iq_append_sequence]
    ) throws(CUDABackendError) {
        guard let most = sequences.map(\.count).max(), most > 0 else { return }
        let shape = layer.shape
        let (queryHeads, kvHeads, d) = (
            Int32(shape.queryHeads), Int32(shape.kvHeads), Int32(shape.headSize)
        )
        try fill(iq_append.self, sequences, at: MemoryLayout<iq_append>.offset(of: \.sequence)) {
            $0.queries = rows.queries
            $0.keys = rows.keys
            $0.values = rows.values
            $0.turned = rows.turned
            $0.angles = rows.angles
            $0.dense_keys = rows.denseKeys
            $0.dense_values = rows.denseValues
            $0.raw_stride = UInt64(layer.rawStride)
            $0.query_stride = Int32(rows.queryStride)
            $0.key_stride = Int32(rows.keyStride)
            $0.value_stride = Int32(rows.valueStride)
            $0.sequences = Int32(sequences.count)
            $0.query_heads = queryHeads
            $0.kv_heads = kvHeads
            $0.ring_tiles = Int32(layer.ringTiles)
            $0.pairs = Int32(rows.pairs)
            $0.is_interleaved = rows.isInterleaved ? 1 : 0
        }
        try launch(
            .append(headSize: shape.headSize),
            grid: LaunchSize(
                Int(iq_append_blocks(queryHeads, kvHeads, d)), Int(most), sequences.count),
            threads: Int(IQ_APPEND_THREADS), sharedBytes: 0)
    }

    package func seal(
        layer: DeviceLayout.Layer, pageStride: Int, sequences: [iq_seal_sequence]
    ) throws(CUDABackendError) {
        guard let most = sequences.map(\.tiles).max(), most > 0 else { return }
        try fill(iq_seal.self, sequences, at: MemoryLayout<iq_seal>.offset(of: \.sequence)) {
            $0.page_stride = UInt64(pageStride)
            $0.raw_stride = UInt64(layer.rawStride)
            $0.kv_heads = Int32(layer.shape.kvHeads)
            $0.ring_tiles = Int32(layer.ringTiles)
            $0.sequences = Int32(sequences.count)
            $0.lookup = layer.lookup
        }
        for kernel in SealLaunch.all(layer) {
            try launch(
                kernel.variant, grid: LaunchSize(kernel.columns, Int(most), sequences.count),
                threads: kernel.threads, sharedBytes: kernel.sharedBytes)
        }
    }

    /// Dequantizes positions `range` of a layer of a cache, normalization undone, into dense arrays
    /// `[token][KV heads][d]`; arrays of address 0 are left out.
    package func unpack(
        _ cache: DeviceCache, layer index: Int, positions range: Swift.Range<Int>,
        halfKeys: UInt64 = 0, halfValues: UInt64 = 0, floatKeys: UInt64 = 0, floatValues: UInt64 = 0
    ) throws(CUDABackendError) {
        let layer = cache.layout.layers[index]
        let sequence = cache.sequence(layer: index, position: range.lowerBound)
        guard !range.isEmpty else { return }
        var work = iq_unpack()
        work.sink = sequence.sink
        work.recent = sequence.recent
        work.body = sequence.body
        work.normalizer = sequence.normalizer
        work.half_keys = halfKeys
        work.half_values = halfValues
        work.float_keys = floatKeys
        work.float_values = floatValues
        work.page_stride = UInt64(cache.layout.pageStride)
        work.raw_stride = UInt64(layer.rawStride)
        work.kv_heads = Int32(layer.shape.kvHeads)
        work.ring_tiles = Int32(layer.ringTiles)
        work.first = Int32(range.lowerBound)
        work.end = Int32(range.upperBound)
        work.body_position = sequence.body_position
        work.recent_position = sequence.recent_position
        work.recent_first = sequence.recent_first
        let first = iq_unpack_chunk(sequence.body_position, work.first)
        let last = iq_unpack_chunk(sequence.body_position, work.end - 1)
        work.first_chunk = first
        work.lookup = layer.lookup
        parameters.storeBytes(of: work, as: iq_unpack.self)
        try launch(
            .unpack(layer),
            grid: LaunchSize(2 * layer.shape.kvHeads, Int(last - first) + 1),
            threads: Int(IQ_UNPACK_THREADS), sharedBytes: 0)
    }

    /// Fills the parameters with what precedes the sequences, and those that there are.
    private func fill<Work: BitwiseCopyable, Sequence: BitwiseCopyable>(
        _ type: Work.Type, _ sequences: [Sequence], at offset: Int?, _ set: (inout Work) -> Void
    ) throws(CUDABackendError) {
        guard sequences.count <= IQ_MOST_SEQUENCES, let offset else {
            throw .tooManySequences(sequences.count, most: Int(IQ_MOST_SEQUENCES))
        }
        set(&parameters.assumingMemoryBound(to: Work.self).pointee)
        sequences.withUnsafeBytes {
            (parameters + offset).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
        }
    }

    private func launch(
        _ variant: KernelVariant, grid: LaunchSize, threads: Int, sharedBytes: Int
    ) throws(CUDABackendError) {
        do throws(CUDAError) {
            try stream.launch(
                try function(variant, sharedBytes: sharedBytes), grid: grid,
                block: LaunchSize(threads), sharedBytes: sharedBytes,
                parametersAt: UnsafeRawPointer(parameters))
        } catch { throw CUDABackendError(error) }
    }

    private func function(
        _ variant: KernelVariant, sharedBytes: Int
    ) throws(CUDAError) -> KernelFunction {
        if let function = launches[variant] { return function }
        let function = try kernels.function(variant)
        if sharedBytes > 48 << 10 { try function.setMaximumDynamicShared(sharedBytes) }
        launches[variant] = function
        return function
    }
}

extension KernelVariant {
    package static func append(headSize: Int) -> KernelVariant {
        KernelVariant(
            source: "append.cu", entry: "iq_append_tokens",
            definitions: ["IQ_HEAD_SIZE": headSize])
    }

    package static func unpack(_ layer: DeviceLayout.Layer) -> KernelVariant {
        let isNormalized = layer.policy.keyNormalization != nil
        return KernelVariant(
            source: "unpack.cu", entry: "iq_unpack_tiles",
            definitions: layer.formats + ["IQ_NORMALIZED": isNormalized ? 1 : 0])
    }
}
