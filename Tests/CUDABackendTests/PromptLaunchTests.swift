import CUDABackend
import CUDADriver
import CUDAKernels
import CUDAStandIn
import KVCache
import Testing

/// NVRTC of this machine, if there is one.
private let compiler = try? RuntimeCompiler()

/// Launches of a prompt's attention, on a GPU that computes nothing.
@Suite(.enabled(if: compiler != nil, "NVRTC is not on this machine"))
struct PromptLaunchTests {
    /// Bytes of one token's keys.
    private static let row: UInt64 = 2 * 2 * 64
    private static let prefill = "iq_prefill_attention_hopper"

    private static func run(
        window: Int? = nil, mostUnpacked: Int = 1 << 14, memoryBytes: Int = 1 << 30,
        mostTokens: Int = 10_000,
        _ body: (StandIn, DeviceCache, PromptAttention, DeviceRows) throws -> Void
    ) throws {
        var machine = StandIn.Machine()
        machine.memoryBytes = memoryBytes
        try LaunchTests.run(machine) { standIn, device in
            standIn.setParameterSize(MemoryLayout<iq_append>.size, of: "iq_append_tokens")
            standIn.setParameterSize(MemoryLayout<iq_unpack>.size, of: "iq_unpack_tiles")
            standIn.setParameterSize(MemoryLayout<iq_prefill>.size, of: prefill)
            var shape = LaunchTests.shape.layers[0]
            shape.slidingWindow = window
            let cache = try DeviceCache(
                shape: CacheShape(layers: [shape]), policy: .float16, mostTokens: mostTokens,
                memory: device, kernels: device)
            let attention = try PromptAttention(device, mostUnpacked: mostUnpacked)
            #expect(attention.allocatedBytes == 0)
            var rows = DeviceRows(queries: 0x1000, keys: 0x2000, values: 0x3000, shape: shape)
            rows.turned = 0x4000
            try body(standIn, cache, attention, rows)
        }
    }

    @Test func anEmptyCacheIsNotUnpacked() throws {
        try Self.run { standIn, cache, attention, rows in
            try attention.attend(cache, layer: 0, rows: rows, count: 100, output: 0x5000)
            let launches = standIn.launches
            #expect(
                launches.map(\.kernel) == [
                    "iq_append_tokens", "iq_seal_tiles", "iq_append_tokens", "iq_seal_tiles",
                    Self.prefill,
                ])
            #expect(!standIn.calls.contains { $0.hasSuffix("Synchronize") })
            #expect(cache.tokenCount == 100 && cache.sealedTiles(layer: 0) == 3)
            let work = try #require(launches[4].parameters(as: iq_prefill.self))
            #expect(work.queries == 0x4000 && work.output == 0x5000)
            #expect(work.count == 100 && work.key_count == 100 && work.offset == 0)
            #expect(work.key_stride == 128 && work.value_head_stride == 64 && work.window == 0)
            #expect(work.initial == 0 && work.statistics == 0)
            let append = try #require(launches[2].parameters(as: iq_append.self))
            #expect(append.dense_keys == work.keys && append.dense_values == work.values)
            #expect(append.sequence.0.first_row == 64)
            #expect(attention.allocatedBytes == 2 * 2 << 20)
        }
    }

    @Test func whatWasBeforeIsUnpackedBeforeItIsSealed() throws {
        try Self.run { standIn, cache, attention, rows in
            try cache.append(layer: 0, rows: rows, count: 50)
            let start = standIn.launches.count
            try attention.attend(cache, layer: 0, rows: rows, count: 30, output: 0x5000)
            let launches = standIn.launches[start...].map { $0 }
            #expect(
                launches.map(\.kernel) == [
                    "iq_unpack_tiles", "iq_append_tokens", "iq_seal_tiles", Self.prefill,
                ])
            let unpack = try #require(launches[0].parameters(as: iq_unpack.self))
            #expect(unpack.first == 0 && unpack.end == 50 && unpack.recent_position == 32)
            #expect(unpack.float_keys == 0 && unpack.float_values == 0)
            let work = try #require(launches[3].parameters(as: iq_prefill.self))
            #expect(unpack.half_keys == work.keys && unpack.half_values == work.values)
            #expect(work.count == 30 && work.key_count == 80 && work.offset == 50)
            let append = try #require(launches[1].parameters(as: iq_append.self))
            #expect(append.dense_keys == work.keys + 50 * Self.row)
            #expect(append.dense_values == work.values + 50 * Self.row)
            // A plain append asks for none.
            let plain = try #require(standIn.launches[0].parameters(as: iq_append.self))
            #expect(plain.dense_keys == 0 && plain.dense_values == 0)
        }
    }

    @Test func onlyTheWindowIsUnpacked() throws {
        try Self.run(window: 40) { standIn, cache, attention, rows in
            try cache.append(layer: 0, rows: rows, count: 100)
            let start = standIn.launches.count
            try attention.attend(cache, layer: 0, rows: rows, count: 7, output: 0x5000)
            let unpack = try #require(standIn.launches[start].parameters(as: iq_unpack.self))
            // The query of position 100 sees 61 … 100.
            #expect(unpack.first == 61 && unpack.end == 100 && unpack.first_chunk == 1)
            let work = try #require(standIn.launches.last?.parameters(as: iq_prefill.self))
            #expect(work.key_count == 46 && work.offset == 39 && work.window == 40)
        }
    }

    @Test func aLongCacheIsReadInPiecesOfBoundedMemory() throws {
        try Self.run(mostUnpacked: 1000) { standIn, cache, attention, rows in
            try cache.append(layer: 0, rows: rows, count: 2500)
            let start = standIn.launches.count
            try attention.attend(cache, layer: 0, rows: rows, count: 10, output: 0x5000)
            let launches = standIn.launches[start...].map { $0 }
            #expect(
                launches.map(\.kernel) == [
                    "iq_unpack_tiles", "iq_append_tokens", Self.prefill,
                    "iq_unpack_tiles", Self.prefill, "iq_unpack_tiles", Self.prefill,
                ])
            let works = launches.compactMap {
                $0.kernel == Self.prefill ? $0.parameters(as: iq_prefill.self) : nil
            }
            #expect(works.map(\.key_count) == [1010, 1000, 500])
            #expect(works.map(\.offset) == [1000, 2500, 1500])
            #expect(works.map(\.initial) == [0, 0x5000, 0x5000])
            #expect(Set(works.map(\.statistics)).count == 1 && works[0].statistics != 0)
            #expect(works[1].initial_statistics == works[0].statistics)
            // A step of 2 MiB each for keys, values and statistics.
            #expect(attention.allocatedBytes == 3 * 2 << 20)
        }
    }

    @Test func piecesCoverWhatIsVisibleAndKeepTheRecentTogether() {
        for visible in [0..<0, 0..<1, 5..<100, 3..<1003, 0..<64] {
            for recent in [0, 6, 60, 990, 5000] {
                for most in [1, 7, 64, 2000] {
                    let pieces = PromptAttention.pieces(
                        visible: visible, recent: recent, most: most)
                    #expect(pieces.flatMap { $0 } == Array(visible))
                    for piece in pieces.dropLast() {
                        #expect(piece.count <= most && piece.upperBound <= recent)
                    }
                    if let last = pieces.last, recent > visible.upperBound - most {
                        #expect(last.count <= most)
                    }
                }
            }
        }
    }

    @Test func whatCannotRunChangesNothing() throws {
        try Self.run(memoryBytes: 16 << 20, mostTokens: 1 << 20) {
            standIn, cache, attention, rows in
            do {
                try attention.attend(cache, layer: 0, rows: rows, count: 40_000, output: 0x5000)
                Issue.record("it fitted")
            } catch CUDABackendError.promptTooLong(let tokens, let asked, let free) {
                #expect(tokens == 40_000 && asked > 0 && free < 16 << 20)
            }
            do {
                try attention.attend(cache, layer: 0, rows: rows, count: 1 << 19, output: 0x5000)
                Issue.record("it fitted")
            } catch CUDABackendError.promptTooLong(let tokens, let asked, _) {
                #expect(tokens == 1 << 19 && asked > 16 << 20)
            }
            #expect(throws: CUDABackendError.contextTooLong(tokens: 1 << 21, reserved: 1 << 20)) {
                try attention.attend(cache, layer: 0, rows: rows, count: 1 << 21, output: 0x5000)
            }
            #expect(throws: CUDABackendError.self) {
                try attention.attend(cache, layer: 0, rows: rows, count: 1, output: 0x4000)
            }
            try attention.attend(cache, layer: 0, rows: rows, count: 0, output: 0)
            #expect(standIn.launches.isEmpty && cache.tokenCount == 0)
        }
    }
}
