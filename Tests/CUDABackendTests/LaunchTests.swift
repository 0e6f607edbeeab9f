import CUDABackend
import CUDADriver
import CUDAKernels
import CUDAStandIn
import KVCache
import Testing

/// NVRTC of this machine, if there is one.
private let compiler = try? RuntimeCompiler()

/// What the driver is told, on a GPU that computes nothing.
@Suite(.enabled(if: compiler != nil, "NVRTC is not on this machine"))
struct LaunchTests {
    static let shape = CacheShape(layers: [
        LayerShape(queryHeads: 8, kvHeads: 2, headSize: 64)
    ])

    /// Everything must have been given back at the end.
    static func run(
        _ machine: StandIn.Machine = StandIn.Machine(),
        _ body: (StandIn, CUDACacheDevice) throws -> Void
    ) throws {
        try StandIn.run(machine) { standIn in
            try open(standIn, body)
            #expect(standIn.live.isEmpty && standIn.usedBytes == 0)
            #expect(standIn.mistakes.isEmpty)
        }
    }

    private static func open(
        _ standIn: StandIn, _ body: (StandIn, CUDACacheDevice) throws -> Void
    ) throws {
        let context = try standIn.context()
        let kernels = KernelCache(context, compiler: try RuntimeCompiler(), folder: nil)
        try body(standIn, try CUDACacheDevice(context, kernels: kernels))
    }

    static func cache(_ device: CUDACacheDevice, _ policy: CachePolicy) throws -> DeviceCache {
        try DeviceCache(
            shape: shape, policy: policy, mostTokens: 10_000, memory: device, kernels: device)
    }

    @Test func tokensAreAppendedAndTilesSealedPieceByPiece() throws {
        try Self.run { standIn, device in
            standIn.setParameterSize(MemoryLayout<iq_append>.size, of: "iq_append_tokens")
            standIn.setParameterSize(MemoryLayout<iq_seal>.size, of: "iq_seal_tiles")
            let cache = try Self.cache(device, .float16)
            let rows = DeviceRows(
                queries: 0x1000, keys: 0x2000, values: 0x3000, shape: Self.shape.layers[0])
            try cache.append(layer: 0, rows: rows, count: 100)
            // The ring has two tiles: 64 tokens, two seals; 36 more, one seal.
            let launches = standIn.launches
            #expect(
                launches.map(\.kernel) == [
                    "iq_append_tokens", "iq_seal_tiles", "iq_append_tokens", "iq_seal_tiles",
                ])
            let second = try #require(launches[2].parameters(as: iq_append.self))
            #expect(second.sequence.0.first_row == 64 && second.sequence.0.position == 64)
            #expect(second.sequence.0.count == 36 && second.sequence.0.recent_position == 64)
            #expect(second.sequences == 1 && second.kv_heads == 2 && second.ring_tiles == 2)
            #expect(second.keys == 0x2000 && second.key_stride == 128)
            #expect(launches[2].grid == LaunchSize(2, 36))
            let seal = try #require(launches[3].parameters(as: iq_seal.self))
            #expect(seal.sequence.0.first_tile == 2 && seal.sequence.0.tiles == 1)
            #expect(seal.sequence.0.recent_first == 0)
            #expect(seal.page_stride == UInt32(cache.layout.pageStride))
            #expect(launches[3].grid == LaunchSize(4))
            let sequence = cache.sequence(layer: 0)
            #expect(sequence.body_end == 3 && sequence.recent_tokens == 4)
            #expect(sequence.recent_first == 1 && sequence.recent_position == 96)
        }
    }

    @Test func decodeIsToldItsPlan() throws {
        try Self.run { standIn, device in
            let size = MemoryLayout<iq_decode>.stride + 8 * MemoryLayout<iq_sequence>.stride
            standIn.setParameterSize(size, of: "iq_decode_attention")
            let cache = try Self.cache(device, .float16)
            let rows = DeviceRows(
                queries: 0x1000, keys: 0x2000, values: 0x3000, shape: Self.shape.layers[0])
            try cache.append(layer: 0, rows: rows, count: 5000)
            let attention = try DecodeAttention(
                cache.layout.layers[0], pageStride: cache.layout.pageStride, mostSequences: 5,
                kernels: device.kernels)
            let plan = try attention.plan([cache, cache, cache], layer: 0, on: device.stream)
            try attention.launch(
                queries: 0x4000, output: 0x5000, caches: [cache, cache, cache], layer: 0,
                plan: plan, overlapsPrevious: true, on: device.stream)
            let launch = try #require(standIn.launches.last)
            #expect(launch.kernel == "iq_decode_attention")
            // 3 sequences of 2 KV heads on 132 multiprocessors: at most 22 splits of 157 units.
            #expect(launch.grid == LaunchSize(plan.cut.columns, 1) && plan.cut.isOneWave)
            #expect(launch.block == LaunchSize(256))
            #expect(launch.overlapsPrevious)
            let head = try #require(launch.parameters(as: iq_decode.self))
            #expect(head.queries == 0x4000 && head.output == 0x5000)
            #expect(head.sequences == 3 && head.polls == 1 && head.overlaps == 1)
            #expect(head.query_heads == 8 && head.ratio == 4 && head.chunks == 1)
            let sequences = launch.parameters.withUnsafeBytes { bytes in
                (0..<3).map {
                    bytes.loadUnaligned(
                        fromByteOffset: MemoryLayout<iq_decode>.stride
                            + $0 * MemoryLayout<iq_sequence>.stride, as: iq_sequence.self)
                }
            }
            for (share, sequence) in zip(plan.cut.shares, sequences) {
                #expect(Int(sequence.first_block) == share.firstBlock)
                #expect(Int(sequence.splits) == share.splits && share.splits > 10)
                #expect(Int(sequence.units) == share.units && sequence.warps_log2 == 3)
                #expect(sequence.body_end == 156 && sequence.recent_tokens == 8)
            }
            #expect(throws: CUDABackendError.tooManySequences(65, most: 64)) {
                try DecodeAttention(
                    cache.layout.layers[0], pageStride: 0, mostSequences: 65,
                    kernels: device.kernels)
            }
        }
    }

    @Test func keysWithErrorFeedbackAreSealedInParts() throws {
        try Self.run { standIn, device in
            standIn.setParameterSize(MemoryLayout<iq_append>.size, of: "iq_append_tokens")
            standIn.setParameterSize(MemoryLayout<iq_seal>.size, of: "iq_seal_tiles")
            let cache = try Self.cache(device, CachePolicy.innerQBase.withStatistics(fromTokens: 0))
            // Where the queries are that the statistics are taken from, something must be.
            let memory = try DeviceBuffer(device.context, byteCount: 1 << 20)
            let rows = DeviceRows(
                queries: memory.address, keys: memory.address, values: memory.address,
                shape: Self.shape.layers[0])
            try cache.append(layer: 0, rows: rows, count: 160)
            let appends = standIn.launches.filter { $0.kernel == "iq_append_tokens" }
            // Queries are kept 64 at a time.
            #expect(appends.map(\.grid.y) == [64, 64, 32])
            let told = try appends.map {
                try #require($0.parameters(as: iq_append.self)).sequence.0
            }
            #expect(told.map(\.statistics_end) == [160, 160, 160])
            let row: UInt64 = 4 * 8 * 64
            #expect(told[0].statistics == told[1].statistics + 64 * row)
            let seal = try #require(standIn.launches.last)
            #expect(seal.kernel == "iq_seal_tiles" && seal.block == LaunchSize(128))
            #expect(seal.grid == LaunchSize(2 * 5))
            #expect(seal.sharedBytes == Int(iq_seal_shared_bytes(64, 1)))
            let work = try #require(seal.parameters(as: iq_seal.self))
            #expect(work.sequence.0.normalizer != 0 && work.sequence.0.tiles == 1)
            #expect(cache.allocatedBytes == cache.layout.byteCount(tokens: 160).total)
        }
    }

    @Test func aThousandCachesLeaveNothing() throws {
        try Self.run { standIn, device in
            for _ in 0..<1000 { _ = try Self.cache(device, .innerQBase).allocatedBytes }
        }
    }

    @Test func withoutMemoryTheErrorSaysWhatFits() throws {
        var machine = StandIn.Machine()
        machine.memoryBytes = 16 << 20
        try Self.run(machine) { standIn, device in
            let cache = try Self.cache(device, .float16)
            let rows = DeviceRows(
                queries: 0x1000, keys: 0x2000, values: 0x3000, shape: Self.shape.layers[0])
            do {
                try cache.append(layer: 0, rows: rows, count: 10_000_000)
                Issue.record("it fitted")
            } catch CUDABackendError.contextTooLong(let tokens, let reserved) {
                #expect(tokens > reserved && reserved == 10_000)
            }
            let long = try DeviceCache(
                shape: Self.shape, policy: .float16, mostTokens: 1 << 24, memory: device,
                kernels: device)
            do {
                try long.append(layer: 0, rows: rows, count: 1 << 20)
                Issue.record("it fitted")
            } catch CUDABackendError.outOfMemory(let asked, let free, let longest) {
                #expect(asked == 2 << 20 && free < asked)
                #expect((longest ?? 0) > 1000)
            }
        }
    }
}
