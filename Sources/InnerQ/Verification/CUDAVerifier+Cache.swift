import CUDABackend
import CUDADriver
import KVCache

extension CUDAVerifier {
    /// The same tokens appended on both sides, in the same pieces: bytes must be equal. Then what the GPU unpacks, against
    /// the oracle's decoding, and copies there and back.
    func caches(_ policy: CachePolicy) throws -> [VerificationCheck] {
        var bytes = VerificationCheck(name: "cuda append and seal \(policy.name)", tolerance: 0)
        // float32 sums with key means that are many times the keys.
        var unpacked = VerificationCheck(name: "cuda unpack \(policy.name)", tolerance: 2e-5)
        var copied = VerificationCheck(name: "cuda copies \(policy.name)", tolerance: 0)
        for d in sizes(policy) {
            for window in d == 64 ? [nil, 150] : [nil] {
                try cache(policy, shape(d, window: window, for: policy), &bytes, &unpacked, &copied)
            }
        }
        return [bytes, unpacked, copied]
    }

    private func cache(
        _ policy: CachePolicy, _ shape: LayerShape, _ check: inout VerificationCheck,
        _ unpacked: inout VerificationCheck, _ copied: inout VerificationCheck
    ) throws {
        let whole = CacheShape(layers: [shape])
        let host = try SequenceCache.sample(shape: whole, policy: policy, workers: workers)
        let cache = try makeCache(shape, policy, mostTokens: 4096)
        let layer = host.layers[0]
        let (d, kv) = (shape.headSize, shape.kvHeads)
        for (index, count) in [1, 30, 1, 1, 63, 160, 1, 33, 300, 31, 1, 64].enumerated() {
            let seed = UInt64(100 * index + d)
            let q = random(count * shape.queryHeads * d, seed: seed)
            var k = random(count * kv * d, seed: seed + 1)
            var v = random(count * kv * d, seed: seed + 2)
            // Large channels, one-sided ones, zeros, and numbers that float16 does not have.
            for token in 0..<count * kv {
                k[token * d + 3] = 8 + k[token * d + 3]
                k[token * d + 5] = 0
                v[token * d + 7] = abs(v[token * d + 7]) + 1
            }
            k[9] = 1e6
            v[11] = -1e9
            let first = layer.tokenCount
            layer.append(keys: k, values: v, count: count)
            layer.watch(queries: q, position: first, count: count)
            layer.seal(visibleFrom: layer.schedule.firstVisible(at: layer.tokenCount))
            layer.release()
            let qs = try upload(q)
            let ks = try upload(k)
            let vs = try upload(v)
            try cache.append(
                layer: 0,
                rows: DeviceRows(
                    queries: qs.address, keys: ks.address, values: vs.address, shape: shape),
                count: count)
            try compare(cache, host, &check)
        }
        if shape.slidingWindow == nil { try unpack(cache, layer, &unpacked) }
        // From the CPU to the GPU, to another place there, and back.
        let other = try makeCache(shape, policy, mostTokens: 4096)
        try other.load(host)
        try compare(other.copy(), host, &copied)
    }

    /// Counts bytes that differ.
    func compare(
        _ cache: DeviceCache, _ host: SequenceCache, _ check: inout VerificationCheck
    ) throws {
        let found = try SequenceCache(
            shape: host.shape, policy: host.policy, calibration: host.calibration, workers: workers)
        try cache.store(into: found)
        check.cases += 1
        var expected: [[UInt8]] = []
        host.layers[0].forEachPage { expected.append(Array($0)) }
        var next = 0
        found.layers[0].forEachPage { page in
            for (a, b) in zip(page, expected[next]) { check.record(a == b ? 0 : 1) }
            next += 1
        }
        if next != expected.count { check.record(1) }
    }

    private func unpack(
        _ cache: DeviceCache, _ layer: LayerCache, _ check: inout VerificationCheck
    ) throws {
        let n = layer.tokenCount
        let (d, kv) = (layer.shape.headSize, layer.shape.kvHeads)
        let (keys, values) = layer.dequantized()
        for range in [0..<n, 37..<n - 5, 100..<101] {
            let count = range.count * kv * d
            let ks = try upload(Array(repeating: .nan, count: count))
            let vs = try upload(Array(repeating: .nan, count: count))
            try device.unpack(
                cache, layer: 0, positions: range, floatKeys: ks.address, floatValues: vs.address)
            for (buffer, oracle) in [
                (try ks.read(Float.self, count: count, waitingOn: device.stream), keys),
                (try vs.read(Float.self, count: count, waitingOn: device.stream), values),
            ] {
                var expected: [Double] = []
                for token in range {
                    for head in 0..<kv {
                        expected += oracle[(head * n + token) * d..<(head * n + token + 1) * d]
                    }
                }
                check.record(buffer, expected: expected)
            }
        }
    }

    /// Opens and closes caches; the GPU's free memory must come back.
    func memory(caches: Int) throws -> VerificationCheck {
        var check = VerificationCheck(name: "cuda memory of \(caches) caches", tolerance: 0)
        let shape = CacheShape(layers: [shape(64), shape(128)])
        func open() throws {
            let cache = try DeviceCache(
                shape: shape, policy: .innerQBase, mostTokens: 1 << 20, memory: device,
                kernels: device)
            _ = cache.allocatedBytes
        }
        // The first may make the driver keep something for good.
        for _ in 0..<10 { try open() }
        try context.synchronize()
        let before = try context.memory().free
        for _ in 0..<caches { try open() }
        try context.synchronize()
        let lost = before - (try context.memory().free)
        check.cases = caches
        check.record(lost > 4 << 20 ? Double(lost) : 0)
        check.note = "\(lost) bytes less are free"
        return check
    }
}
