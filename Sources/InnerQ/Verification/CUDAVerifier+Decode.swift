import CUDABackend
import CUDADriver
import KVCache

extension CUDAVerifier {
    /// Decode attention at lengths around each edge: every ratio alone, then all lengths in one launch.
    func decode(_ policy: CachePolicy) throws -> [VerificationCheck] {
        let tolerance = decodeTolerance(policy)
        var alone = VerificationCheck(name: "cuda decode \(policy.name)", tolerance: tolerance)
        var together = VerificationCheck(
            name: "cuda decode \(policy.name), sequences together", tolerance: tolerance)
        var sliding = VerificationCheck(
            name: "cuda decode \(policy.name), sliding window", tolerance: tolerance)
        for d in sizes(policy) {
            try decode(policy, shape(d, for: policy), alone: &alone, together: &together)
            if d == 64 || d == 128 {
                for window in [20, 150] {
                    try decode(
                        policy, shape(d, window: window, for: policy), alone: &sliding,
                        together: nil)
                }
            }
        }
        return [alone, together, sliding]
    }

    private func decode(
        _ policy: CachePolicy, _ shape: LayerShape, alone: inout VerificationCheck,
        together: UnsafeMutablePointer<VerificationCheck>?
    ) throws {
        let whole = CacheShape(layers: [shape])
        let host = try SequenceCache.sample(shape: whole, policy: policy, workers: workers)
        let cache = try makeCache(shape, policy, mostTokens: 4096)
        let layout = cache.layout
        let ratios = shape.slidingWindow == nil ? ratios(policy) : [4]
        let attention = try ratios.map {
            try DecodeAttention(
                layout.layers[0].with(queryHeads: shape.kvHeads * $0),
                pageStride: layout.pageStride, mostSequences: 1, kernels: device.kernels)
        }
        var copies: [DeviceCache] = []
        var oracles: [DenseCache] = []
        for n in lengths(policy) {
            FilledCache.append(n - host.tokenCount, to: host.layers[0], seed: UInt64(n))
            try cache.load(host)
            let oracle = DenseCache(host.layers[0])
            for (ratio, attention) in zip(ratios, attention) {
                let queries = self.queries(shape, ratio, seed: n)
                let sequence = cache.sequence(layer: 0, position: oracle.position)
                let found = try run(attention, [sequence], queries)
                alone.record(found, expected: oracle.attend(queries, ratio: ratio))
            }
            if together != nil {
                copies.append(try cache.copy())
                oracles.append(oracle)
            }
        }
        guard let together else { return }
        for (ratio, count) in [(4, copies.count), (16, 64)] {
            let attention = try DecodeAttention(
                layout.layers[0].with(queryHeads: shape.kvHeads * ratio),
                pageStride: layout.pageStride, mostSequences: 64, kernels: device.kernels)
            var queries: [Float] = []
            var expected: [Double] = []
            for i in 0..<count {
                let mine = self.queries(shape, ratio, seed: 1000 + i % copies.count)
                queries += mine
                let size = mine.count
                // Repeated sequences have the same answer.
                expected +=
                    i < copies.count
                    ? oracles[i].attend(mine, ratio: ratio)
                    : Array(expected[(i % copies.count) * size..<(i % copies.count + 1) * size])
            }
            let sequences = (0..<count).map { copies[$0 % copies.count].sequence(layer: 0) }
            together.pointee.record(try run(attention, sequences, queries), expected: expected)
        }
    }

    /// Queries of usual size, and of one head many times that: a sharp softmax.
    private func queries(_ shape: LayerShape, _ ratio: Int, seed: Int) -> [Float] {
        var numbers = random(
            shape.kvHeads * ratio * shape.headSize, seed: UInt64(seed * 31 + ratio))
        for i in 0..<shape.headSize { numbers[i] *= 6 }
        return numbers
    }

    private func run(
        _ attention: DecodeAttention, _ sequences: [DeviceSequence], _ queries: [Float]
    ) throws -> [Float] {
        let input = try upload(queries)
        let output = try upload(Array(repeating: .nan, count: queries.count))
        let plan = try attention.plan(sequences, on: device.stream)
        try attention.launch(
            queries: input.address, output: output.address, sequences: sequences, plan: plan,
            on: device.stream)
        guard try !attention.gaveUp(on: device.stream) else {
            throw CUDABackendError.device(
                .invalidArgument("a block of the decode kernel waited in vain for another"))
        }
        return try output.read(Float.self, count: queries.count, waitingOn: device.stream)
    }

    /// A long cache, against the CPU's attention.
    func long(_ policy: CachePolicy) throws -> VerificationCheck {
        // Where ten thousands of tokens weigh about the same, what is left of random values is small beside its error.
        let isTurned = policy.keys.codebook?.preRotary == true
        var check = VerificationCheck(
            name: "cuda decode \(policy.name), long",
            tolerance: decodeTolerance(policy) * (isTurned ? 2 : 1))
        let attention = LayerAttention(workers: workers)
        for (d, ratio, tokens) in [
            (128, 4, 131_072), (128, 1, 131_072), (64, 8, 40_000), (96, 2, 33_333),
            (256, 4, 20_011), (128, 16, 10_001),
        ] where sizes(policy).contains(d) {
            let shape = shape(d, ratio: ratio, for: policy)
            let host = try FilledCache.make(
                shape, policy: policy, tokens: tokens - 1, sampleTiles: 37, workers: workers)
            let q = queries(shape, ratio, seed: tokens)
            let k = random(shape.kvHeads * d, seed: 5)
            var out = q
            attention.attend(
                host.layers[0], queries: q, keys: k, values: k, count: 1, meaning: .decode,
                output: &out)
            let cache = try makeCache(shape, policy, mostTokens: tokens)
            try cache.load(host)
            let decode = try DecodeAttention(
                cache.layout.layers[0], pageStride: cache.layout.pageStride, mostSequences: 1,
                kernels: device.kernels)
            let found = try run(decode, [cache.sequence(layer: 0)], q)
            check.record(found, expected: out.map(Double.init))
        }
        return check
    }
}

/// What a query after a cache's tokens sees, dequantized: the plain float64 attention over it.
struct DenseCache {
    private let keys: [Double]
    private let values: [Double]
    private let shape: LayerShape
    private let count: Int
    private let first: Int
    /// Position of the query: the last token's or, with a sliding window, the next one's, since what only the last
    /// token's sees has been given back.
    let position: Int

    init(_ layer: LayerCache) {
        (keys, values) = layer.dequantized()
        shape = layer.shape
        count = layer.tokenCount
        position = shape.slidingWindow == nil ? max(0, count - 1) : count
        first = layer.schedule.firstVisible(at: position)
    }

    /// - Returns: `[query head][d]`.
    func attend(_ queries: [Float], ratio: Int) -> [Double] {
        let d = shape.headSize
        var output = [Double](repeating: 0, count: shape.kvHeads * ratio * d)
        guard first < count else { return output }
        var scores = [Double](repeating: 0, count: count - first)
        for head in 0..<shape.kvHeads * ratio {
            let start = (head / ratio * count + first) * d
            let query = queries[head * d..<(head + 1) * d].map {
                Double($0) * Double(shape.attentionScale)
            }
            keys.withUnsafeBufferPointer { keys in
                for token in scores.indices {
                    var dot = 0.0
                    for c in 0..<d { dot += query[c] * keys[start + token * d + c] }
                    scores[token] = dot
                }
            }
            let largest = scores.max() ?? 0
            var sum = 0.0
            values.withUnsafeBufferPointer { values in
                output.withUnsafeMutableBufferPointer { output in
                    for token in scores.indices {
                        let weight = Oracle.exp(scores[token] - largest)
                        sum += weight
                        for c in 0..<d {
                            output[head * d + c] += weight * values[start + token * d + c]
                        }
                    }
                    for c in 0..<d { output[head * d + c] /= sum }
                }
            }
        }
        return output
    }
}
