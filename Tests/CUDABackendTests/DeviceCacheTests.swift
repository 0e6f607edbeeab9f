import CUDABackend
import CUDAKernels
import KVCache
import Testing
import Threading

/// The bookkeeping of a device cache against the CPU's, with kernels that run on the CPU.
@Suite struct DeviceCacheTests {
    static let workers = WorkerPool(threads: 1)

    static let policies: [CachePolicy] =
        CachePolicy.presets.filter { !$0.hasLookup }.map { $0.withStatistics(fromTokens: 256) } + [
            CachePolicy(
                name: "odd windows", keys: CachePolicy.innerQBase.keys,
                values: CachePolicy.innerQBase.values, windows: CacheWindows(sink: 5, recent: 17),
                keyNormalization: KeyNormalization(
                    centred: false, exponent: 0.5, queryExponent: 0.5, tokens: 100)),
            CachePolicy(
                name: "mixed", keys: CachePolicy.innerQBase.keys, values: .float16,
                windows: CacheWindows(sink: 32, recent: 32),
                keyNormalization: .published,
                exceptions: [
                    LayerException(
                        layers: [1], keys: CachePolicy.q4.keys,
                        windows: CacheWindows(sink: 0, recent: 64))
                ]),
        ]

    static let shape = CacheShape(layers: [
        LayerShape(queryHeads: 4, kvHeads: 2, headSize: 64),
        LayerShape(queryHeads: 3, kvHeads: 1, headSize: 96, slidingWindow: 150),
    ])

    /// Both caches, fed the same.
    final class Pair {
        let host: SequenceCache
        let device: DeviceCache
        let memory: HostDevice
        let calibration: CacheCalibration?

        init(
            _ policy: CachePolicy, _ shape: CacheShape = DeviceCacheTests.shape,
            calibration: CacheCalibration? = nil, memory: HostDevice = HostDevice(),
            kernels: (any DeviceCacheKernels)? = nil
        ) throws {
            self.memory = memory
            self.calibration = calibration
            host = try SequenceCache(
                shape: shape, policy: policy, calibration: calibration,
                workers: DeviceCacheTests.workers)
            device = try DeviceCache(
                shape: shape, policy: policy, calibration: calibration, mostTokens: 2000,
                memory: memory, kernels: kernels ?? memory)
        }

        /// Appends `count` tokens, the same whatever the cut.
        func append(
            _ count: Int, number: (_ random: inout Random) -> Float = { $0.value() }
        ) throws {
            let first = host.tokenCount
            for (index, layer) in host.layers.enumerated() {
                let shape = layer.shape
                var (q, k, v): ([Float], [Float], [Float]) = ([], [], [])
                for token in first..<first + count {
                    var random = Random(UInt64(token * 2 + index))
                    for _ in 0..<shape.queryHeads * shape.headSize { q.append(number(&random)) }
                    for _ in 0..<shape.kvHeads * shape.headSize { k.append(number(&random)) }
                    for _ in 0..<shape.kvHeads * shape.headSize { v.append(number(&random)) }
                    k[k.count - 3] += 4
                }
                layer.append(keys: k, values: v, count: count)
                layer.watch(queries: q, position: first, count: count)
                layer.seal(visibleFrom: layer.schedule.firstVisible(at: first + count))
                layer.release()
                try q.withUnsafeBufferPointer { q in
                    try k.withUnsafeBufferPointer { k in
                        try v.withUnsafeBufferPointer { v in
                            let rows = DeviceRows(
                                queries: UInt64(UInt(bitPattern: q.baseAddress)),
                                keys: UInt64(UInt(bitPattern: k.baseAddress)),
                                values: UInt64(UInt(bitPattern: v.baseAddress)), shape: shape)
                            try device.append(layer: index, rows: rows, count: count)
                        }
                    }
                }
            }
        }

        func bytesOfHost() -> [[UInt8]] { DeviceCacheTests.bytes(host) }

        /// By way of an empty cache on the CPU.
        func bytesOfDevice() throws -> [[UInt8]] {
            let copy = try SequenceCache(
                shape: host.shape, policy: host.policy, calibration: calibration,
                workers: DeviceCacheTests.workers)
            try device.store(into: copy)
            return DeviceCacheTests.bytes(copy)
        }
    }

    static func bytes(_ cache: SequenceCache) -> [[UInt8]] {
        cache.layers.map { layer in
            var all: [UInt8] = []
            layer.forEachPage { all.append(contentsOf: $0) }
            return all
        }
    }

    @Test(arguments: policies) func anyChunkingGivesTheBytesOfTheCPU(_ policy: CachePolicy) throws {
        for seed in 0..<3 as Range<UInt64> {
            var random = Random(seed)
            let pair = try Pair(policy)
            var next = 0
            while pair.host.tokenCount < 900 {
                // Single tokens, small pieces, and chunks that the ring cannot hold at once.
                let most = [1, 40, 40, 500][Int(random.next() % 4)]
                try pair.append(1 + Int(random.next() % UInt64(most)))
                let n = pair.host.tokenCount
                #expect(pair.device.tokenCount == n && pair.device.isConsistent)
                let counted = pair.device.layout.byteCount(tokens: n)
                #expect(pair.device.allocatedBytes == counted.total)
                #expect(pair.memory.mappedBytes == counted.total)
                for (layer, host) in pair.host.layers.enumerated() {
                    #expect(pair.device.sealedTiles(layer: layer) == host.sealedTiles)
                    let room = try pair.device.room(layer: layer)
                    #expect(room >= (host.sealedTiles > 0 ? 32 : 1))
                }
                guard n >= next else { continue }
                next = n + 60
                #expect(try pair.bytesOfDevice() == pair.bytesOfHost(), "\(n) tokens")
            }
        }
    }

    /// Everything a query sees, read as iq_device_cache.h says, is what the CPU's oracle has.
    @Test(arguments: policies) func descriptorsLeadToEveryVisibleToken(
        _ policy: CachePolicy
    ) throws {
        let pair = try Pair(policy)
        for count in [1, 4, 27, 1, 60, 100, 62, 1, 130, 31, 1, 1, 77] {
            try pair.append(count)
            for (index, layer) in pair.host.layers.enumerated() {
                let found = Descriptor(pair.device, index).tokens()
                let (keys, _) = layer.dequantized()
                let n = layer.tokenCount
                let visible = layer.schedule.firstVisible(at: n - 1)
                let d = layer.shape.headSize
                var seen = 0
                for (position, key) in found where position >= visible {
                    seen += 1
                    for c in 0..<d {
                        guard abs(Double(key[c]) - keys[position * d + c]) < 1e-5 else {
                            Issue.record("layer \(index), token \(position) of \(n), channel \(c)")
                            return
                        }
                    }
                }
                #expect(seen == n - visible)
                #expect(Set(found.map(\.position)).count == found.count)
            }
        }
    }

    /// Reads head 0's keys through a descriptor.
    private struct Descriptor {
        let device: DeviceCache
        let layer: DeviceLayout.Layer
        let sequence: iq_sequence

        init(_ device: DeviceCache, _ index: Int) {
            self.device = device
            layer = device.layout.layers[index]
            sequence = device.sequence(layer: index)
        }

        func tokens() -> [(position: Int, key: [Float])] {
            let s = sequence
            var result: [(Int, [Float])] = []
            for tile in 0..<(Int(s.sink_tokens) + 31) / 32 {
                let address = s.sink + UInt64(tile * layer.rawStride)
                result += raw(address, position: 32 * tile, count: Int(s.sink_tokens) - 32 * tile)
            }
            for tile in Int(s.body_first)..<Int(s.body_end) {
                let address =
                    s.body + UInt64(tile / 4 * device.layout.pageStride + tile % 4 * layer.keyTile)
                result += sealed(address, position: Int(s.body_position) + 32 * tile)
            }
            for i in 0..<(Int(s.recent_tokens) + 31) / 32 {
                let slot = (Int(s.recent_first) + i) % layer.ringTiles
                result += raw(
                    s.recent + UInt64(slot * layer.rawStride),
                    position: Int(s.recent_position) + 32 * i, count: Int(s.recent_tokens) - 32 * i)
            }
            return result
        }

        private func raw(_ address: UInt64, position: Int, count: Int) -> [(Int, [Float])] {
            let d = layer.shape.headSize
            let places = DeviceTilePlaces(.keys, headSize: d, format: .float16)
            let halves = HostDevice.pointer(address).assumingMemoryBound(to: UInt16.self)
            return (0..<min(32, count)).map { token in
                (
                    position + token,
                    (0..<d).map {
                        Float(Float16(bitPattern: halves[places.half(token: token, channel: $0)]))
                    }
                )
            }
        }

        private func sealed(_ address: UInt64, position: Int) -> [(Int, [Float])] {
            let d = layer.shape.headSize
            let order = DeviceTileOrder(.keys, headSize: d, format: layer.policy.keys)
            let tile = UnsafeMutableRawPointer.allocate(
                byteCount: order.byteCount, alignment: 64)
            defer { tile.deallocate() }
            order.toHost(HostDevice.pointer(address), tile)
            var numbers = [Float](repeating: 0, count: 32 * d)
            order.layout.decode(tile, into: &numbers)
            let normalizer =
                sequence.normalizer == 0
                ? nil : HostDevice.pointer(sequence.normalizer).assumingMemoryBound(to: Float.self)
            let heads = layer.shape.kvHeads
            return (0..<32).map { token in
                (
                    position + token,
                    (0..<d).map { c in
                        let stored = numbers[c * 32 + token]
                        guard let normalizer else { return stored }
                        return stored * normalizer[c] + normalizer[heads * d + c]
                    }
                )
            }
        }
    }

    @Test(arguments: policies) func aCacheMovesAndContinues(_ policy: CachePolicy) throws {
        for count in [0, 3, 90, 200, 255, 256, 300, 512] {
            let first = try Pair(policy)
            if count > 0 { try first.append(count) }
            // A second device cache, not empty before, takes over the CPU's.
            let second = try Pair(policy)
            try second.append(120)
            try second.device.load(first.host)
            #expect(second.device.tokenCount == count)
            try second.device.store(into: second.host)
            #expect(Self.bytes(second.host) == first.bytesOfHost(), "\(count) tokens")
            for step in [1, 30, 200, 1] {
                try first.append(step)
                try second.append(step)
            }
            #expect(try second.bytesOfDevice() == first.bytesOfHost(), "after \(count) tokens")
        }
    }

    @Test(arguments: [0, 100, 255, 300, 700])
    func copiesContinueApart(_ count: Int) throws {
        let pair = try Pair(.innerQHybrid.withStatistics(fromTokens: 256))
        if count > 0 { try pair.append(count) }
        let copy = try pair.device.copy()
        #expect(copy.allocatedBytes == pair.device.allocatedBytes)
        let before = pair.bytesOfHost()
        try pair.append(200)
        let host = try SequenceCache(
            shape: Self.shape, policy: pair.host.policy, workers: Self.workers)
        try copy.store(into: host)
        #expect(Self.bytes(host) == before)
    }

    @Test func otherCachesAreRefused() throws {
        let pair = try Pair(.innerQBase)
        let other = try SequenceCache(
            shape: Self.shape, policy: .innerQSmall, workers: Self.workers)
        #expect(throws: CUDABackendError.otherCache("policy")) { try pair.device.load(other) }
        #expect(throws: CUDABackendError.otherCache("policy")) {
            try pair.device.store(into: other)
        }
        #expect(throws: CUDABackendError.contextTooLong(tokens: 2001, reserved: 2000)) {
            try pair.append(2001)
        }
    }

    @Test func nothingIsLeftBehind() throws {
        let memory = HostDevice()
        for _ in 0..<1000 {
            let cache = try DeviceCache(
                shape: Self.shape, policy: .innerQBase, mostTokens: 100_000, memory: memory,
                kernels: memory)
            #expect(cache.allocatedBytes == memory.mappedBytes)
        }
        do {
            let pair = try Pair(.innerQBase, memory: memory)
            #expect(memory.ranges == 3)
            try pair.append(700)
            #expect(memory.ranges == 2, "the queries' range is given back at the last first seal")
        }
        #expect(memory.ranges == 0 && memory.mappedBytes == 0)
    }

    @Test func withoutRoomTheErrorNamesTheContextThatFits() throws {
        let policy = CachePolicy.innerQBase.withStatistics(fromTokens: 0)
        let layout = DeviceLayout(shape: Self.shape, policy: policy, granularity: 1 << 16)
        let capacity = layout.byteCount(tokens: 0).total + 1 << 16
        let longest = try #require(layout.longestContext(bytes: capacity))
        do {
            try Pair(policy, memory: HostDevice(capacity: capacity)).append(1900)
            Issue.record("it fitted")
        } catch CUDABackendError.outOfMemory(let asked, let free, let context) {
            #expect(asked > free)
            #expect(context == longest)
        }
        try Pair(policy, memory: HostDevice(capacity: capacity)).append(longest)
        #expect(throws: CUDABackendError.self) {
            try Pair(policy, memory: HostDevice(capacity: capacity)).append(longest + 1)
        }
        #expect(throws: CUDABackendError.self) {
            try Pair(policy, memory: HostDevice(capacity: 1 << 16))
        }
    }
}
