import Foundation
import KVCache
import Testing
import Threading

/// Attention over a cache against float64.
@Suite struct AttentionTests {
    static let workers = WorkerPool(threads: 2)

    struct Case: Sendable, CustomStringConvertible {
        var policy: CachePolicy
        var queryHeads: Int
        var kvHeads: Int
        var headSize: Int
        var window: Int?
        var description: String {
            "\(policy.name) \(queryHeads)/\(kvHeads)x\(headSize) window \(window ?? 0)"
        }
    }

    static let policies: [CachePolicy] =
        CachePolicy.presets.map { $0.withStatistics(fromTokens: 0) } + [
            CachePolicy.innerQHybrid.withLevels(.official).withStatistics(fromTokens: 0),
            CachePolicy.innerQHybrid.withLevels(.kernel).withStatistics(fromTokens: 0),
            CachePolicy.innerQBase.withLevels(.official).withStatistics(fromTokens: 200),
            CachePolicy(
                name: "hybrid outer",
                keys: .grouped(GroupedFormat(bits: 3, axis: .token, mode: .hybrid)),
                values: .grouped(GroupedFormat(bits: 2, axis: .channel, mode: .hybrid)),
                windows: CacheWindows(sink: 5, recent: 40)),
            CachePolicy(
                name: "asymmetric inner",
                keys: .grouped(GroupedFormat(bits: 4, axis: .channel, mode: .asymmetric)),
                values: .grouped(GroupedFormat(bits: 8, axis: .token, mode: .asymmetric)),
                windows: CacheWindows(sink: 0, recent: 7)),
            .kvQuant(bits: 3, outliers: 0.01).online(tokens: 100),
            .kvQuant(
                bits: 2, outliers: 0.05, levels: .uniform, preRotary: false, keyVector: .token,
                valueVector: .channel),
            .kvQuant(bits: 4, outliers: 0, levels: .normalFloat, keyVector: .token).online(),
            .turboQuant(keyBits: 1, valueBits: 4),
            .turboQuant(keyBits: 4, valueBits: 2, hasResidual: true),
            .turboQuant(keyBits: 2, valueBits: 3, hasResidual: true),
            CachePolicy(
                name: "mixed",
                keys: .codebook(
                    CodebookFormat(bits: 3, vector: .channel, outliers: 0.02, preRotary: true)),
                values: .rotated(RotatedFormat(bits: 2)),
                windows: CacheWindows(sink: 3, recent: 20)),
            CachePolicy(
                name: "symmetric outer",
                keys: .grouped(GroupedFormat(bits: 4, axis: .token)),
                values: .grouped(GroupedFormat(bits: 3, axis: .channel)), windows: .none),
        ]

    static let shapes: [(Int, Int, Int, Int?)] = [
        (3, 1, 64, nil), (2, 2, 80, nil), (8, 1, 96, nil), (4, 4, 128, nil), (2, 1, 256, nil),
        (5, 1, 16, nil), (4, 2, 64, 70), (1, 1, 80, 200),
    ]

    static let cases = policies.flatMap { policy in
        shapes.map {
            Case(policy: policy, queryHeads: $0.0, kvHeads: $0.1, headSize: $0.2, window: $0.3)
        }
    }

    /// Appends `count` tokens in the given chunks; returns the outputs `[count][heads][d]`.
    static func run(
        _ cache: LayerCache, _ attention: LayerAttention, _ q: [Float], _ k: [Float], _ v: [Float],
        chunks: [Int], meaning: AttentionMeaning
    ) -> [Float] {
        let shape = cache.shape
        let qRow = shape.queryHeads * shape.headSize
        let kRow = shape.kvHeads * shape.headSize
        var output = [Float](repeating: .nan, count: q.count)
        var done = 0
        for chunk in chunks {
            q.withUnsafeBufferPointer { q in
                k.withUnsafeBufferPointer { k in
                    v.withUnsafeBufferPointer { v in
                        output.withUnsafeMutableBufferPointer { out in
                            attention.attend(
                                cache, queries: q.baseAddress! + done * qRow,
                                keys: k.baseAddress! + done * kRow,
                                values: v.baseAddress! + done * kRow, count: chunk,
                                meaning: meaning, output: out.baseAddress! + done * qRow)
                        }
                    }
                }
            }
            done += chunk
        }
        return output
    }

    static func error(_ a: ArraySlice<Float>, _ b: [Double]) -> Double {
        var worst = 0.0
        var largest = 0.0
        for (x, y) in zip(a, b) {
            worst = max(worst, abs(Double(x) - y))
            largest = max(largest, abs(y))
        }
        return worst / largest
    }

    /// Relative to the largest output: float32 sums, or multipliers of 16 bits.
    static func tolerance(_ arithmetic: ProductArithmetic) -> Double {
        arithmetic == .float ? 1e-5 : 1.5e-3
    }

    @Test(arguments: cases, ProductArithmetic.allCases)
    func decodedTokensEqualFloat64OverTheDequantizedCache(
        _ c: Case, arithmetic: ProductArithmetic
    ) {
        var random = Random(7)
        let shape = LayerShape(
            queryHeads: c.queryHeads, kvHeads: c.kvHeads, headSize: c.headSize,
            slidingWindow: c.window)
        let cache = LayerCache.sample(shape: shape, policy: c.policy)
        // Holds every token, also those that the sliding window has given back.
        let whole = LayerCache.sample(
            shape: LayerShape(
                queryHeads: c.queryHeads, kvHeads: c.kvHeads, headSize: c.headSize),
            policy: c.policy)
        let attention = LayerAttention(workers: Self.workers)
        attention.arithmetic = arithmetic
        let n = 230
        let q = random.normals(n * c.queryHeads * c.headSize)
        var k = random.normals(n * c.kvHeads * c.headSize)
        let v = random.normals(n * c.kvHeads * c.headSize)
        // A channel with a bias and a large one, as real keys have.
        for t in 0..<n * c.kvHeads {
            k[t * c.headSize] += 4
            k[t * c.headSize + 3] *= 6
        }
        let qRow = c.queryHeads * c.headSize
        for t in 0..<n {
            let out = Self.run(
                cache, attention, Array(q[t * qRow..<(t + 1) * qRow]),
                Array(k[t * c.kvHeads * c.headSize..<(t + 1) * c.kvHeads * c.headSize]),
                Array(v[t * c.kvHeads * c.headSize..<(t + 1) * c.kvHeads * c.headSize]),
                chunks: [1], meaning: .decode)
            _ = Self.run(
                whole, attention, Array(q[t * qRow..<(t + 1) * qRow]),
                Array(k[t * c.kvHeads * c.headSize..<(t + 1) * c.kvHeads * c.headSize]),
                Array(v[t * c.kvHeads * c.headSize..<(t + 1) * c.kvHeads * c.headSize]),
                chunks: [1], meaning: .decode)
            guard t % 37 == 0 || t > n - 4 || t == 159 || t == 160 else { continue }
            let (keys, values) = whole.dequantized()
            let d = c.headSize
            let seen = t + 1
            let expected = AttentionOracle.attend(
                query: q[t * qRow..<(t + 1) * qRow].map(Double.init), queryHeads: c.queryHeads,
                kvHeads: c.kvHeads, headSize: d, scale: Double(shape.attentionScale),
                first: max(0, seen - (c.window ?? seen)), count: seen,
                key: { keys[($0 * seen + $1) * d + $2] },
                value: { values[($0 * seen + $1) * d + $2] })
            let error = Self.error(out[...], expected)
            #expect(error < Self.tolerance(arithmetic), "token \(t): \(error)")
        }
        #expect(
            cache.allocatedBytes
                == c.policy.layer(0, of: 1).byteCount(shape: shape, tokens: n).total)
    }

    /// Long chunks are always multiplied in float32.
    @Test(arguments: cases, ProductArithmetic.allCases)
    func decodeMeaningInChunksEqualsTokenByToken(_ c: Case, arithmetic: ProductArithmetic) {
        var random = Random(11)
        let shape = LayerShape(
            queryHeads: c.queryHeads, kvHeads: c.kvHeads, headSize: c.headSize,
            slidingWindow: c.window)
        let n = 300
        let q = random.normals(n * c.queryHeads * c.headSize)
        let k = random.normals(n * c.kvHeads * c.headSize)
        let v = random.normals(n * c.kvHeads * c.headSize)
        let attention = LayerAttention(workers: Self.workers)
        attention.arithmetic = arithmetic
        let single = LayerCache.sample(shape: shape, policy: c.policy)
        let one = Self.run(
            single, attention, q, k, v, chunks: Array(repeating: 1, count: n), meaning: .decode)
        var chunks: [Int] = []
        while chunks.reduce(0, +) < n {
            chunks.append(min(Int(random.next() % 97) + 1, n - chunks.reduce(0, +)))
        }
        let chunked = LayerCache.sample(shape: shape, policy: c.policy)
        let many = Self.run(chunked, attention, q, k, v, chunks: chunks, meaning: .decode)
        let error = Self.error(many[...], one.map(Double.init))
        #expect(error < Self.tolerance(arithmetic), "chunks \(chunks): \(error)")
        #expect(bytes(single) == bytes(chunked))
    }

    private func bytes(_ cache: LayerCache) -> [UInt8] {
        var all: [UInt8] = []
        cache.forEachPage { all.append(contentsOf: $0) }
        return all
    }

    @Test(arguments: [1, 2]) func threadsDoNotChangeABit(threads: Int) {
        var random = Random(3)
        let shape = LayerShape(queryHeads: 6, kvHeads: 2, headSize: 64)
        let n = 900
        let q = random.normals(n * 6 * 64)
        let k = random.normals(n * 2 * 64)
        let v = random.normals(n * 2 * 64)
        func outputs(_ threads: Int) -> [Float] {
            let cache = LayerCache(shape: shape, policy: CachePolicy.innerQBase.layer(0, of: 1))
            return Self.run(
                cache, LayerAttention(workers: WorkerPool(threads: threads)), q, k, v,
                chunks: [500, 399, 1], meaning: .prompt)
        }
        #expect(outputs(3) == outputs(threads))
    }

    @Test func centringAndScalingKeysChangeNothingWithoutQuantization() {
        // Wide codes make quantization negligible, so what remains is the bookkeeping of means and scales.
        var random = Random(5)
        let shape = LayerShape(queryHeads: 4, kvHeads: 2, headSize: 64)
        let n = 400
        let q = random.normals(n * 4 * 64)
        var k = random.normals(n * 2 * 64).map { $0 * 0.1 }
        for i in k.indices { k[i] += Float(i % 64) / 16 }
        let v = random.normals(n * 2 * 64)
        func outputs(_ normalization: KeyNormalization?) -> [Float] {
            let policy = CachePolicy(
                name: "wide", keys: .grouped(GroupedFormat(bits: 8, axis: .channel)),
                values: .float16, windows: CacheWindows(sink: 32, recent: 32),
                keyNormalization: normalization)
            let cache = LayerCache.sample(shape: shape, policy: policy)
            return Self.run(
                cache, LayerAttention(workers: Self.workers), q, k, v, chunks: [100, 300],
                meaning: .decode)
        }
        let exact: [Float] = {
            let cache = LayerCache(shape: shape, policy: CachePolicy.float16.layer(0, of: 1))
            return Self.run(
                cache, LayerAttention(workers: Self.workers), q, k, v, chunks: [400],
                meaning: .decode)
        }()
        for normalization in [
            KeyNormalization(centred: true, exponent: 0), .published,
            KeyNormalization(centred: true, exponent: 0.5),
            KeyNormalization(centred: true, exponent: 1, skipsSink: true, tokens: 200),
        ] {
            let error = Self.error(outputs(normalization)[...], exact.map(Double.init))
            #expect(error < 0.02, "\(normalization): \(error)")
        }
    }
}
