package import Threading

/// Several matrices with one input, multiplied in one parallel region: Q, K and V; gate and up.
///
/// The outputs of a vector lie one after the other, as if the matrices stood on top of each other; their types
/// may differ. Joining them saves the start of a region and the preparation of the activations, which counts
/// when one token is decoded.
package struct MatrixStack: Sendable {
    package let matrices: [Matrix]
    /// Outputs of all matrices together.
    package let rows: Int
    /// Inputs, the same for all.
    package let columns: Int
    /// Where the outputs of each matrix start in an output vector.
    package let offsets: [Int]

    private let parts: [MatrixPart]

    /// - Throws: ``MatrixError`` if there is no matrix or their columns differ.
    package init(_ matrices: [Matrix]) throws(MatrixError) {
        guard let first = matrices.first else { throw .emptyStack }
        var parts: [MatrixPart] = []
        var rows = 0
        for matrix in matrices {
            guard matrix.columns == first.columns else {
                throw .differentColumns(first: first.columns, other: matrix.columns)
            }
            var part = matrix.part
            part.offset = rows
            parts.append(part)
            rows += matrix.rows
        }
        self.matrices = matrices
        self.parts = parts
        self.rows = rows
        columns = first.columns
        offsets = parts.map(\.offset)
    }

    /// output[t · outputStride + offsets[i] + r] (+)= Σₖ Wᵢ[r][k] · activations[t · activationStride + k];
    /// parameters as of ``Matrix/multiply(activations:activationStride:count:into:outputStride:accumulate:workers:scratch:)``.
    package func multiply(
        activations: UnsafePointer<Float>, activationStride: Int? = nil, count: Int,
        into output: UnsafeMutablePointer<Float>, outputStride: Int? = nil,
        accumulate: Bool = false, workers: WorkerPool, scratch: MatrixScratch
    ) {
        parts.withUnsafeBufferPointer { parts in
            MatrixProduct(
                parts: parts, rows: rows, columns: columns, activations: activations,
                activationStride: activationStride ?? columns, count: count, output: output,
                outputStride: outputStride ?? rows, accumulate: accumulate
            ).run(workers: workers, scratch: scratch)
        }
        withExtendedLifetime(matrices) {}
    }
}
