import CUDABackend
import CUDAKernels
import KVCache
import Testing

/// Codebooks and rotated formats in a device cache, against the CPU's.
@Suite struct LookupCacheTests {
    struct Case: Sendable, CustomStringConvertible {
        var policy: CachePolicy
        var pairing = RotaryShape.Pairing.halfSplit
        var description: String { "\(policy.name), \(pairing)" }

        /// Two layers, one with a sliding window.
        var shape: CacheShape {
            CacheShape(layers: [
                LayerShape(queryHeads: 2, kvHeads: 2, headSize: 64)
                    .withRotary(for: policy, pairing: pairing),
                LayerShape(queryHeads: 1, kvHeads: 1, headSize: 128, slidingWindow: 150)
                    .withRotary(for: policy, pairing: pairing),
            ])
        }

        func pair(kernels: (any DeviceCacheKernels)? = nil) throws -> DeviceCacheTests.Pair {
            try DeviceCacheTests.Pair(
                policy, shape,
                calibration: policy.needsCalibration ? .sample(for: shape, policy: policy) : nil,
                kernels: kernels)
        }
    }

    static func policy(
        _ name: String, _ keys: TensorFormat, _ values: TensorFormat, sink: Int, recent: Int,
        normalization: KeyNormalization? = nil
    ) -> CachePolicy {
        CachePolicy(
            name: name, keys: keys, values: values,
            windows: CacheWindows(sink: sink, recent: recent), keyNormalization: normalization)
    }

    static func codebook(
        _ bits: Int, _ vector: CodebookVector, outliers: Double = 0, preRotary: Bool = false,
        statistics: Int = 0, levels: CodebookLevels = .fitted
    ) -> TensorFormat {
        .codebook(
            CodebookFormat(
                bits: bits, vector: vector, levels: levels, outliers: outliers,
                preRotary: preRotary, statistics: statistics))
    }

    static let cases: [Case] = {
        let names = [
            "kvquant-nuq4-1%", "kvquant-nuq3-1%", "kvquant-nuq2-1%", "kvquant-nuq3",
            "kvquant-nuq4-1%-token-vchannel", "kvquant-int2-5%-post", "kvquant-nf3-0.3%",
            "turboquant-4-3", "turboquant-3-2", "turboquant-2-1", "turboquant-1-4",
        ]
        let online = CachePolicy.preset(named: "kvquant-nuq3-1%")!.online(tokens: 150)
        let rotated = { TensorFormat.rotated(RotatedFormat(bits: $0, seed: $1)) }
        let base = CachePolicy.innerQBase
        let policies =
            names.map { CachePolicy.preset(named: $0)! } + [
                online,
                policy(
                    "online values", codebook(2, .token, outliers: 0.02, preRotary: true),
                    codebook(4, .channel, outliers: 0.02, statistics: 100), sink: 5, recent: 17),
                policy(
                    "channel keys, grouped values", codebook(4, .channel, outliers: 0.1),
                    base.values, sink: 32, recent: 0),
                policy(
                    "normalized keys, token values", base.keys, codebook(3, .token, outliers: 0.01),
                    sink: 7, recent: 40, normalization: .published),
                policy(
                    "keys with feedback, rotated values", base.keys, rotated(3, 1), sink: 32,
                    recent: 32, normalization: base.withStatistics(fromTokens: 128).keyNormalization
                ),
                policy("rotated keys, float16", rotated(4, 2), .float16, sink: 0, recent: 33),
                policy(
                    "rotated keys, codebook values", rotated(2, 3),
                    codebook(2, .token, levels: .uniform), sink: 1, recent: 0),
                policy("two seeds", rotated(3, 4), rotated(3, 5), sink: 40, recent: 64),
            ]
        return policies.map { Case(policy: $0) }
            + ["kvquant-nuq3-1%", "kvquant-nuq4-1%-token-vchannel"].map {
                Case(policy: CachePolicy.preset(named: $0)!, pairing: .interleaved)
            }
    }()

    @Test(arguments: cases) func anyChunkingGivesTheBytesOfTheCPU(_ test: Case) throws {
        let pair = try test.pair()
        for count in [1, 63, 100, 1, 300, 31, 1, 40] {
            try pair.append(count)
            #expect(try pair.bytesOfDevice() == pair.bytesOfHost(), "\(pair.host.tokenCount)")
            let counted = pair.device.layout.byteCount(tokens: pair.host.tokenCount)
            #expect(pair.device.allocatedBytes == counted.total)
        }
    }

    /// Ties everywhere: few different numbers, of both signs of zero.
    @Test(arguments: cases) func equalNumbersAreTakenInTheSameOrder(_ test: Case) throws {
        let pair = try test.pair()
        for round in 0..<4 {
            try pair.append(97) { random in
                let number = Float(Int(random.next() % UInt64(1 + 2 * round)) - round) * 1.5
                return number == 0 && random.next() % 2 == 0 ? -0.0 : number
            }
        }
        #expect(try pair.bytesOfDevice() == pair.bytesOfHost())
    }

    @Test(arguments: cases) func aCacheMovesAndContinues(_ test: Case) throws {
        for count in [0, 90, 300] {
            let first = try test.pair()
            if count > 0 { try first.append(count) }
            let second = try test.pair()
            try second.append(120)
            try second.device.load(first.host)
            try second.device.store(into: second.host)
            #expect(second.bytesOfHost() == first.bytesOfHost(), "\(count) tokens")
            let copy = try second.device.copy()
            for step in [1, 200] {
                try first.append(step)
                try second.append(step)
            }
            #expect(try second.bytesOfDevice() == first.bytesOfHost(), "after \(count) tokens")
            #expect(copy.tokenCount == count)
        }
    }

    @Test func withoutACalibrationNothingIsSealed() throws {
        let test = Case(policy: CachePolicy.preset(named: "kvquant-nuq3-1%")!)
        let full = try test.pair()
        let memory = HostDevice()
        let empty = try DeviceCache(
            shape: test.shape, policy: test.policy, mostTokens: 2000, memory: memory,
            kernels: memory)
        let rows = [Float](repeating: 1, count: 40 * 128)
        #expect(throws: CUDABackendError.policy(.needsCalibration(policy: test.policy.name))) {
            try rows.withUnsafeBufferPointer {
                let address = UInt64(UInt(bitPattern: $0.baseAddress))
                let told = DeviceRows(
                    queries: address, keys: address, values: address, shape: test.shape.layers[0])
                try empty.append(layer: 0, rows: told, count: 40)
            }
        }
        // One that was loaded knows its codebooks.
        try full.append(40)
        try empty.load(full.host)
        #expect(empty.tokenCount == 40)
    }
}
