import CPUKernels
import KVCache
import Transformer

/// Compares every weight kernel that the running processor has with plain scalar code in float64.
///
/// Errors of products are measured against Σ|w||x|, which rounding errors of any order of summation are proportional
/// to: float32 sums of a thousand terms over lanes and blocks stay below 1e-6 of it, a wrong index or sign is off by
/// 1e-2 and more.
public enum WeightVerification {
    static let tolerance = 1e-6
    /// Activations rounded to 16 bits are off by 2^−16 of a block's largest at most, and the largest of 256 normal numbers is
    /// about four times the mean magnitude.
    static let integerTolerance = 1e-4
    /// Each product is within 2^−15 of itself.
    static let splitTolerance = 0x1p-15
    /// Vectors of a product: what decoding, speculative steps and prompts ask for.
    static let counts = [1, 2, 3, 7, 8, 33]

    private enum Products {
        /// Rows as the file has them, in float32.
        case rows
        /// Interleaved rows, in float32.
        case panels
        /// Interleaved rows, activations as integers.
        case integer
        /// Both as sums of two bfloat16, on a matrix unit.
        case split

        var tolerance: Double {
            switch self {
            case .rows, .panels: WeightVerification.tolerance
            case .integer: integerTolerance
            case .split: splitTolerance
            }
        }
    }

    /// Runs all checks.
    /// - Parameter progress: called with the name of each check before it runs.
    public static func run(progress: (String) -> Void = { _ in }) -> [VerificationCheck] {
        var checks: [VerificationCheck] = []
        for index in 0..<iq_kernels_count() {
            guard let table = iq_kernels_at(index), let kernels = table.pointee.weights else {
                continue
            }
            let name = String(cString: table.pointee.name)
            for type in WeightType.allCases {
                progress("\(name): \(type) weights")
                checks.append(check(kernels, type, .rows, name: "\(name) weights \(type)"))
                if kernels.pointee.gemm_split != nil {
                    checks.append(
                        check(kernels, type, .split, name: "\(name) weights \(type) matrix unit"))
                }
                guard iq_weight_format(kernels, type.rawValue)?.pointee.integers != nil else {
                    continue
                }
                checks.append(
                    check(kernels, type, .integer, name: "\(name) weights \(type) integer"))
                checks.append(
                    check(kernels, type, .panels, name: "\(name) weights \(type) interleaved"))
            }
        }
        return checks
    }

    private static func check(
        _ kernels: UnsafePointer<iq_weight_kernels>, _ type: WeightType,
        _ products: Products, name: String
    ) -> VerificationCheck {
        var check = VerificationCheck(name: name, tolerance: products.tolerance)
        guard let format = iq_weight_format(kernels, type.rawValue) else {
            check.note = "missing"
            return check
        }
        // Row lengths with every rest that kernels treat apart, below and above a panel's columns.
        let lengths =
            switch type.blockElements {
            case 1: [1, 37, 576, 1061]
            case 32: [32, 96, 224, 576, 1056]
            default: [256, 768, 1280]
            }
        var numbers = SplitMix64(seed: UInt64(type.rawValue))
        for (index, columns) in lengths.enumerated() {
            let problem = WeightProblem(
                type, rows: [5, 17, 50, 67, 1][index % 5], columns: columns,
                count: counts.max() ?? 1, &numbers)
            switch products {
            case .rows: problem.compareRows(format, &check)
            case .panels:
                problem.interleave(format)
                problem.comparePanels(format, &check)
            case .integer: problem.interleave(format)
            case .split: if format.pointee.integers != nil { problem.interleave(format) }
            }
            for count in counts {
                let isFew = count <= MatrixScratch.maximumPreparedVectors
                if products == .rows || products == .integer, isFew {
                    problem.compareFewVectors(
                        kernels, format, products == .rows ? .float : .integer, count: count, &check
                    )
                }
                if products == .rows || products == .panels {
                    problem.compareManyVectors(
                        kernels, format, isInterleaved: products == .panels, count: count, &check)
                }
                if products == .split {
                    for isInterleaved in format.pointee.integers == nil ? [false] : [false, true] {
                        problem.compareManyVectors(
                            kernels, format, isInterleaved: isInterleaved, isSplit: true,
                            count: count, &check)
                    }
                }
            }
        }
        return check
    }
}

/// A random matrix, random activations, and their products in float64.
private final class WeightProblem {
    private let type: WeightType
    private let rows: Int
    private let columns: Int
    private let count: Int
    private let rowBytes: Int
    private let blocks: UnsafeMutableRawPointer
    /// The rows again, interleaved.
    private let panels: UnsafeMutableRawPointer
    private let activations: UnsafeMutablePointer<Float>
    /// `[row][column]`.
    private let weights: [[Double]]
    /// `[vector][row]`: product, and the sum of the magnitudes of its terms.
    private let expected: [(value: Double, magnitude: Double)]

    init(
        _ type: WeightType, rows: Int, columns: Int, count: Int, _ numbers: inout SplitMix64
    ) {
        self.type = type
        self.rows = rows
        self.columns = columns
        self.count = count
        let rowBytes = columns / type.blockElements * type.blockBytes
        self.rowBytes = rowBytes
        blocks = .allocate(byteCount: rows * rowBytes, alignment: 64)
        panels = .allocate(byteCount: (rows + Int(IQ_PANEL_ROWS)) * rowBytes, alignment: 64)
        let bytes = UnsafeMutableRawBufferPointer(start: blocks, count: rows * rowBytes)
        for block in 0..<rows * rowBytes / type.blockBytes {
            Self.fill(
                type,
                UnsafeMutableRawBufferPointer(
                    rebasing: bytes[block * type.blockBytes..<(block + 1) * type.blockBytes]),
                &numbers)
        }
        activations = Self.floats(count * columns)
        for i in 0..<count * columns { activations[i] = numbers.normal() }
        let weights = (0..<rows).map { row in
            WeightOracle.row(
                type,
                bytes: UnsafeRawBufferPointer(
                    rebasing: bytes[row * rowBytes..<(row + 1) * rowBytes]), columns: columns)
        }
        self.weights = weights
        let activations = self.activations
        expected = (0..<count).flatMap { vector in
            weights.map {
                WeightOracle.product(weights: $0, activations: activations + vector * columns)
            }
        }
    }

    deinit {
        blocks.deallocate()
        panels.deallocate()
        UnsafeMutableRawPointer(activations).deallocate()
    }

    private static func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 4 * max(count, 1), alignment: 64)
        let floats = memory.bindMemory(to: Float.self, capacity: count)
        floats.initialize(repeating: .nan, count: count)
        return floats
    }

    /// Random codes with small finite scales of both signs.
    private static func fill(
        _ type: WeightType, _ block: UnsafeMutableRawBufferPointer, _ numbers: inout SplitMix64
    ) {
        for i in block.indices { block[i] = UInt8(truncatingIfNeeded: numbers.next()) }
        let small = 0.02 * numbers.normal()
        func put(_ value: Float, at offset: Int) {
            block.storeBytes(
                of: Float16(value).bitPattern.littleEndian, toByteOffset: offset, as: UInt16.self)
        }
        switch type {
        case .f32:
            block.storeBytes(of: small.bitPattern.littleEndian, as: UInt32.self)
        case .bf16:
            block.storeBytes(
                of: UInt16(small.bitPattern >> 16).littleEndian, as: UInt16.self)
        case .f16, .q8_0, .q4_0, .q5_0: put(small, at: 0)
        case .q4_1, .q5_1:
            put(small, at: 0)
            put(-8 * small, at: 2)
        case .q4_K, .q5_K:
            put(small.magnitude, at: 0)
            put(8 * small.magnitude, at: 2)
        case .q6_K: put(small, at: 208)
        }
    }

    func interleave(_ format: UnsafePointer<iq_weight_format>) {
        iq_interleave_rows(format, blocks, rowBytes, rows, columns, panels)
    }

    // MARK: - Comparisons

    /// Decoded rows, relative to the row's largest weight.
    func compareRows(
        _ format: UnsafePointer<iq_weight_format>, _ check: inout VerificationCheck
    ) {
        let values = Self.floats(columns)
        defer { UnsafeMutableRawPointer(values).deallocate() }
        for row in 0..<rows {
            format.pointee.dequantize(blocks + row * rowBytes, values, columns)
            check.record(
                UnsafeBufferPointer(start: values, count: columns), expected: weights[row])
        }
    }

    /// Decoded panels: the same bits as decoded rows.
    func comparePanels(
        _ format: UnsafePointer<iq_weight_format>, _ check: inout VerificationCheck
    ) {
        let height = Int(IQ_PANEL_ROWS)
        let values = Self.floats(columns)
        let panel = Self.floats(columns * height)
        defer {
            UnsafeMutableRawPointer(values).deallocate()
            UnsafeMutableRawPointer(panel).deallocate()
        }
        check.cases += 1
        for row in 0..<rows {
            if row.isMultiple(of: height) {
                format.pointee.dequantize_panel(panels + row * rowBytes, panel, columns, height)
            }
            format.pointee.dequantize(blocks + row * rowBytes, values, columns)
            for column in 0..<columns {
                let same =
                    panel[column * height + row % height].bitPattern == values[column].bitPattern
                check.record(same ? 0 : 1)
            }
        }
    }

    func compareFewVectors(
        _ kernels: UnsafePointer<iq_weight_kernels>, _ format: UnsafePointer<iq_weight_format>,
        _ arithmetic: ProductArithmetic, count: Int, _ check: inout VerificationCheck
    ) {
        let stride = (iq_prepared_floats(columns) + 31) / 32 * 32
        let prepared = Self.floats(count * stride)
        defer { UnsafeMutableRawPointer(prepared).deallocate() }
        for vector in 0..<count {
            kernels.pointee.prepare(
                arithmetic == .float ? format.pointee.layout : format.pointee.integer_layout,
                activations + vector * columns, columns,
                prepared + vector * stride)
        }
        compare(count: count, &check) { product in
            product.activations = UnsafePointer(prepared)
            product.activation_stride = stride
            if arithmetic == .float {
                format.pointee.gemv(format, &product)
            } else {
                product.weights = UnsafeRawPointer(panels)
                format.pointee.integers(format, &product)
            }
        }
    }

    func compareManyVectors(
        _ kernels: UnsafePointer<iq_weight_kernels>, _ format: UnsafePointer<iq_weight_format>,
        isInterleaved: Bool, isSplit: Bool = false, count: Int, _ check: inout VerificationCheck
    ) {
        let panel = Self.floats(Int(IQ_GEMM_PANEL_FLOATS))
        let groups = Self.floats(iq_split_bytes(count, columns) / 4)
        defer {
            UnsafeMutableRawPointer(panel).deallocate()
            UnsafeMutableRawPointer(groups).deallocate()
        }
        compare(count: count, &check) { product in
            product.panel = panel
            if isInterleaved {
                product.weights = UnsafeRawPointer(panels)
                product.is_interleaved = 1
            }
            guard isSplit else {
                kernels.pointee.gemm(format, &product)
                return
            }
            kernels.pointee.split(activations, columns, 0, count, columns, groups)
            product.activations = UnsafePointer(groups)
            kernels.pointee.gemm_split(format, &product)
        }
    }

    private func compare(
        count: Int, _ check: inout VerificationCheck, _ multiply: (inout iq_product) -> Void
    ) {
        let output = Self.floats(count * rows)
        defer { UnsafeMutableRawPointer(output).deallocate() }
        var product = iq_product(
            weights: blocks, row_bytes: rowBytes, columns: columns, row_begin: 0, row_end: rows,
            activations: activations, activation_stride: columns, count: count, output: output,
            output_stride: rows, accumulate: 0, is_interleaved: 0, panel: nil)
        multiply(&product)
        check.cases += 1
        for i in 0..<count * rows {
            let (value, magnitude) = expected[i]
            check.record(abs(Double(output[i]) - value) / max(magnitude, 1e-30))
        }
    }
}
