import CUDABackend
import CUDADriver
import CUDAKernels
import CUDAStandIn
import KVCache
import Testing

/// NVRTC of this machine, if there is one.
private let compiler = try? RuntimeCompiler()

/// Launches of attention, on a GPU that computes nothing.
@Suite(.enabled(if: compiler != nil, "NVRTC is not on this machine"))
struct DecodeLaunchTests {
    private static let shape = LaunchTests.shape

    /// Caches of these lengths, in one launch; the launch as the driver got it.
    private func decode(
        _ lengths: [Int], machine: StandIn.Machine = StandIn.Machine(),
        check: (StandIn.Launch, iq_decode, [iq_sequence], DecodePlan) throws -> Void
    ) throws {
        try LaunchTests.run(machine) { standIn, device in
            let (head, each) = (MemoryLayout<iq_decode>.stride, MemoryLayout<iq_sequence>.stride)
            let room = lengths.count == 1 ? 1 : lengths.count <= 8 ? 8 : 64
            standIn.setParameterSize(head + room * each, of: "iq_decode_attention")
            var caches: [DeviceCache] = []
            for length in lengths {
                let cache = try LaunchTests.cache(device, .float16)
                try cache.append(
                    layer: 0,
                    rows: DeviceRows(
                        queries: 0x1000, keys: 0x2000, values: 0x3000,
                        shape: Self.shape.layers[0]), count: length)
                caches.append(cache)
            }
            let attention = try DecodeAttention(
                caches[0].layout.layers[0], pageStride: caches[0].layout.pageStride,
                mostSequences: lengths.count, kernels: device.kernels)
            let plan = try attention.plan(caches, layer: 0, on: device.stream)
            try attention.launch(
                queries: 0x4000, output: 0x5000, caches: caches, layer: 0, plan: plan,
                overlapsPrevious: true, on: device.stream)
            let launch = try #require(standIn.launches.last)
            #expect(launch.kernel == "iq_decode_attention")
            #expect(standIn.maximumDynamicShared(of: launch.kernel) == launch.sharedBytes)
            let told = try #require(launch.parameters(as: iq_decode.self))
            #expect(told.queries == 0x4000 && told.output == 0x5000)
            #expect(Int(told.sequences) == lengths.count && told.kv_heads == 2)
            #expect(told.query_heads == 8 && told.ratio == 4 && told.chunks == 1)
            #expect(told.page_stride == 65_536 && told.raw_stride == 16_384)
            #expect(told.ring_tiles == 2 && told.raw_cost_log2 == 0)
            let sequences = launch.parameters.withUnsafeBytes { bytes in
                lengths.indices.map {
                    bytes.loadUnaligned(fromByteOffset: head + $0 * each, as: iq_sequence.self)
                }
            }
            for (share, sequence) in zip(plan.cut.shares, sequences) {
                #expect(Int(sequence.first_block) == share.firstBlock)
                #expect(Int(sequence.splits) == share.splits)
                #expect(sequence.splits_magic == share.splitsMagic)
                #expect(Int(sequence.units) == share.units)
                #expect(1 << sequence.warps_log2 == share.warps)
                #expect(Int(sequence.first_partial) == share.firstPartial)
            }
            try check(launch, told, sequences, plan.cut)
        }
    }

    @Test func sequencesOfDifferentLengthsHaveSharesOfTheirOwn() throws {
        try decode([5000, 0, 33, 900]) { launch, head, sequences, plan in
            #expect(launch.grid == LaunchSize(plan.columns) && plan.isOneWave)
            #expect(launch.block == LaunchSize(256) && launch.overlapsPrevious)
            #expect(head.polls == 1 && head.overlaps == 1)
            #expect(sequences.map(\.body_end) == [156, 0, 1, 28])
            #expect(sequences.map(\.recent_tokens) == [8, 0, 1, 4])
            #expect(sequences.map(\.recent_position) == [4992, 0, 32, 896])
            #expect(sequences[0].splits > 4 * sequences[3].splits)
            #expect(sequences[1].splits == 1 && sequences[2].splits == 1)
            #expect(Set(sequences.map(\.body)).count == 4)
        }
    }

    @Test func manySequencesShareBlocksAndDoNotOverlap() throws {
        try decode(.init(repeating: 200, count: 64), machine: machine(multiprocessors: 60)) {
            launch, head, sequences, plan in
            // 128 problems: two of two warps each in a block of four, 120 of which are seated.
            #expect(launch.block == LaunchSize(128) && launch.grid == LaunchSize(64))
            #expect(sequences.allSatisfy { $0.warps_log2 == 1 && $0.splits == 1 })
            #expect(head.polls == 1)
            #expect(head.overlaps == 0 && !launch.overlapsPrevious)
        }
    }

    @Test func moreBlocksThanSeatsDoNotWaitForEachOther() throws {
        try decode(.init(repeating: 200, count: 64), machine: machine(multiprocessors: 4)) {
            launch, head, _, plan in
            #expect(plan.blocks > 8 && !plan.isOneWave)
            #expect(head.polls == 0 && head.overlaps == 0)
        }
    }

    private func machine(multiprocessors: Int32) -> StandIn.Machine {
        var machine = StandIn.Machine()
        machine.attributes[.multiprocessorCount] = multiprocessors
        return machine
    }

    /// What Swift gives a block is what the kernel's own constants ask for.
    @Test func sharedMemoryIsThatOfTheKernel() throws {
        let compiler = try RuntimeCompiler()
        var headers: [RuntimeCompiler.Header] = []
        for index in 0..<iq_source_count() {
            let source = iq_source_at(index)
            headers.append(
                .init(name: String(cString: source.name), text: String(cString: source.text)))
        }
        for policy in CachePolicy.presets + Self.lookups {
            for (d, heads, warps, blocks) in [
                (64, 1, 8, 1), (96, 5, 4, 2), (128, 4, 8, 1), (128, 8, 4, 2), (256, 4, 4, 1),
            ] {
                let turns = policy.keys.codebook?.preRotary == true
                let shape = DecodeShape(
                    policy.layer(0, of: 1), headSize: d, heads: heads, warps: warps,
                    blocks: blocks, sequences: 1,
                    preRotary: turns ? IQ_HALF_SPLIT : IQ_POST_ROTARY)
                #expect(shape.sharedBytes <= (232_448 + 1024) / blocks - 1024)
                let text = """
                    #include "decode_shape.cuh"
                    static_assert(shape::shared_bytes == \(shape.sharedBytes), "shared memory");
                    static_assert(IQ_HEADS * (shape::d + 4) == \(shape.recordFloats), "record");
                    """
                #expect(throws: Never.self, "\(policy.name), \(d)") {
                    try compiler.compile(
                        text, name: "check.cu", headers: headers,
                        options: ["--gpu-architecture=sm_90a", "-std=c++17", "-default-device"]
                            + shape.variant.unit.definitions.map { "-D\($0.key)=\($0.value)" })
                }
            }
        }
    }

    /// Lookup formats that no preset has, with one another and with other formats.
    private static let lookups: [CachePolicy] =
        [
            "kvquant-int4-5%-token-vchannel", "kvquant-nf3-token-post", "kvquant-int2-1%-post",
            "turboquant-1-4",
        ].compactMap { CachePolicy.preset(named: $0) }
        + [
            (TensorFormat.float16, TensorFormat.rotated(RotatedFormat(bits: 3))),
            (CachePolicy.innerQBase.keys, CachePolicy.kvQuant(bits: 4, outliers: 0.01).values),
            (CachePolicy.kvQuant(bits: 3, outliers: 0.01).keys, CachePolicy.kivi4.values),
        ].map { CachePolicy(name: "mixed", keys: $0.0, values: $0.1, windows: .none) }

    /// Where a block may have less shared memory, tables of levels have fewer copies.
    @Test func tablesHaveTheCopiesThatFit() throws {
        func copies(_ policy: CachePolicy, blocks: Int, most: Int) -> Int {
            DecodeShape(
                policy.layer(0, of: 1), headSize: 128, heads: 4, warps: 8 / blocks, blocks: blocks,
                sequences: 1, mostSharedBytes: most
            ).tableCopies
        }
        let four = CachePolicy.turboQuant(keyBits: 4, valueBits: 4)
        let hopper = DecodeShape.usualSharedBytes
        #expect(copies(four, blocks: 1, most: hopper) == 32)
        #expect(copies(four, blocks: 2, most: hopper) == 16)
        #expect(copies(four, blocks: 1, most: 163 * 1024) == 8)
        #expect(
            copies(.turboQuant(keyBits: 2, valueBits: 2), blocks: 1, most: hopper) == 1)
        #expect(copies(.innerQBase, blocks: 1, most: hopper) == 1)
    }

    /// Formats with tables and sides: where the kernel finds them.
    @Test func lookupFormatsAreToldTheirSides() throws {
        try LaunchTests.run { standIn, device in
            let policy = try #require(CachePolicy.preset(named: "kvquant-int4-1%-token-post"))
            standIn.setParameterSize(
                MemoryLayout<iq_decode>.stride + MemoryLayout<iq_sequence>.stride,
                of: "iq_decode_attention")
            let layout = DeviceLayout(shape: Self.shape, policy: policy, granularity: 1)
            let attention = try DecodeAttention(
                layout.layers[0], pageStride: layout.pageStride, mostSequences: 1,
                kernels: device.kernels)
            var sequence = iq_sequence()
            sequence.recent_tokens = 1
            let plan = try attention.plan([sequence], on: device.stream)
            try attention.launch(
                queries: 0x1000, output: 0x2000, sequences: [sequence], plan: plan,
                on: device.stream)
            let launch = try #require(standIn.launches.last)
            let head = try #require(launch.parameters(as: iq_decode.self))
            // Ranges of 32 tokens, 3 starts, 64 outliers: 128 + 8 + 256 bytes, padded.
            #expect(head.key_side_bytes == 400 && head.value_side_bytes == 400)
            #expect(head.tables_start == 0)
        }
    }

    @Test func promptsHaveABlockForEachRunOfRows() throws {
        for (hopper, entry, threads) in [
            (true, "iq_prefill_attention_hopper", 384), (false, "iq_prefill_attention", 128),
        ] {
            try LaunchTests.run { standIn, device in
                standIn.setParameterSize(MemoryLayout<iq_prefill>.size, of: entry)
                var shape = Self.shape.layers[0]
                shape.slidingWindow = 4096
                let attention = try PrefillAttention(
                    headSize: 64, kernels: device.kernels, hopper: hopper ? nil : false)
                try attention.launch(
                    queries: 0x1000, count: 100, keys: .init(0x2000, shape: shape),
                    values: .init(0x3000, shape: shape), keyCount: 150, offset: 50,
                    output: 0x4000, shape: shape, on: device.stream)
                let launch = try #require(standIn.launches.last)
                #expect(launch.kernel == entry && launch.block == LaunchSize(threads))
                // 400 rows of each of 2 KV heads, 128 rows a block.
                #expect(launch.grid == LaunchSize(8))
                #expect(standIn.maximumDynamicShared(of: entry) == launch.sharedBytes)
                let work = try #require(launch.parameters(as: iq_prefill.self))
                #expect(work.count == 100 && work.key_count == 150 && work.offset == 50)
                #expect(work.window == 4096 && work.key_stride == 128 && work.key_head_stride == 64)
            }
        }
    }
}
