import CPUKernels
import CUDABackend
import CUDADriver
import Foundation
import KVCache

extension CUDAVerifier {
    /// RoPE as the append kernel does it, in rows of a fused projection, against the CPU's: queries, and the cache that
    /// the turned keys and queries make.
    func rotations() throws -> [VerificationCheck] {
        try [false, true].map { isInterleaved in
            // A product and a sum are one operation where the CPU has it, and on the GPU always.
            var check = VerificationCheck(
                name: "cuda append with RoPE, \(isInterleaved ? "interleaved" : "half-split")",
                tolerance: Self.hasFusedMultiplyAdd ? 0 : 1e-3)
            for d in sizes {
                for pairs in [d / 2, d / 4, d / 2 - 2] {
                    try rotate(
                        Rotation(pairs: pairs, isInterleaved: isInterleaved), shape(d, ratio: 3),
                        &check)
                }
            }
            return check
        }
    }

    /// As the CPU's RoPE finds it.
    private static var hasFusedMultiplyAdd: Bool {
        #if arch(x86_64)
            AttentionKernels.best.name == "avx2"
        #else
            true
        #endif
    }

    private func rotate(
        _ rotation: Rotation, _ shape: LayerShape, _ check: inout VerificationCheck
    ) throws {
        // Error feedback is taken from the queries, and quantization would make much of one other bit.
        let policy: CachePolicy =
            Self.hasFusedMultiplyAdd ? .innerQBase.withStatistics(fromTokens: 256) : .float16
        let host = try SequenceCache(
            shape: CacheShape(layers: [shape]), policy: policy, workers: workers)
        let cache = try makeCache(shape, policy, mostTokens: 1024)
        let layer = host.layers[0]
        let (d, heads, kv) = (shape.headSize, shape.queryHeads, shape.kvHeads)
        let counts = [1, 70, 200, 33]
        let table = rotation.table(positions: counts.reduce(0, +))
        let angles = try upload(table)
        for (index, count) in counts.enumerated() {
            let seed = UInt64(100 * index + rotation.pairs)
            let row = (heads + 2 * kv) * d
            let rows = random(count * row, seed: seed)
            var (q, k, v): ([Float], [Float], [Float]) = ([], [], [])
            let first = layer.tokenCount
            for token in 0..<count {
                let angles = table[(first + token) * 2 * rotation.pairs..<table.count]
                for head in 0..<heads + 2 * kv {
                    let start = token * row + head * d
                    let numbers = Array(rows[start..<start + d])
                    if head < heads {
                        q += rotation.turn(numbers, angles)
                    } else if head < heads + kv {
                        k += rotation.turn(numbers, angles)
                    } else {
                        v += numbers
                    }
                }
            }
            layer.append(keys: k, values: v, count: count)
            layer.watch(queries: q, position: first, count: count)
            layer.seal(visibleFrom: 0)
            layer.release()

            let input = try upload(rows)
            let turned = try upload(Array(repeating: .nan, count: q.count))
            var told = DeviceRows(
                queries: input.address, keys: input.address + UInt64(4 * heads * d),
                values: input.address + UInt64(4 * (heads + kv) * d), shape: shape)
            (told.queryStride, told.keyStride, told.valueStride) = (row, row, row)
            told.turned = turned.address
            told.angles = angles.address
            told.pairs = rotation.pairs
            told.isInterleaved = rotation.isInterleaved
            try cache.append(layer: 0, rows: told, count: count)
            let found = try turned.read(Float.self, count: q.count, waitingOn: device.stream)
            check.record(found, expected: q.map(Double.init))
            if Self.hasFusedMultiplyAdd {
                try compare(cache, host, &check)
            } else {
                let copy = try SequenceCache(shape: host.shape, policy: policy, workers: workers)
                try cache.store(into: copy)
                check.record(
                    copy.layers[0].dequantized().keys.map(Float.init),
                    expected: layer.dequantized().keys)
            }
        }
    }
}

/// RoPE of channels 0 ..< 2 · pairs by the CPU's own function.
private struct Rotation {
    var pairs: Int
    var isInterleaved: Bool

    /// `[position]{ cosine [pairs], sine [pairs] }`, from position 0 on.
    func table(positions: Int) -> [Float] {
        (0..<positions).flatMap { position in
            let angles = (0..<pairs).map {
                Double(position) * pow(10_000, -Double($0) / Double(pairs))
            }
            return angles.map { Float(cos($0)) } + angles.map { Float(sin($0)) }
        }
    }

    /// - Parameter angles: begins with the position's.
    func turn(_ head: [Float], _ angles: ArraySlice<Float>) -> [Float] {
        var output = head
        angles.withUnsafeBufferPointer { angles in
            let (cosines, sines) = (angles.baseAddress!, angles.baseAddress! + pairs)
            if isInterleaved {
                iq_rope_interleaved(head, &output, cosines, sines, pairs)
            } else {
                iq_rope_half_split(head, &output, cosines, sines, pairs)
            }
        }
        return output
    }
}
