import CPUKernels
import KVCache
import Threading

/// Compares every attention kernel that the running processor has with the scalar oracles.
public enum KernelVerification {
    /// Head sizes that are checked: all supported kinds of block.
    static let headSizes = [64, 80, 96, 128, 256]

    /// Runs all checks.
    /// - Parameter progress: called with the name of each check before it runs.
    public static func run(progress: (String) -> Void = { _ in }) -> [VerificationCheck] {
        var checks: [VerificationCheck] = []
        for kernels in AttentionKernels.all {
            progress("\(kernels.name): tiles")
            for arithmetic in ProductArithmetic.allCases {
                checks += tiles(kernels, arithmetic)
            }
            if kernels.table.pointee.dot_many != nil { checks.append(manyHeads(kernels)) }
            progress("\(kernels.name): table codes")
            checks += coarse(kernels)
            checks += lookups(kernels)
            progress("\(kernels.name): softmax")
            checks.append(softmax(kernels))
            for policy in CachePolicy.presets {
                progress("\(kernels.name): attention with \(policy.name)")
                let policy = policy.withStatistics(fromTokens: 256)
                checks.append(attention(kernels, policy, .float))
                if policy.keys.grouped != nil {
                    checks.append(attention(kernels, policy, .integer))
                }
            }
        }
        return checks
    }

    /// Every format of tile, read directly by 1 to 9 heads and decoded whole, against float64.
    private static func tiles(
        _ kernels: AttentionKernels, _ arithmetic: ProductArithmetic
    ) -> [VerificationCheck] {
        var checks: [VerificationCheck] = []
        var numbers = SplitMix64(seed: 1)
        for mode in QuantizationMode.allCases {
            for bits in [2, 3, 4, 8] {
                var check = VerificationCheck(
                    name:
                        "\(kernels.name) tile \(bits) bits \(mode.rawValue) \(arithmetic.rawValue)",
                    tolerance: tolerance(arithmetic))
                for levels in LevelSet.allCases {
                    for axis in GroupAxis.allCases {
                        for d in headSizes {
                            let format = TensorFormat.grouped(
                                GroupedFormat(bits: bits, axis: axis, mode: mode, levels: levels))
                            for layout in [
                                TileLayout.keys(headSize: d, format: format),
                                .values(headSize: d, format: format),
                            ] {
                                tile(layout, kernels, arithmetic, &numbers, &check)
                            }
                        }
                    }
                }
                checks.append(check)
            }
        }
        guard arithmetic == .float else { return checks }
        var check = VerificationCheck(name: "\(kernels.name) tile float16", tolerance: 5e-6)
        for d in headSizes {
            tile(.keys(headSize: d, format: .float16), kernels, .float, &numbers, &check)
            tile(.values(headSize: d, format: .float16), kernels, .float, &numbers, &check)
        }
        return checks + [check]
    }

    /// Of products of up to 256 rows, relative to the largest: float32 sums; multipliers rounded to 16 bits, whose errors
    /// add up to several of 2^−17 where a sum is small beside its terms.
    private static func tolerance(_ arithmetic: ProductArithmetic) -> Double {
        arithmetic == .float ? 5e-6 : 2e-4
    }

    private static func tile(
        _ layout: TileLayout, _ kernels: AttentionKernels, _ arithmetic: ProductArithmetic,
        _ numbers: inout SplitMix64,
        _ check: inout VerificationCheck
    ) {
        let (rows, lanes) = (layout.rows, layout.lanes)
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 64)
        defer { bytes.deallocate() }
        if layout.format == .float16 {
            let halves = bytes.assumingMemoryBound(to: UInt16.self)
            for i in 0..<rows * lanes { halves[i] = Float16(numbers.normal()).bitPattern }
        } else {
            // One-sided rows and lanes among the others, so that hybrid groups choose both ways.
            var values = (0..<rows * lanes).map { _ in numbers.normal() }
            for i in values.indices where (i / lanes) % 3 == 0 && (i % lanes) % 2 == 0 {
                values[i] = abs(values[i]) + 1
            }
            layout.encode(values, into: bytes)
        }
        var oracle = [Float](repeating: 0, count: rows * lanes)
        layout.decode(bytes, into: &oracle)
        let products = TileProducts(layout, kernels: kernels.table, arithmetic: arithmetic)
        var decoded = oracle.map { _ in Float.nan }
        var scratch = [Float](
            repeating: .nan, count: max(products.scratchCount(heads: 9), 64 * lanes) + 2048)
        products.decode(bytes, into: &decoded, scratch: &scratch)
        check.record(decoded, expected: oracle.map(Double.init))
        for heads in [1, 2, 3, 4, 5, 7, 9] {
            let stride = rows + 3
            let x = (0..<heads * stride).map { _ in numbers.normal() }
            let start = (0..<heads * lanes).map { _ in numbers.normal() }
            var out = start
            products.dot(
                bytes, x, xStride: stride, heads: heads, out: &out, outStride: lanes,
                scratch: &scratch)
            var expected = start.map(Double.init)
            for h in 0..<heads {
                for row in 0..<rows {
                    for lane in 0..<lanes {
                        expected[h * lanes + lane] +=
                            Double(x[h * stride + row]) * Double(oracle[row * lanes + lane])
                    }
                }
            }
            check.record(out, expected: expected)
        }
    }

    /// Decoded tiles times many heads on a matrix unit: errors relative to Σ|x||v|, of which each is off by 2^−15 at most.
    private static func manyHeads(_ kernels: AttentionKernels) -> VerificationCheck {
        var check = VerificationCheck(
            name: "\(kernels.name) tile matrix unit", tolerance: WeightVerification.splitTolerance)
        var numbers = SplitMix64(seed: 3)
        for d in headSizes + [272] {
            for (rows, lanes) in [(d, 32), (32, d)] {
                for heads in [1, 12, 16, 33, 96] {
                    let stride = rows + 5
                    let values = (0..<rows * lanes).map { _ in numbers.normal() }
                    let x = (0..<heads * stride).map { _ in numbers.normal() }
                    let start = (0..<heads * lanes).map { _ in numbers.normal() }
                    var out = start
                    kernels.table.pointee.dot_many(
                        values, lanes, rows, lanes, x, stride, heads, &out, lanes)
                    check.cases += 1
                    for h in 0..<heads {
                        for lane in 0..<lanes {
                            var sum = Double(start[h * lanes + lane])
                            var size = abs(sum)
                            for row in 0..<rows {
                                let term =
                                    Double(x[h * stride + row]) * Double(values[row * lanes + lane])
                                sum += term
                                size += abs(term)
                            }
                            check.record(abs(Double(out[h * lanes + lane]) - sum) / size)
                        }
                    }
                }
            }
        }
        return check
    }

    private static func softmax(_ kernels: AttentionKernels) -> VerificationCheck {
        var check = VerificationCheck(name: "\(kernels.name) softmax", tolerance: 1e-6)
        var numbers = SplitMix64(seed: 2)
        for count in [1, 7, 8, 31, 32, 256, 1000] {
            for spread in [0.1, 3, 30] as [Float] {
                var values = (0..<count).map { _ in numbers.normal() * spread }
                if count > 8 { values[count / 2] = -.infinity }
                let largest = values.max() ?? 0
                let expected = values.map { Oracle.exp(Double($0) - Double(largest)) }
                let found = kernels.table.pointee.maximum(values, count)
                check.record(found == largest ? 0 : 1)
                let sum = kernels.table.pointee.exponentials(&values, count, largest)
                check.record(values, expected: expected)
                let total = expected.reduce(0, +)
                check.record(abs(Double(sum) - total) / total)
            }
        }
        return check
    }

    /// A whole layer, token by token and in chunks, at lengths around each window's and tile's edge.
    private static func attention(
        _ kernels: AttentionKernels, _ policy: CachePolicy, _ arithmetic: ProductArithmetic
    ) -> VerificationCheck {
        var check = VerificationCheck(
            name: "\(kernels.name) attention \(policy.name) \(arithmetic.rawValue)",
            tolerance: arithmetic == .float ? 1e-5 : 6e-4)
        let workers = WorkerPool(threads: WorkerPool.recommendedThreads)
        for (d, ratio) in zip(headSizes, [3, 1, 4, 2, 8]) {
            let shape = LayerShape(queryHeads: 2 * ratio, kvHeads: 2, headSize: d)
            let edges = [
                1, 31, 32, 33, 127, 128, 129, 159, 160, 161, 191, 192, 193, 255, 256, 257, 333,
            ]
            var numbers = SplitMix64(seed: UInt64(d))
            let last = edges.last!
            let q = (0..<last * 2 * ratio * d).map { _ in numbers.normal() }
            let k = (0..<last * 2 * d).map { numbers.normal() + ($0 % d == 0 ? 5 : 0) }
            let v = (0..<last * 2 * d).map { _ in numbers.normal() }
            for chunk in [1, 50] {
                let cache = LayerCache.sample(shape: shape, policy: policy)
                let attention = LayerAttention(workers: workers, kernels: kernels)
                attention.arithmetic = arithmetic
                var done = 0
                for edge in edges {
                    let row = 2 * ratio * d
                    let out = CacheRun.outputs(
                        cache, attention, Array(q[done * row..<edge * row]),
                        Array(k[done * 2 * d..<edge * 2 * d]),
                        Array(v[done * 2 * d..<edge * 2 * d]), count: edge - done, chunk: chunk,
                        meaning: .decode)
                    done = edge
                    let (keys, values) = cache.dequantized()
                    let expected = AttentionOracle.attend(
                        query: q[(edge - 1) * row..<edge * row].map(Double.init),
                        queryHeads: 2 * ratio, kvHeads: 2, headSize: d,
                        scale: Double(shape.attentionScale), first: 0, count: edge,
                        key: { keys[($0 * edge + $1) * d + $2] },
                        value: { values[($0 * edge + $1) * d + $2] })
                    check.record(out.suffix(row), expected: expected)
                }
            }
        }
        return check
    }
}
