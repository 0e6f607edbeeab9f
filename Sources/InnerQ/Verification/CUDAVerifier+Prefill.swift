import CUDABackend
import CUDADriver
import KVCache

extension CUDAVerifier {
    /// Prompt attention over dense float16 keys and values, against float64.
    func prefill(_ d: Int) throws -> [VerificationCheck] {
        let isHopper = context.device.capability.architecture == "sm_90a"
        var checks: [VerificationCheck] = []
        for hopper in isHopper ? [false, true] : [false] {
            var check = VerificationCheck(
                name: "cuda prefill \(d)" + (hopper ? ", Hopper" : ""), tolerance: 2e-3)
            let attention = try PrefillAttention(
                headSize: d, kernels: device.kernels, hopper: hopper)
            for (index, ratio) in CUDAVerification.ratios.enumerated() {
                for (count, before, window) in [
                    (1, 0, nil), (7, 0, nil), (130, 0, nil), (65, 200, nil), (33, 70, 50),
                    (1, 300, nil), (150, 31, 64),
                ] as [(Int, Int, Int?)] {
                    guard !isQuick || count < 70 else { continue }
                    let shape = shape(d, ratio: ratio, window: window)
                    try prefill(
                        attention, shape, count: count, before: before,
                        seed: UInt64(1000 * index + count), &check)
                }
            }
            checks.append(check)
        }
        return checks
    }

    private func prefill(
        _ attention: PrefillAttention, _ shape: LayerShape, count: Int, before: Int, seed: UInt64,
        _ check: inout VerificationCheck
    ) throws {
        let d = shape.headSize
        let all = before + count
        func halves(_ seed: UInt64) -> [UInt16] {
            random(all * shape.kvHeads * d, seed: seed).map { Float16($0).bitPattern }
        }
        let q = random(count * shape.queryHeads * d, seed: seed)
        let (k, v) = (halves(seed + 1), halves(seed + 2))
        let queries = try upload(q)
        let output = try upload(Array(repeating: .nan, count: q.count))
        let keys = try DeviceBuffer(context, byteCount: 2 * k.count)
        let values = try DeviceBuffer(context, byteCount: 2 * v.count)
        try keys.write(k, waitingOn: device.stream)
        try values.write(v, waitingOn: device.stream)
        try attention.launch(
            queries: queries.address, count: count,
            keys: PrefillAttention.Dense(keys.address, shape: shape),
            values: PrefillAttention.Dense(values.address, shape: shape), keyCount: all,
            offset: before, output: output.address, shape: shape, on: device.stream)
        let found = try output.read(Float.self, count: q.count, waitingOn: device.stream)
        let row = shape.queryHeads * d
        func number(_ halves: [UInt16], _ head: Int, _ token: Int, _ channel: Int) -> Double {
            Double(Float16(bitPattern: halves[(token * shape.kvHeads + head) * d + channel]))
        }
        for i in Set([0, count / 2, count - 1]) {
            let position = before + i
            let first = shape.slidingWindow.map { max(0, position - $0 + 1) } ?? 0
            let expected = AttentionOracle.attend(
                query: q[i * row..<(i + 1) * row].map(Double.init), queryHeads: shape.queryHeads,
                kvHeads: shape.kvHeads, headSize: d, scale: Double(shape.attentionScale),
                first: first, count: position + 1, key: { number(k, $0, $1, $2) },
                value: { number(v, $0, $1, $2) })
            check.record(found[i * row..<(i + 1) * row], expected: expected)
        }
    }
}
