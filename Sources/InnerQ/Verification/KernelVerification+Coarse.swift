import CPUKernels
import KVCache

extension KernelVerification {
    /// Multipliers of 8 bits, as small softmax weights have them: each within half a step of what it stands for, and runs of
    /// tiles equal to float64 sums of what they stand for, beside heads with fine ones.
    static func coarse(_ kernels: AttentionKernels) -> [VerificationCheck] {
        var checks: [VerificationCheck] = []
        var numbers = SplitMix64(seed: 3)
        for bits in [2, 3, 4, 8] {
            var check = VerificationCheck(
                name: "\(kernels.name) runs of tiles \(bits) bits, some heads coarse",
                tolerance: 5e-6)
            for mode in QuantizationMode.allCases {
                for (isKeys, headSize) in [(true, 64), (true, 80), (false, 64), (false, 80)] {
                    let format = TensorFormat.grouped(
                        GroupedFormat(bits: bits, axis: isKeys ? .channel : .token, mode: mode))
                    let layout: TileLayout =
                        isKeys
                        ? .keys(headSize: headSize, format: format)
                        : .values(headSize: headSize, format: format)
                    run(layout, kernels, &numbers, &check)
                }
            }
            checks.append(check)
        }
        return checks
    }

    private static func run(
        _ layout: TileLayout, _ kernels: AttentionKernels, _ numbers: inout SplitMix64,
        _ check: inout VerificationCheck
    ) {
        let (rows, lanes, count) = (layout.rows, layout.lanes, 3)
        let heads = 5
        let bytes = UnsafeMutableRawPointer.allocate(
            byteCount: count * layout.byteCount, alignment: 64)
        defer { bytes.deallocate() }
        var oracles: [[Float]] = []
        for i in 0..<count {
            let tile = bytes + i * layout.byteCount
            layout.encode((0..<rows * lanes).map { _ in numbers.normal() }, into: tile)
            var oracle = [Float](repeating: 0, count: rows * lanes)
            layout.decode(tile, into: &oracle)
            oracles.append(oracle)
        }
        let products = TileProducts(layout, kernels: kernels.table, arithmetic: .integer)
        let each = products.multiplierCount(heads: heads)
        let integers = UnsafeMutablePointer<iq_multipliers>.allocate(capacity: count * each)
        defer { integers.deallocate() }
        var scratch = [Float](repeating: .nan, count: 32 * heads)
        var expected = [Double](repeating: 0, count: count * heads * lanes)
        for i in 0..<count {
            // Heads 1 and 4 are small enough to be coarse, but for the second tile.
            let x = (0..<heads * rows).map { index in
                numbers.normal() * (index / rows % 3 == 1 && i != 1 ? 1e-3 : 1)
            }
            products.quantize(
                x, xStride: rows, heads: heads, coarse: 0.02, into: integers + i * each,
                scratch: &scratch)
            let stand = x.indices.map { index in
                let (head, row) = (index / rows, index % rows)
                let multipliers = integers[i * each + row / 32 * heads + head]
                let value = Double(multipliers.scale) * Double(number(multipliers, row % 32))
                let isCoarse = head % 3 == 1 && i != 1
                check.record((multipliers.is_fine == 0) == isCoarse ? 0 : 1)
                let step = Double(multipliers.scale) * (isCoarse ? 256 : 1)
                check.record(abs(value - Double(x[index])) <= 0.51 * step ? 0 : 1)
                return value
            }
            for head in 0..<heads {
                for row in 0..<rows {
                    for lane in 0..<lanes {
                        expected[(head * count + i) * lanes + lane] +=
                            stand[head * rows + row] * Double(oracles[i][row * lanes + lane])
                    }
                }
            }
        }
        let tiles = (0...count).map { UnsafeRawPointer(bytes + $0 % count * layout.byteCount) }
        var out = [Float](repeating: 0, count: expected.count)
        products.dot(
            TileProducts.TileRun(
                tiles: tiles, count: count, ahead: 1, aheadBytes: layout.byteCount),
            integers: integers, step: each, heads: heads, out: &out, outStep: lanes,
            outStride: count * lanes)
        check.record(out, expected: expected)
    }

    private static func number(_ multipliers: iq_multipliers, _ index: Int) -> Int16 {
        withUnsafeBytes(of: multipliers.n) { $0.load(fromByteOffset: 2 * index, as: Int16.self) }
    }
}
