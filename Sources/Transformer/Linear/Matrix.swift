internal import CPUKernels
internal import KVCache
package import Threading

/// A weight matrix W of `rows` outputs and `columns` inputs, in the blocks of its file.
///
/// The weights stay where they are, usually in a mapped file; a model may keep a second order of them beside, in which few
/// vectors are multiplied half again as fast from memory (``interleaved(in:workers:)``). See `iq_weights.h` for the kernels.
package struct Matrix: Sendable {
    package let type: WeightType
    /// Outputs.
    package let rows: Int
    /// Inputs.
    package let columns: Int

    var part: MatrixPart
    /// Keeps the bytes alive.
    var owner: any AnyObject & Sendable

    /// - Parameters:
    ///   - bytes: the blocks, row after row, little endian, at any alignment; more bytes than needed are ignored.
    ///   - owner: what keeps `bytes` valid and unchanged, held as long as the matrix.
    /// - Throws: ``MatrixError`` if the shape and the bytes do not fit.
    package init(
        type: WeightType, rows: Int, columns: Int, bytes: UnsafeRawBufferPointer,
        owner: any AnyObject & Sendable
    ) throws(MatrixError) {
        guard rows > 0, columns > 0 else {
            throw .emptyShape(rows: rows, columns: columns)
        }
        guard columns.isMultiple(of: type.blockElements) else {
            throw .partialBlock(type: type, columns: columns)
        }
        guard let rowBytes = type.rowBytes(columns: columns) else {
            throw .tooLarge(type: type, rows: rows, columns: columns)
        }
        let (needed, overflow) = rows.multipliedReportingOverflow(by: rowBytes)
        guard !overflow else { throw .tooLarge(type: type, rows: rows, columns: columns) }
        guard let base = bytes.baseAddress, bytes.count >= needed else {
            throw .tooFewBytes(
                type: type, rows: rows, columns: columns, needed: needed, given: bytes.count)
        }
        guard let format = iq_weight_format(iq_kernels().pointee.weights, type.rawValue) else {
            preconditionFailure("the kernels lack the weight type \(type)")
        }
        self.type = type
        self.rows = rows
        self.columns = columns
        self.owner = owner
        part = MatrixPart(
            format: format, base: base, rowBytes: rowBytes, rows: rows, columns: columns, offset: 0,
            panels: nil)
    }

    /// Bytes of the blocks.
    package var byteCount: Int { rows * part.rowBytes }

    /// Writes the `columns` weights of one row as float32 (an embedding).
    package func dequantizeRow(_ row: Int, into values: UnsafeMutablePointer<Float>) {
        precondition((0..<rows).contains(row), "row \(row) of a matrix of \(rows) rows")
        guard let panels = part.panels else {
            part.format.pointee.dequantize(part.base + row * part.rowBytes, values, columns)
            return
        }
        // Not from the file: each row that is touched there would bring 16 pages with it.
        let height = Int(IQ_PANEL_ROWS)
        iq_dequantize_panel_row(
            part.format, panels + (row - row % height) * part.rowBytes, row % height, columns,
            values)
    }

    /// output[t · outputStride + r] (+)= Σₖ W[r][k] · activations[t · activationStride + k].
    ///
    /// - Parameters:
    ///   - activations: `count` vectors of `columns` floats.
    ///   - activationStride: floats from one vector to the next; `columns` if `nil`.
    ///   - count: vectors, such as tokens of a prompt; 1 when decoding.
    ///   - output: `count` vectors of `rows` floats; must not overlap the activations.
    ///   - outputStride: floats from one output vector to the next; `rows` if `nil`.
    ///   - accumulate: adds to what is in `output` (a residual) instead of replacing it.
    ///   - workers: the threads; rows are split among them.
    ///   - scratch: large enough for `columns` and for `workers.threads`, and in no other use meanwhile.
    package func multiply(
        activations: UnsafePointer<Float>, activationStride: Int? = nil, count: Int,
        into output: UnsafeMutablePointer<Float>, outputStride: Int? = nil,
        accumulate: Bool = false, workers: WorkerPool, scratch: MatrixScratch
    ) {
        withUnsafePointer(to: part) { part in
            MatrixProduct(
                parts: UnsafeBufferPointer(start: part, count: 1), rows: rows, columns: columns,
                activations: activations, activationStride: activationStride ?? columns,
                count: count, output: output, outputStride: outputStride ?? rows,
                accumulate: accumulate
            ).run(workers: workers, scratch: scratch)
        }
        withExtendedLifetime(owner) {}
    }
}

/// What the kernels need to know of a matrix: plain data, so that inner loops touch no reference counts.
struct MatrixPart: @unchecked Sendable {
    let format: UnsafePointer<iq_weight_format>
    let base: UnsafeRawPointer
    let rowBytes: Int
    let rows: Int
    let columns: Int
    /// Where its outputs start in an output vector.
    var offset: Int
    /// The rows again, interleaved.
    var panels: UnsafeRawPointer?

    /// Whether few vectors are multiplied in integers.
    @inline(__always)
    func takesIntegers(_ arithmetic: ProductArithmetic) -> Bool {
        arithmetic == .integer && panels != nil
    }

    /// The order in which products of few vectors want their activations.
    @inline(__always)
    func layout(_ arithmetic: ProductArithmetic) -> UInt32 {
        takesIntegers(arithmetic) ? format.pointee.integer_layout : format.pointee.layout
    }
}
