import CPUKernels

/// The product of some rows with a tile that was decoded to float32: on a matrix unit, if there is one and rows are many
/// enough to fill its tiles.
struct DecodedProduct {
    /// From this many rows on: fewer leave most of a matrix unit's tiles empty.
    private static let manyRows = 12

    private typealias Product =
        @convention(c) (
            UnsafePointer<Float>?, Int, Int, Int, UnsafePointer<Float>?, Int, Int,
            UnsafeMutablePointer<Float>?, Int
        ) -> Void

    private let few: Product
    private let many: Product?

    init(_ kernels: UnsafePointer<iq_attention_kernels>, splits: Bool) {
        few = kernels.pointee.dot_float
        many = splits ? kernels.pointee.dot_many : nil
    }

    /// `out[h][lane] += Σ x[h][row] · tile[row][lane]`, `rows` rows of `lanes` numbers, for `heads` heads.
    @inline(__always)
    func callAsFunction(
        _ tile: UnsafePointer<Float>, _ stride: Int, _ rows: Int, _ lanes: Int,
        _ x: UnsafePointer<Float>, _ xStride: Int, _ heads: Int, _ out: UnsafeMutablePointer<Float>,
        _ outStride: Int
    ) {
        if heads >= Self.manyRows, let many {
            many(tile, stride, rows, lanes, x, xStride, heads, out, outStride)
        } else {
            few(tile, stride, rows, lanes, x, xStride, heads, out, outStride)
        }
    }
}
