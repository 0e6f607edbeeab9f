package import CUDADriver
package import CUDAKernels
import KVCache

/// Decode attention of one kind of layer: one new token of each of up to 64 sequences, in one launch.
///
/// Has two kernels: one whose blocks fill a multiprocessor, and one with smaller blocks for when there are more problems
/// than multiprocessors. Keeps the scratch that launches of a stream share. Not thread-safe; not for launches that run at
/// the same time.
package final class DecodeAttention {
    package let context: CUDAContext
    /// See ``DecodePlan``.
    package var leastUnits: Int?
    private let layer: DeviceLayout.Layer
    private let pageStride: Int
    private let kernels: KernelCache
    private let shapes: [DecodeShape]
    private var loaded: [Loaded?]
    private var partials: DeviceBuffer
    private var counters: DeviceBuffer
    private let parameters: UnsafeMutableRawPointer

    private struct Loaded {
        let function: KernelFunction
        let seats: DecodePlan.Seats
    }

    /// A plan, and the kernel that it is made for.
    package struct Plan {
        package let cut: DecodePlan
        /// Whether a launch may overlap the one before. Two blocks on a multiprocessor would leave no room for the next
        /// launch's, which would be seated unevenly.
        package let canOverlap: Bool
        fileprivate let kernel: Int
    }

    /// - Parameters:
    ///   - layer: its formats and shape are what the kernels are made for.
    ///   - mostSequences: of one launch.
    package init(
        _ layer: DeviceLayout.Layer, pageStride: Int, mostSequences: Int, kernels: KernelCache
    ) throws(CUDABackendError) {
        guard (1...Int(IQ_MOST_SEQUENCES)).contains(mostSequences) else {
            throw .tooManySequences(mostSequences, most: Int(IQ_MOST_SEQUENCES))
        }
        self.layer = layer
        self.pageStride = pageStride
        self.kernels = kernels
        context = kernels.context
        let context = context
        shapes = DecodeShape.choices(
            layer, sequences: mostSequences, mostSharedBytes: context.device.sharedBytesPerBlock)
        loaded = shapes.map { _ in nil }
        do throws(CUDAError) {
            partials = try DeviceBuffer(context, byteCount: 0)
            counters = try DeviceBuffer(context, byteCount: 0)
        } catch { throw CUDABackendError(error) }
        let size =
            MemoryLayout<iq_decode>.stride
            + shapes[0].sequences * MemoryLayout<iq_sequence>.stride
        parameters = .allocate(byteCount: size, alignment: 16)
        parameters.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    }

    deinit { parameters.deallocate() }

    private func kernel(_ index: Int) throws(CUDABackendError) -> Loaded {
        if let loaded = loaded[index] { return loaded }
        let shape = shapes[index]
        do throws(CUDAError) {
            let function = try kernels.function(shape.variant)
            try function.setMaximumDynamicShared(shape.sharedBytes)
            let seated = try function.blocksPerMultiprocessor(
                threads: 32 * shape.warps, sharedBytes: shape.sharedBytes)
            let result = Loaded(
                function: function,
                seats: DecodePlan.Seats(
                    multiprocessors: context.device.multiprocessors,
                    blocksPerMultiprocessor: max(1, min(seated, shape.blocks)), warps: shape.warps))
            loaded[index] = result
            return result
        } catch { throw CUDABackendError(error) }
    }

    /// How a launch over these sequences is cut, and room for its partials. The same for all layers of one kind. Must not
    /// be called while a graph is being recorded.
    package func plan(
        _ sequences: [iq_sequence], on stream: borrowing CUDAStream
    ) throws(CUDABackendError) -> Plan {
        let shape = layer.shape
        let chunks = DecodePlan.chunks(ratio: shape.groupRatio, headSize: shape.headSize)
        let problems = sequences.count * shape.kvHeads * chunks
        let index = shapes.count > 1 && takesSmallBlocks(problems: problems) ? 1 : 0
        let cut = DecodePlan(
            lengths: sequences.map(DecodePlan.Length.init), ratio: shape.groupRatio,
            kvHeads: shape.kvHeads, headSize: shape.headSize, rawCost: layer.rawCost,
            seats: try kernel(index).seats, leastUnits: leastUnits)
        try reserve(records: cut.partials, on: stream)
        return Plan(
            cut: cut, canOverlap: shapes[index].blocks == 1 && cut.isOneWave, kernel: index)
    }

    /// Small blocks where there are more problems than multiprocessors, and where whole blocks would leave so many seats
    /// empty that small ones put a third more warps to work (80 problems on 132 multiprocessors: 8 % less time).
    private func takesSmallBlocks(problems: Int) -> Bool {
        let seats = context.device.multiprocessors
        guard problems <= seats else { return true }
        func warps(_ shape: DecodeShape) -> Int {
            seats * shape.blocks / max(problems, 1) * problems * shape.warps
        }
        return Double(warps(shapes[1])) > 1.3 * Double(warps(shapes[0]))
    }

    /// The same for one layer of some caches, each seen by the query of its last token.
    package func plan(
        _ caches: [DeviceCache], layer: Int, on stream: borrowing CUDAStream
    ) throws(CUDABackendError) -> Plan {
        try plan(caches.map { $0.sequence(layer: layer) }, on: stream)
    }

    /// Attention of one token of each sequence.
    ///
    /// - Parameters:
    ///   - queries, output: addresses of float32 `[sequence][query heads][d]`; queries after RoPE.
    ///   - sequences: as ``DeviceCache/sequence(layer:position:)`` gives them, of layers of this kind.
    ///   - overlapsPrevious: begin before the launch before has ended, which may have appended tokens but sealed none.
    package func launch(
        queries: UInt64, output: UInt64, sequences: [iq_sequence], plan: Plan,
        overlapsPrevious: Bool = false, on stream: borrowing CUDAStream
    ) throws(CUDABackendError) {
        let (cut, shape) = (plan.cut, shapes[plan.kernel])
        guard sequences.count <= shape.sequences, sequences.count == cut.shares.count else {
            throw .tooManySequences(sequences.count, most: shape.sequences)
        }
        guard !sequences.isEmpty else { return }
        precondition(4 * cut.partials * shape.recordFloats <= partials.byteCount)
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
        head.raw_cost_log2 = Int32(cut.rawCost.trailingZeroBitCount)
        head.polls = cut.isOneWave ? 1 : 0
        head.chunks = Int32(cut.chunks)
        head.ratio = Int32(layer.shape.groupRatio)
        let overlaps =
            overlapsPrevious && plan.canOverlap && context.device.capability.major >= 9
        head.overlaps = overlaps ? 1 : 0
        head.key_side_bytes = Int32(layer.keySide)
        head.value_side_bytes = Int32(layer.valueSide)
        head.tables_start = Int32(layer.normalizerBytes)
        parameters.storeBytes(of: head, as: iq_decode.self)
        let rest = parameters + MemoryLayout<iq_decode>.stride
        for (index, share) in cut.shares.enumerated() {
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
        let function = try kernel(plan.kernel).function
        do throws(CUDAError) {
            try stream.launch(
                function, grid: LaunchSize(cut.columns, cut.chunks),
                block: LaunchSize(32 * shape.warps), sharedBytes: shape.sharedBytes,
                overlapsPrevious: overlaps, parametersAt: UnsafeRawPointer(parameters))
        } catch { throw CUDABackendError(error) }
    }

    /// The same over one layer of some caches, each seen by the query of its last token.
    package func launch(
        queries: UInt64, output: UInt64, caches: [DeviceCache], layer: Int, plan: Plan,
        overlapsPrevious: Bool = false, on stream: borrowing CUDAStream
    ) throws(CUDABackendError) {
        try launch(
            queries: queries, output: output,
            sequences: caches.map { $0.sequence(layer: layer) }, plan: plan,
            overlapsPrevious: overlapsPrevious, on: stream)
    }

    /// Whether a launch gave up waiting for its other blocks, which only a broken device or a broken-off launch makes it
    /// do. Then scratch is made good again. Waits for the stream.
    package func gaveUp(on stream: borrowing CUDAStream) throws(CUDABackendError) -> Bool {
        guard counters.byteCount > 0 else { return false }
        do throws(CUDAError) {
            guard try counters.read(Int32.self, count: 1, waitingOn: stream)[0] != 0 else {
                return false
            }
            try partials.fill(0xFF, on: stream)
            try counters.fill(0, on: stream)
            return true
        } catch { throw CUDABackendError(error) }
    }

    /// All bits of partials are set and all counters 0 between launches.
    private func reserve(
        records: Int, on stream: borrowing CUDAStream
    ) throws(CUDABackendError) {
        let bytes = 4 * records * shapes[0].recordFloats
        // The first counter is there even if nothing is merged.
        guard bytes > partials.byteCount || counters.byteCount == 0 else { return }
        let context = context
        do throws(CUDAError) {
            // The old ones may be in use still; giving them back waits for that.
            partials = try DeviceBuffer(
                context, byteCount: max(bytes, 16), purpose: "partial sums of attention")
            counters = try DeviceBuffer(
                context, byteCount: 4 * (records + 1), purpose: "counters of attention")
            try partials.fill(0xFF, on: stream)
            try counters.fill(0, on: stream)
        } catch { throw CUDABackendError(error) }
    }
}

extension DecodeShape {
    /// Warps of a block and blocks on a multiprocessor: blocks that fill one, then smaller ones. Heads of 256 channels
    /// leave room for one block of four warps.
    static func blocks(headSize: Int) -> [(warps: Int, blocks: Int)] {
        headSize > 128 ? [(4, 1)] : [(8, 1), (4, 2)]
    }

    /// Sequences that kernels are made for: the parameters of a launch have room for so many.
    static let sequenceCounts = [1, 8, Int(IQ_MOST_SEQUENCES)]

    /// The kernels of one kind of layer.
    package static func choices(
        _ layer: DeviceLayout.Layer, sequences: Int, mostSharedBytes: Int = usualSharedBytes
    ) -> [DecodeShape] {
        let (d, ratio) = (layer.shape.headSize, layer.shape.groupRatio)
        let chunks = DecodePlan.chunks(ratio: ratio, headSize: d)
        let heads = (ratio + chunks - 1) / chunks
        let most = sequenceCounts.first { sequences <= $0 } ?? Int(IQ_MOST_SEQUENCES)
        return blocks(headSize: d).map { warps, blocks in
            DecodeShape(
                layer.policy, headSize: d, heads: heads, warps: warps, blocks: blocks,
                sequences: most, preRotary: layer.shape.preRotary(layer.policy),
                mostSharedBytes: mostSharedBytes)
        }
    }
}
