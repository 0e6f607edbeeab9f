import CPUKernels
import Foundation
import Testing

/// The elementwise loops against the same formulas in double precision.
@Suite struct ElementwiseTests {
    private func random(_ count: Int, _ range: ClosedRange<Float>, seed: UInt64) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Float.random(in: range, using: &generator) }
    }

    @Test(arguments: [1, 7, 16, 17, 64, 576, 1000]) func normsBySquareMean(count: Int) {
        let x = random(count, -3...3, seed: 1)
        let weight = random(count, 0...2, seed: 2)
        var output = [Float](repeating: .nan, count: count)
        iq_rms_norm(x, weight, &output, count, 1e-5)
        let mean = x.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(count)
        for i in 0..<count {
            let expected = Double(x[i]) * Double(weight[i]) / (mean + 1e-5).squareRoot()
            #expect(abs(Double(output[i]) - expected) < 1e-5)
        }
        // In place.
        var same = x
        same.withUnsafeMutableBufferPointer {
            iq_rms_norm($0.baseAddress!, weight, $0.baseAddress!, count, 1e-5)
        }
        #expect(same == output)
    }

    @Test func gatesWithSiLU() {
        let gates = random(1003, -20...20, seed: 3) + [0, -0.0, 80, -80, 1000, -1000, 1e-30]
        let ups = random(gates.count, -2...2, seed: 4)
        var output = gates
        iq_silu_multiply(&output, ups, gates.count)
        for i in gates.indices {
            let x = Double(gates[i])
            let expected = x / (1 + exp(-x)) * Double(ups[i])
            #expect(abs(Double(output[i]) - expected) <= 1e-6 * abs(expected) + 1e-30)
        }
    }

    @Test func gatesWithGELU() {
        let gates = random(1003, -6...6, seed: 5) + [0, -0.0, 80, -80, 1000, -1000, 1e-30]
        let ups = random(gates.count, -2...2, seed: 6)
        var output = gates
        iq_gelu_tanh_multiply(&output, ups, gates.count)
        for i in gates.indices {
            let x = Double(gates[i])
            let inner = (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)
            let expected = 0.5 * x * (1 + tanh(inner)) * Double(ups[i])
            #expect(abs(Double(output[i]) - expected) <= 2e-6 * abs(expected) + 2e-6)
        }
    }

    @Test(arguments: [0, 1, 15, 16, 17, 1023, 1024, 1025, 49_152]) func sums(count: Int) {
        let x = random(count, -30...0, seed: 7)
        let y = random(count, -2...2, seed: 8)
        #expect(iq_largest(x, count) == x.max() ?? -.infinity)
        var terms = [Float](repeating: .nan, count: count)
        let sum = iq_exponential_sum(x, -3, &terms, count)
        let exact = x.map { exp(Double($0) + 3) }
        let whole = exact.reduce(0, +)
        #expect(abs(sum - whole) <= 1e-6 * whole)
        #expect(iq_exponential_sum(x, -3, nil, count) == sum)
        for i in x.indices { #expect(abs(Double(terms[i]) - exact[i]) <= 1e-6 * exact[i]) }
        let products = zip(x, y).map { Double($0) * Double($1) }
        let size = products.reduce(0) { $0 + abs($1) }
        #expect(abs(iq_dot(x, y, count) - products.reduce(0, +)) <= 1e-5 * size)
        // What is no number is no largest, and far below counts as nothing.
        #expect(iq_largest([1, .nan, -2], 3) == 1)
        #expect(iq_exponential_sum([-.infinity, 0, -1000], 0, nil, 3) < 1 + 1e-30 + 1e-6)
    }

    @Test func keepsNaNVisible() {
        var gate: [Float] = [.nan, 1]
        iq_silu_multiply(&gate, [1, .nan], 2)
        #expect(gate.allSatisfy { $0.isNaN })
        gate = [.nan, 1]
        iq_gelu_tanh_multiply(&gate, [1, .nan], 2)
        #expect(gate.allSatisfy { $0.isNaN })
    }

    @Test(arguments: [8, 32, 40, 48, 64, 128]) func turnsPairs(pairs: Int) {
        let x = random(2 * pairs, -2...2, seed: 7)
        let angles = random(pairs, -3...3, seed: 8)
        let cosines = angles.map { cos($0) }
        let sines = angles.map { sin($0) }
        var half = [Float](repeating: .nan, count: 2 * pairs)
        var alternate = half
        iq_rope_half_split(x, &half, cosines, sines, pairs)
        iq_rope_interleaved(x, &alternate, cosines, sines, pairs)
        for i in 0..<pairs {
            func turned(_ a: Float, _ b: Float) -> (Float, Float) {
                (a * cosines[i] - b * sines[i], a * sines[i] + b * cosines[i])
            }
            let first = turned(x[i], x[i + pairs])
            #expect(abs(half[i] - first.0) < 1e-6 && abs(half[i + pairs] - first.1) < 1e-6)
            let second = turned(x[2 * i], x[2 * i + 1])
            #expect(
                abs(alternate[2 * i] - second.0) < 1e-6
                    && abs(alternate[2 * i + 1] - second.1) < 1e-6)
        }
    }

    @Test func addsAndScales() {
        var x = random(37, -1...1, seed: 9)
        let y = random(37, -1...1, seed: 10)
        let sums = zip(x, y).map { $0 + $1 }
        iq_add(&x, y, 37)
        #expect(x == sums)
        iq_scale(&x, 3, 37)
        #expect(x == sums.map { $0 * 3 })
    }
}
