internal import CPUKernels
internal import KVCache
internal import Threading

extension Matrix {
    /// output[t · outputStride + c] (+)= Σᵣ gradients[t · gradientStride + r] · W[r][c]: what a gradient with respect to the
    /// outputs is with respect to the inputs.
    ///
    /// - Parameters:
    ///   - gradients: `count` vectors of `rows` floats.
    ///   - output: `count` vectors of `columns` floats; must not overlap the gradients.
    ///   - accumulate: adds to what is in `output` instead of replacing it.
    ///   - scratch: made for `workers`, in no other use meanwhile.
    func multiplyTransposed(
        gradients: UnsafePointer<Float>, gradientStride: Int? = nil, count: Int,
        into output: UnsafeMutablePointer<Float>, outputStride: Int? = nil,
        accumulate: Bool = false, workers: WorkerPool, scratch: TransposedScratch
    ) {
        precondition(workers.threads <= scratch.workers, "the scratch is for fewer workers")
        let product = TransposedProduct(
            part: part, gradients: gradients, gradientStride: gradientStride ?? rows, count: count,
            output: output, outputStride: outputStride ?? columns, accumulate: accumulate)
        workers.run(count: product.taskCount) { task, worker in
            product.run(task: task, scratch: scratch.memory(worker: worker))
        }
        withExtendedLifetime(owner) {}
    }
}

/// Memory of transposed products: for each worker a panel of weights and a block of sums.
///
///     panel [64 rows][256 columns + 16]     sums [240 vectors][256 columns]
///
/// Both fit the second-level cache together. The 16 unused columns keep rows of the panel off each other's cache sets.
final class TransposedScratch {
    static let rows = 64
    static let columns = 256
    static let panelStride = columns + 16
    /// A multiple of the six vectors that the kernel holds in registers.
    static let vectors = 240
    private static let panelFloats = rows * panelStride
    static let floats = panelFloats + vectors * columns

    let workers: Int
    private let buffer: FloatBuffer

    init(workers: Int) {
        self.workers = workers
        buffer = FloatBuffer(count: workers * Self.floats)
    }

    func memory(
        worker: Int
    ) -> (panel: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>) {
        let start = buffer.pointer + worker * Self.floats
        return (start, start + Self.panelFloats)
    }
}

/// One call of `multiplyTransposed`: tasks are blocks of vectors by blocks of columns.
private struct TransposedProduct {
    let part: MatrixPart
    let gradients: UnsafePointer<Float>
    let gradientStride: Int
    let count: Int
    let output: UnsafeMutablePointer<Float>
    let outputStride: Int
    let accumulate: Bool
    /// Columns that the kernel takes at once, so that 64 rows of them stay in the first-level cache.
    private static let lanes = 32

    private var columnBlocks: Int {
        (part.columns + TransposedScratch.columns - 1) / TransposedScratch.columns
    }

    var taskCount: Int {
        columnBlocks * ((count + TransposedScratch.vectors - 1) / TransposedScratch.vectors)
    }

    func run(
        task: Int,
        scratch: (panel: UnsafeMutablePointer<Float>, sums: UnsafeMutablePointer<Float>)
    ) {
        let kernel = AttentionKernels.best.table.pointee.dot_float!
        let (panel, sums) = scratch
        let stride = TransposedScratch.panelStride
        let first = task % columnBlocks * TransposedScratch.columns
        let columns = min(TransposedScratch.columns, part.columns - first)
        let padded = (columns + 15) / 16 * 16
        let start = task / columnBlocks * TransposedScratch.vectors
        let vectors = min(TransposedScratch.vectors, count - start)
        sums.update(repeating: 0, count: vectors * padded)
        let format = part.format
        let block =
            first / Int(format.pointee.block_elements) * Int(format.pointee.block_bytes)
        var row = 0
        while row < part.rows {
            let rows = min(TransposedScratch.rows, part.rows - row)
            for index in 0..<rows {
                let target = panel + index * stride
                format.pointee.dequantize(
                    part.base + (row + index) * part.rowBytes + block, target, columns)
                for column in columns..<padded { target[column] = 0 }
            }
            var lane = 0
            while lane < padded {
                kernel(
                    panel + lane, stride, rows, min(Self.lanes, padded - lane),
                    gradients + start * gradientStride + row, gradientStride, vectors,
                    sums + lane, padded)
                lane += Self.lanes
            }
            row += rows
        }
        for vector in 0..<vectors {
            let target = output + (start + vector) * outputStride + first
            if accumulate {
                iq_add(target, sums + vector * padded, columns)
            } else {
                target.update(from: sums + vector * padded, count: columns)
            }
        }
    }
}
