package import CUDADriver
package import CUDAKernels
import KVCache

/// Decode attention of one kind of layer: one new token of each of up to 64 sequences, in one launch.
///
/// Keeps the scratch that launches of a stream share. Not thread-safe; not for launches that run at the same time.
package final class DecodeAttention {
    package let context: CUDAContext
    package let shape: DecodeShape
    package let seats: DecodePlan.Seats
    /// See ``DecodePlan``.
    package var leastUnits = 1
    private let layer: DeviceLayout.Layer
    private let pageStride: Int
    private let function: KernelFunction
    private var partials: DeviceBuffer
    private var counters: DeviceBuffer
    private let parameters: UnsafeMutableRawPointer

    /// - Parameters:
    ///   - layer: its formats and shape are what the kernel is made for.
    ///   - mostSequences: of one launch.
    ///   - warps, blocks: warps of a block, and blocks of a multiprocessor.
    package init(
        _ layer: DeviceLayout.Layer, pageStride: Int, mostSequences: Int, kernels: KernelCache,
        on stream: borrowing CUDAStream, warps: Int = 8, blocks: Int = 1
    ) throws(CUDABackendError) {
        guard (1...Int(IQ_MOST_SEQUENCES)).contains(mostSequences) else {
            throw .tooManySequences(mostSequences, most: Int(IQ_MOST_SEQUENCES))
        }
        self.layer = layer
        self.pageStride = pageStride
        context = kernels.context
        let (d, ratio) = (layer.shape.headSize, layer.shape.groupRatio)
        let chunks = DecodePlan.chunks(ratio: ratio, headSize: d)
        shape = DecodeShape(
            layer.policy, headSize: d, heads: (ratio + chunks - 1) / chunks, warps: warps,
            blocks: blocks, sequences: mostSequences == 1 ? 1 : Int(IQ_MOST_SEQUENCES))
        do throws(CUDAError) {
            function = try kernels.function(shape.variant)
            try function.setMaximumDynamicShared(shape.sharedBytes)
            let seated = try function.blocksPerMultiprocessor(
                threads: 32 * warps, sharedBytes: shape.sharedBytes)
            seats = DecodePlan.Seats(
                multiprocessors: context.device.multiprocessors,
                blocksPerMultiprocessor: max(1, min(seated, blocks)), warps: warps)
            partials = try DeviceBuffer(context, byteCount: 0)
            counters = try DeviceBuffer(context, byteCount: 0)
        } catch { throw CUDABackendError(error) }
        let size =
            MemoryLayout<iq_decode>.stride + shape.sequences * MemoryLayout<iq_sequence>.stride
        parameters = .allocate(byteCount: size, alignment: 16)
        parameters.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        try reserve(records: 2 * seats.blocks, on: stream)
    }

    deinit { parameters.deallocate() }

    /// How a launch over these sequences is cut. The same for all layers of one kind.
    package func plan(_ sequences: [iq_sequence]) -> DecodePlan {
        DecodePlan(
            lengths: sequences.map(DecodePlan.Length.init), ratio: layer.shape.groupRatio,
            kvHeads: layer.shape.kvHeads, headSize: layer.shape.headSize, rawCost: layer.rawCost,
            seats: seats, leastUnits: leastUnits)
    }

    /// The same for one layer of some caches, each seen by the query of its last token.
    package func plan(_ caches: [DeviceCache], layer: Int) -> DecodePlan {
        plan(caches.map { $0.sequence(layer: layer) })
    }

    /// Makes room for the partials of a plan. Must not be called while a graph is being recorded.
    package func prepare(
        for plan: DecodePlan, on stream: borrowing CUDAStream
    ) throws(CUDABackendError) {
        try reserve(records: plan.partials, on: stream)
    }

    /// Attention of one token of each sequence.
    ///
    /// - Parameters:
    ///   - queries, output: addresses of float32 `[sequence][query heads][d]`; queries after RoPE.
    ///   - sequences: as ``DeviceCache/sequence(layer:position:)`` gives them, of layers of this kind.
    ///   - plan: of ``plan(_:)``, prepared.
    package func launch(
        queries: UInt64, output: UInt64, sequences: [iq_sequence], plan: DecodePlan,
        overlapsPrevious: Bool = false, on stream: borrowing CUDAStream
    ) throws(CUDABackendError) {
        guard sequences.count <= shape.sequences, sequences.count == plan.shares.count else {
            throw .tooManySequences(sequences.count, most: shape.sequences)
        }
        guard !sequences.isEmpty else { return }
        precondition(4 * plan.partials * shape.recordFloats <= partials.byteCount)
        var head = iq_decode()
        head.queries = queries
        head.output = output
        head.partials = partials.address
        head.counters = counters.address
        head.page_stride = UInt32(pageStride)
        head.raw_stride = UInt32(layer.rawStride)
        head.sequences = Int32(sequences.count)
        head.query_heads = Int32(layer.shape.queryHeads)
        head.kv_heads = Int32(layer.shape.kvHeads)
        head.ring_tiles = Int32(layer.ringTiles)
        head.scale = layer.shape.attentionScale
        head.raw_cost_log2 = Int32(plan.rawCost.trailingZeroBitCount)
        head.polls = plan.isOneWave ? 1 : 0
        head.chunks = Int32(plan.chunks)
        head.ratio = Int32(layer.shape.groupRatio)
        parameters.storeBytes(of: head, as: iq_decode.self)
        let rest = parameters + MemoryLayout<iq_decode>.stride
        for (index, share) in plan.shares.enumerated() {
            var sequence = sequences[index]
            sequence.units = Int32(share.units)
            sequence.first_block = Int32(share.firstBlock)
            sequence.splits = Int32(share.splits)
            sequence.splits_magic = share.splitsMagic
            sequence.warps_log2 = Int32(share.warps.trailingZeroBitCount)
            sequence.first_partial = Int32(share.firstPartial)
            rest.storeBytes(
                of: sequence, toByteOffset: index * MemoryLayout<iq_sequence>.stride,
                as: iq_sequence.self)
        }
        do throws(CUDAError) {
            try stream.launch(
                function, grid: LaunchSize(plan.columns, plan.chunks),
                block: LaunchSize(32 * shape.warps),
                sharedBytes: shape.sharedBytes, overlapsPrevious: overlapsPrevious,
                parametersAt: UnsafeRawPointer(parameters))
        } catch { throw CUDABackendError(error) }
    }

    /// The same over one layer of some caches, each seen by the query of its last token.
    package func launch(
        queries: UInt64, output: UInt64, caches: [DeviceCache], layer: Int, plan: DecodePlan,
        overlapsPrevious: Bool = false, on stream: borrowing CUDAStream
    ) throws(CUDABackendError) {
        try launch(
            queries: queries, output: output,
            sequences: caches.map { $0.sequence(layer: layer) }, plan: plan,
            overlapsPrevious: overlapsPrevious, on: stream)
    }

    /// Whether a launch gave up waiting for its other blocks, which only a broken device does. Waits for the stream.
    package func gaveUp(on stream: borrowing CUDAStream) throws(CUDABackendError) -> Bool {
        do throws(CUDAError) {
            return try counters.read(Int32.self, count: 1, waitingOn: stream)[0] != 0
        } catch { throw CUDABackendError(error) }
    }

    /// All bits of partials are set and all counters 0 between launches.
    private func reserve(
        records: Int, on stream: borrowing CUDAStream
    ) throws(CUDABackendError) {
        let bytes = 4 * records * shape.recordFloats
        guard bytes > partials.byteCount else { return }
        do throws(CUDAError) {
            // The old ones may be in use still; giving them back waits for that.
            partials = try DeviceBuffer(
                context, byteCount: bytes, purpose: "partial sums of attention")
            counters = try DeviceBuffer(
                context, byteCount: 4 * (records + 1), purpose: "counters of attention")
            try partials.fill(0xFF, on: stream)
            try counters.fill(0, on: stream)
        } catch { throw CUDABackendError(error) }
    }
}
