import CPUKernels
import Foundation
import KVCache
import Testing

/// Kernels over codes that choose from a table, every variant, against plain Swift.
@Suite struct LookupKernelTests {
    struct Case: Sendable, CustomStringConvertible {
        var bits: Int
        var lanes: Int
        var description: String { "\(bits) bits, \(lanes) lanes" }
    }

    static let cases = (1...4).flatMap { bits in
        [16, 32, 48, 64, 80, 128, 256].map { Case(bits: bits, lanes: $0) }
    }

    /// 32 rows of random codes and the words that hold them, drawn as in iq_attention.h.
    struct Block {
        let codes: [Int]
        let words: [UInt32]
        let stride: Int
        let table: [Float]

        /// `padding` lanes lie between the words of one index and those of the next.
        init(_ c: Case, padding: Int, _ random: inout Random) {
            stride = c.lanes + padding
            codes = (0..<32 * c.lanes).map { _ in Int(random.next() >> 40) & ((1 << c.bits) - 1) }
            table = random.normals(16)
            // Bits that belong to no code may hold anything.
            var words = (0..<c.bits * stride).map { _ in UInt32(truncatingIfNeeded: random.next()) }
            for row in 0..<32 {
                for lane in 0..<c.lanes {
                    for bit in 0..<c.bits {
                        let (word, shift) = Self.place(row: row, bit: bit, bits: c.bits)
                        let mask: UInt32 = 1 << UInt32(shift)
                        words[word * stride + lane] &= ~mask
                        if codes[row * c.lanes + lane] >> bit & 1 == 1 {
                            words[word * stride + lane] |= mask
                        }
                    }
                }
            }
            self.words = words
        }

        static func place(row: Int, bit: Int, bits: Int) -> (word: Int, shift: Int) {
            // As iq_attention.h draws them.
            if bits == 3, row >= 24 {
                let second = row >= 28 ? 1 : 0
                return bit == 2
                    ? (2, 8 * (row % 4) + 6 + second) : (second, 8 * (row % 4) + 6 + bit)
            }
            let rows = bits == 3 ? 8 : 32 / bits
            return (row / rows, 8 * (row % 4) + bits * (row % rows / 4) + bit)
        }
    }

    private func lookup(
        _ kernels: UnsafePointer<iq_attention_kernels>, bits: Int
    ) -> iq_lookup_fn? {
        let all = kernels.pointee.lookup
        return [all.0, all.1, all.2, all.3][bits - 1]
    }

    private func dot(
        _ kernels: UnsafePointer<iq_attention_kernels>, bits: Int
    ) -> iq_dot_lookup_fn? {
        let all = kernels.pointee.dot_lookup
        return [all.0, all.1, all.2, all.3][bits - 1]
    }

    @Test(arguments: cases) func lookupsEqualScalesTimesTablePlusZerosToTheBit(c: Case) throws {
        var random = Random(UInt64(c.bits * 1000 + c.lanes))
        for padding in [0, 16] {
            let block = Block(c, padding: padding, &random)
            let scales = random.normals(32)
            let zeros = random.normals(32)
            let outStride = c.lanes + 8
            for kernels in AttentionKernels.all {
                let run = try #require(lookup(kernels.table, bits: c.bits))
                var out = [Float](repeating: 99, count: 32 * outStride)
                run(
                    block.words, block.stride, c.lanes, block.table, scales, zeros, &out, outStride)
                var wrong = 0
                for row in 0..<32 {
                    for lane in 0..<outStride {
                        let isGap = lane >= c.lanes
                        let code = isGap ? 0 : block.codes[row * c.lanes + lane]
                        let product = scales[row] * block.table[code]
                        let expected = isGap ? 99 : product + zeros[row]
                        if out[row * outStride + lane] != expected { wrong += 1 }
                    }
                }
                #expect(wrong == 0, "\(kernels.name)")
            }
        }
    }

    @Test(arguments: cases, 1...9) func dotsEqualTheSumsOfFloat64(c: Case, heads: Int) throws {
        var random = Random(UInt64(c.bits * 100_000 + c.lanes * 10 + heads))
        let block = Block(c, padding: heads % 2 == 0 ? 0 : 16, &random)
        let xStride = 32 + heads % 3
        let outStride = c.lanes + 16 * (heads % 2)
        let x = random.normals(heads * xStride)
        let start = random.normals(heads * outStride)
        var results: [[Float]] = []
        for kernels in AttentionKernels.all {
            let run = try #require(dot(kernels.table, bits: c.bits))
            var out = start
            run(
                block.words, block.stride, c.lanes, block.table, x, xStride, heads, &out, outStride)
            results.append(out)
        }
        var worst = 0.0
        for h in 0..<heads {
            for lane in 0..<outStride {
                let at = h * outStride + lane
                guard lane < c.lanes else {
                    if results.contains(where: { $0[at] != start[at] }) { worst = .infinity }
                    continue
                }
                var expected = Double(start[at])
                var size = abs(expected)
                for i in 0..<32 {
                    let value = Double(block.table[block.codes[i * c.lanes + lane]])
                    expected += Double(x[h * xStride + i]) * value
                    size += abs(Double(x[h * xStride + i]) * value)
                }
                for result in results {
                    worst = max(worst, abs(Double(result[at]) - expected) / size)
                }
            }
        }
        #expect(worst < 4e-7)
    }

    @Test func theUnusedEntriesOfATableAreNotRead() throws {
        var random = Random(9)
        for bits in 1...4 {
            let c = Case(bits: bits, lanes: 48)
            let block = Block(c, padding: 0, &random)
            var table = block.table
            for i in 1 << bits..<16 { table[i] = .nan }
            for kernels in AttentionKernels.all {
                let run = try #require(lookup(kernels.table, bits: bits))
                var out = [Float](repeating: 0, count: 32 * 48)
                let ones = [Float](repeating: 1, count: 32)
                run(
                    block.words, 48, 48, table, ones, [Float](repeating: 0, count: 32), &out, 48)
                #expect(out == block.codes.map { table[$0] }, "\(kernels.name) \(bits)")
            }
        }
    }

    /// Pairs of neighbours (step 2) and of halves, with rows that are not turned.
    @Test(arguments: [(32, 1, 32, 64), (40, 1, 40, 80), (24, 2, 1, 64), (8, 1, 8, 128)])
    func turningEqualsFloat64(pairs: Int, step: Int, distance: Int, rows: Int) {
        var random = Random(UInt64(rows + pairs))
        let tile = random.normals(rows * 32)
        let angles = (0..<pairs).map { _ in Double(random.uniform()) * 6 - 3 }
        let steps = (0..<pairs).map { _ in Double(random.uniform()) }
        var base = [Float](repeating: 0, count: 2 * pairs)
        var tokens = [Float](repeating: 0, count: 64 * pairs)
        for p in 0..<pairs {
            base[p] = Float(cos(angles[p]))
            base[pairs + p] = Float(sin(angles[p]))
            for t in 0..<32 {
                tokens[64 * p + t] = Float(cos(steps[p] * Double(t)))
                tokens[64 * p + 32 + t] = Float(sin(steps[p] * Double(t)))
            }
        }
        var expected = tile.map(Double.init)
        for p in 0..<pairs {
            for t in 0..<32 {
                let angle = angles[p] + steps[p] * Double(t)
                let x = Double(tile[32 * p * step + t])
                let y = Double(tile[32 * (p * step + distance) + t])
                expected[32 * p * step + t] = x * cos(angle) - y * sin(angle)
                expected[32 * (p * step + distance) + t] = x * sin(angle) + y * cos(angle)
            }
        }
        for kernels in AttentionKernels.all {
            var turned = tile
            kernels.table.pointee.turn_tile(&turned, pairs, step, distance, base, tokens)
            let worst = zip(turned, expected).map { abs(Double($0) - $1) }.max() ?? 0
            #expect(worst < 3e-6, "\(kernels.name)")
        }
    }
}
