import CPUKernels
import Foundation
import KVCache

extension KernelVerification {
    /// Table codes of every width, looked up and multiplied where they lie, and tiles of keys turned.
    static func lookups(_ kernels: AttentionKernels) -> [VerificationCheck] {
        let table = kernels.table.pointee
        let all = [
            (1, table.lookup.0, table.dot_lookup.0), (2, table.lookup.1, table.dot_lookup.1),
            (3, table.lookup.2, table.dot_lookup.2), (4, table.lookup.3, table.dot_lookup.3),
        ]
        var numbers = SplitMix64(seed: 3)
        var checks: [VerificationCheck] = []
        for (bits, lookup, dot) in all {
            var values = VerificationCheck(
                name: "\(kernels.name) lookup \(bits) bits", tolerance: 0)
            var products = VerificationCheck(
                name: "\(kernels.name) lookup products \(bits) bits", tolerance: 5e-6)
            for d in headSizes {
                let layout = TileLayout.values(
                    headSize: d, format: .rotated(RotatedFormat(bits: bits)))
                guard let lookup, let dot else { continue }
                tile(layout, lookup, dot, &numbers, &values, &products)
            }
            checks += [values, products]
        }
        return checks + [turned(kernels, &numbers)]
    }

    /// A tile of values: 32 rows by the channels of a head.
    private static func tile(
        _ layout: TileLayout, _ lookup: iq_lookup_fn, _ dot: iq_dot_lookup_fn,
        _ numbers: inout SplitMix64, _ check: inout VerificationCheck,
        _ products: inout VerificationCheck
    ) {
        let lanes = layout.lanes
        var words = [UInt32](repeating: 0, count: layout.codeBytes / 4)
        let count = UInt64(1) << UInt64(layout.format.codeBits ?? 0)
        let codes = (0..<32 * lanes).map { _ in UInt8(numbers.next() % count) }
        words.withUnsafeMutableBytes { raw in
            guard let base = raw.baseAddress else { return }
            for i in codes.indices {
                layout.setCode(codes[i], base, row: i / lanes, lane: i % lanes)
            }
        }
        let table = (0..<16).map { _ in numbers.normal() }
        let scales = (0..<32).map { _ in numbers.normal() }
        let zeros = (0..<32).map { _ in numbers.normal() }
        var out = [Float](repeating: .nan, count: 32 * lanes)
        lookup(words, lanes, lanes, table, scales, zeros, &out, lanes)
        let expected = codes.indices.map { i in
            let product = scales[i / lanes] * table[Int(codes[i])]
            return Double(product + zeros[i / lanes])
        }
        check.record(out, expected: expected)
        for heads in [1, 2, 3, 4, 5, 7, 9] {
            let x = (0..<35 * heads).map { _ in numbers.normal() }
            let start = (0..<heads * lanes).map { _ in numbers.normal() }
            var sums = start
            dot(words, lanes, lanes, table, x, 35, heads, &sums, lanes)
            var expected = start.map(Double.init)
            for h in 0..<heads {
                for i in codes.indices {
                    expected[h * lanes + i % lanes] +=
                        Double(x[35 * h + i / lanes]) * Double(table[Int(codes[i])])
                }
            }
            products.record(sums, expected: expected)
        }
    }

    /// Pairs of neighbours and pairs of halves.
    private static func turned(
        _ kernels: AttentionKernels, _ numbers: inout SplitMix64
    ) -> VerificationCheck {
        var check = VerificationCheck(name: "\(kernels.name) turned keys", tolerance: 1e-6)
        for d in headSizes {
            let pairs = d / 2
            for (step, distance) in [(2, 1), (1, pairs)] {
                let angles = (0..<pairs).map { _ in Double(numbers.normal()) }
                let steps = (0..<pairs).map { _ in Double(numbers.normal()) }
                var base = [Float](repeating: 0, count: 2 * pairs)
                var tokens = [Float](repeating: 0, count: 64 * pairs)
                for p in 0..<pairs {
                    base[p] = Float(cos(angles[p]))
                    base[pairs + p] = Float(sin(angles[p]))
                    for t in 0..<32 {
                        let angle = steps[p] * Double(t)
                        tokens[64 * p + t] = Float(cos(angle))
                        tokens[64 * p + 32 + t] = Float(sin(angle))
                    }
                }
                let tile = (0..<32 * d).map { _ in numbers.normal() }
                var out = tile
                kernels.table.pointee.turn_tile(&out, pairs, step, distance, base, tokens)
                var expected = tile.map(Double.init)
                for p in 0..<pairs {
                    for t in 0..<32 {
                        let angle: Double = angles[p] + steps[p] * Double(t)
                        let i: Int = 32 * p * step + t
                        let j: Int = i + 32 * distance
                        let (x, y) = (expected[i], expected[j])
                        expected[i] = x * cos(angle) - y * sin(angle)
                        expected[j] = x * sin(angle) + y * cos(angle)
                    }
                }
                check.record(out, expected: expected)
            }
        }
        return check
    }
}
