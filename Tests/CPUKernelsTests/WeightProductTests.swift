import CPUKernels
import Testing
import Transformer

/// Every kernel variant and weight type against the oracle in float64.
@Suite struct WeightProductTests {
    /// Errors are measured against Σ|w||x|, the sum of the magnitudes of a product's terms. Float32 sums of n terms in
    /// any order err by at most n · 2⁻²⁴ of that; sums over blocks and lanes by far less (about √n/8 roundings).
    /// Formats with an offset or minimum sum codes and subtract afterwards, which triples it for
    /// random codes. 1e-6 is 17 roundings: a wrong index or sign is off by 1e-2 and more.
    static let tolerance = 1e-6

    /// Sums of two bfloat16: each product is within 2⁻¹⁵ of itself.
    static let splitTolerance = 0x1p-15

    static func tolerance(_ kernel: Problem.Kernel) -> Double {
        kernel == .split ? splitTolerance : tolerance
    }

    struct Case: CustomTestStringConvertible {
        let variant: String
        let type: WeightType
        var testDescription: String { "\(variant) \(type)" }
    }

    static let cases = variants.flatMap { variant in
        WeightType.allCases.map { Case(variant: variant, type: $0) }
    }

    /// Row lengths with every rest that the kernels treat apart, below and above a panel's 512 columns.
    static func columns(_ type: WeightType) -> [Int] {
        switch type.blockElements {
        case 1: [1, 7, 37, 576, 1061]
        case 32: [32, 64, 96, 128, 224, 576, 1056]
        default: [256, 768, 1280]
        }
    }

    @Test(arguments: cases) func fewVectorsEqualTheOracle(_ test: Case) throws {
        try check(test, .gemv, counts: [1, 2, 3, 7, 8])
    }

    @Test(arguments: cases) func manyVectorsEqualTheOracle(_ test: Case) throws {
        try check(test, .gemm, counts: [1, 2, 3, 7, 8, 33])
    }

    @Test(
        "Products on a matrix unit, where there is one",
        arguments: cases.filter { weightKernels($0.variant).pointee.gemm_split != nil })
    func splitVectorsEqualTheOracle(_ test: Case) throws {
        try check(test, .split, counts: [1, 7, 15, 16, 17, 33, 65])
    }

    private func check(_ test: Case, _ kernel: Problem.Kernel, counts: [Int]) throws {
        var generator = SeededGenerator(
            seed: UInt64(test.type.rawValue) + (kernel == .gemv ? 0 : 100))
        for (index, columns) in Self.columns(test.type).enumerated() {
            let rows = [1, 5, 17, 50, 67][index % 5]
            let problem = Problem(
                type: test.type, rows: rows, columns: columns, count: counts.max() ?? 1,
                using: &generator)
            for count in counts {
                let output = try problem.multiply(test.variant, kernel, count: count)
                let worst = problem.worstError(of: output, count: count)
                #expect(
                    worst < Self.tolerance(kernel),
                    "\(columns) columns, \(rows) rows, \(count) vectors")
            }
        }
    }

    @Test(arguments: cases) func onlyTheAskedRowsAreWritten(_ test: Case) throws {
        var generator = SeededGenerator(seed: 7)
        let columns = test.type.blockElements == 1 ? 45 : 2 * test.type.blockElements
        let problem = Problem(
            type: test.type, rows: 41, columns: columns, count: 9, using: &generator)
        for kernel in Problem.kernels(test.variant) {
            for rows in [0..<3, 3..<20, 20..<41] {
                let count = kernel == .gemv ? 5 : 9
                let output = try problem.multiply(
                    test.variant, kernel, count: count, rows: rows, stride: 44, initial: -9)
                for t in 0..<count {
                    for r in 0..<44 where !rows.contains(r) {
                        #expect(output[44 * t + r] == -9)
                    }
                }
                let worst = problem.worstError(of: output, count: count, rows: rows, stride: 44)
                #expect(worst < Self.tolerance(kernel))
            }
        }
    }

    @Test(arguments: cases) func accumulatingAddsToTheOutput(_ test: Case) throws {
        var generator = SeededGenerator(seed: 8)
        // Two column blocks in the gemm.
        let columns = test.type.blockElements == 1 ? 601 : 768
        let problem = Problem(
            type: test.type, rows: 19, columns: columns, count: 7, using: &generator)
        for kernel in Problem.kernels(test.variant) {
            let added = try problem.multiply(
                test.variant, kernel, count: 7, initial: 64, accumulate: true)
            // Sums near 64 round to multiples of 2⁻¹⁷ at each addition, a few per output.
            for i in 0..<7 * 19 {
                let (value, magnitude) = problem.expected[i]
                let allowed = Self.tolerance(kernel) * magnitude + 0x1p-14
                #expect(abs(Double(added[i]) - 64 - value) < allowed)
            }
        }
    }

    /// One activation a thousand times larger than the others, as residual streams have. Where its weight happens to
    /// be nearly 0, but scale · code and minimum are not, Σ|w||x| says too little: errors are
    /// measured against the row's largest weight instead.
    @Test(arguments: cases) func anOutlierDoesNotDrownTheRest(_ test: Case) throws {
        var generator = SeededGenerator(seed: 9)
        let columns = 768
        let problem = Problem(
            type: test.type, rows: 16, columns: columns, count: 2, using: &generator,
            outlier: (column: 300, value: 4000), magnitudeByLargestWeight: true)
        for kernel in Problem.kernels(test.variant) {
            let output = try problem.multiply(test.variant, kernel, count: 2)
            #expect(problem.worstError(of: output, count: 2) < Self.tolerance(kernel))
        }
    }
}

/// A matrix, activations and the float64 products.
struct Problem {
    enum Kernel {
        case gemv, gemm
        /// On a matrix unit.
        case split
    }

    /// Those that a variant has.
    static func kernels(_ variant: String) -> [Kernel] {
        weightKernels(variant).pointee.gemm_split == nil ? [.gemv, .gemm] : [.gemv, .gemm, .split]
    }

    let type: WeightType
    let rows: Int
    let columns: Int
    let weights: GuardedBytes
    let activations: AlignedFloats
    let expected: [(value: Double, magnitude: Double)]
    let count: Int

    init(
        type: WeightType, rows: Int, columns: Int, count: Int,
        using generator: inout SeededGenerator, outlier: (column: Int, value: Float)? = nil,
        magnitudeByLargestWeight: Bool = false
    ) {
        self.type = type
        self.rows = rows
        self.columns = columns
        self.count = count
        let weights = GuardedBytes(
            randomBlocks(type, rows: rows, columns: columns, using: &generator))
        var values = (0..<count * columns).map { _ in generator.normal() }
        if let outlier {
            for t in 0..<count { values[t * columns + outlier.column] = outlier.value }
        }
        let activations = AlignedFloats(values)
        self.weights = weights
        self.activations = activations
        let rowBytes = type.rowBytes(columns: columns)!
        var expected: [(value: Double, magnitude: Double)] = []
        let decoded = (0..<rows).map { r in
            WeightOracle.row(
                type,
                bytes: UnsafeRawBufferPointer(
                    rebasing: weights.bytes[r * rowBytes..<(r + 1) * rowBytes]),
                columns: columns)
        }
        for t in 0..<count {
            let x = activations.pointer + t * columns
            let sum = (0..<columns).reduce(0.0) { $0 + Double(x[$1].magnitude) }
            for row in decoded {
                var product = WeightOracle.product(weights: row, activations: x)
                if magnitudeByLargestWeight {
                    product.magnitude = sum * (row.map(\.magnitude).max() ?? 0)
                }
                expected.append(product)
            }
        }
        self.expected = expected
    }

    func multiply(
        _ variant: String, _ kernel: Kernel, count: Int, rows range: Range<Int>? = nil,
        stride: Int? = nil, initial: Float = .nan, accumulate: Bool = false
    ) throws -> [Float] {
        let kernels = weightKernels(variant)
        let format = iq_weight_format(kernels, type.rawValue)!
        let stride = stride ?? rows
        let range = range ?? 0..<rows
        let output = AlignedFloats(count: count * stride, value: initial)
        let panel = AlignedFloats(count: Int(IQ_GEMM_PANEL_FLOATS), value: .nan)
        let preparedFloats = iq_prepared_floats(columns)
        let prepared = AlignedFloats(count: count * preparedFloats, value: .nan)
        var product = iq_product(
            weights: weights.bytes.baseAddress, row_bytes: type.rowBytes(columns: columns)!,
            columns: columns, row_begin: range.lowerBound, row_end: range.upperBound,
            activations: activations.pointer, activation_stride: columns, count: count,
            output: output.pointer, output_stride: stride, accumulate: accumulate ? 1 : 0,
            is_interleaved: 0, panel: panel.pointer)
        let groups = AlignedFloats(count: iq_split_bytes(count, columns) / 4, value: .nan)
        switch kernel {
        case .gemm: kernels.pointee.gemm(format, &product)
        case .gemv:
            for t in 0..<count {
                kernels.pointee.prepare(
                    format.pointee.layout, activations.pointer + t * columns, columns,
                    prepared.pointer + t * preparedFloats)
            }
            product.activations = UnsafePointer(prepared.pointer)
            product.activation_stride = preparedFloats
            format.pointee.gemv(format, &product)
        case .split:
            // In two calls, as threads share it.
            let first = min(16, count)
            kernels.pointee.split(activations.pointer, columns, 0, first, columns, groups.pointer)
            kernels.pointee.split(
                activations.pointer, columns, first, count - first, columns, groups.pointer)
            product.activations = UnsafePointer(groups.pointer)
            kernels.pointee.gemm_split(format, &product)
        }
        return output.array
    }

    /// The largest error relative to Σ|w||x|.
    func worstError(
        of output: [Float], count: Int, rows range: Range<Int>? = nil, stride: Int? = nil
    ) -> Double {
        var worst = 0.0
        for t in 0..<count {
            for r in range ?? 0..<rows {
                let (value, magnitude) = expected[t * rows + r]
                let error = abs(Double(output[t * (stride ?? rows) + r]) - value) / magnitude
                worst = error.isNaN ? .infinity : max(worst, error)
            }
        }
        return worst
    }
}
