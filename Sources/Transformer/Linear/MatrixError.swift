internal import Foundation

/// Why bytes are not the matrix that they were said to be.
package enum MatrixError: Error, Equatable, Sendable {
    /// A matrix needs at least one row and one column.
    case emptyShape(rows: Int, columns: Int)
    /// A row must be a whole number of blocks.
    case partialBlock(type: WeightType, columns: Int)
    /// The byte count of the shape does not fit in an `Int`.
    case tooLarge(type: WeightType, rows: Int, columns: Int)
    /// Fewer bytes than the shape needs.
    case tooFewBytes(type: WeightType, rows: Int, columns: Int, needed: Int, given: Int)
    /// A stack needs at least one matrix.
    case emptyStack
    /// Matrices of a stack read the same input, so they have the same number of columns.
    case differentColumns(first: Int, other: Int)
}

extension MatrixError: CustomStringConvertible, LocalizedError {
    package var description: String {
        switch self {
        case .emptyShape(let rows, let columns):
            "a matrix of \(rows) rows and \(columns) columns has no weights: check the tensor's "
                + "dimensions in the model file"
        case .partialBlock(let type, let columns):
            "a row of \(columns) columns is not a whole number of \(type) blocks of "
                + "\(type.blockElements) weights: convert this tensor to F16 or Q8_0"
        case .tooLarge(let type, let rows, let columns):
            "a \(type) matrix of \(rows) rows and \(columns) columns is larger than the address space: "
                + "the model file is damaged"
        case .tooFewBytes(let type, let rows, let columns, let needed, let given):
            "a \(type) matrix of \(rows) rows and \(columns) columns takes \(needed) bytes, but there "
                + "are \(given): the model file is cut short; download it again"
        case .emptyStack:
            "a stack of matrices needs at least one matrix"
        case .differentColumns(let first, let other):
            "matrices with \(first) and with \(other) columns cannot share an input: check that both "
                + "belong to the same model"
        }
    }

    package var errorDescription: String? { description }
}
