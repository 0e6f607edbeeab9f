import CPUKernels
import KVCache
import Transformer

/// A random matrix, random activations, and their products in float64.
final class WeightProblem {
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
