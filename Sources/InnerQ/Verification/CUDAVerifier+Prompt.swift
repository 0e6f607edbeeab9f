import CUDABackend
import CUDADriver
import KVCache

extension CUDAVerifier {
    /// Prompts over a cache that has some tokens already, against the CPU's attention; then both caches' bytes.
    func prompts(_ policy: CachePolicy) throws -> [VerificationCheck] {
        // Queries, and what is dequantized, are float16 on the GPU.
        var outputs = VerificationCheck(name: "cuda prompt \(policy.name)", tolerance: 2e-3)
        var bytes = VerificationCheck(name: "cuda prompt \(policy.name), cache", tolerance: 0)
        // All that is visible unpacked at once, and in pieces whose attention is merged.
        let attentions = [
            try PromptAttention(device), try PromptAttention(device, mostUnpacked: 70),
        ]
        for d in sizes(policy) {
            for window in [nil, 150] {
                for (index, attention) in attentions.enumerated() {
                    try prompt(
                        policy,
                        shape(d, ratio: index == 0 ? 2 : 3, window: window, for: policy),
                        attention, &outputs, &bytes)
                }
            }
        }
        return [outputs, bytes]
    }

    private func prompt(
        _ policy: CachePolicy, _ shape: LayerShape, _ attention: PromptAttention,
        _ outputs: inout VerificationCheck, _ bytes: inout VerificationCheck
    ) throws {
        let host = try SequenceCache.sample(
            shape: CacheShape(layers: [shape]), policy: policy, workers: workers)
        let cache = try makeCache(shape, policy, mostTokens: 1024)
        let reference = LayerAttention(workers: workers)
        let (d, kv) = (shape.headSize, shape.kvHeads)
        for (index, count) in [200, 37, 1, 90, 300].enumerated() {
            let seed = UInt64(1000 * index + d)
            let q = random(count * shape.queryHeads * d, seed: seed)
            var k = random(count * kv * d, seed: seed + 1)
            let v = random(count * kv * d, seed: seed + 2)
            for token in 0..<count * kv { k[token * d + 5] += 6 }
            var expected = [Float](repeating: 0, count: q.count)
            reference.attend(
                host.layers[0], queries: q, keys: k, values: v, count: count, meaning: .prompt,
                output: &expected)
            let qs = try upload(q)
            let ks = try upload(k)
            let vs = try upload(v)
            let output = try upload(Array(repeating: .nan, count: q.count))
            try attention.attend(
                cache, layer: 0,
                rows: DeviceRows(
                    queries: qs.address, keys: ks.address, values: vs.address, shape: shape),
                count: count, output: output.address)
            let found = try output.read(Float.self, count: q.count, waitingOn: device.stream)
            outputs.record(found, expected: expected.map(Double.init))
            try compare(cache, host, &bytes)
        }
    }
}
