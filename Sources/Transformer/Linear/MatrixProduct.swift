internal import CPUKernels
internal import Threading

/// One call of `multiply`: chooses the kernel and splits the rows among the workers.
///
/// Up to ``MatrixScratch/maximumPreparedVectors`` vectors: gemv, which reads each weight once and decodes it in
/// registers. More: gemm, which unpacks 48 rows at a time to float32 and multiplies them with all vectors.
struct MatrixProduct {
    let parts: UnsafeBufferPointer<MatrixPart>
    let rows: Int
    let columns: Int
    let activations: UnsafePointer<Float>
    let activationStride: Int
    let count: Int
    let output: UnsafeMutablePointer<Float>
    let outputStride: Int
    let accumulate: Bool

    func run(workers: WorkerPool, scratch: MatrixScratch) {
        precondition(count >= 0, "a product of \(count) vectors")
        precondition(activationStride >= columns, "activation vectors overlap")
        precondition(outputStride >= rows, "output vectors overlap")
        precondition(
            columns <= scratch.columns && workers.threads <= scratch.workers,
            "the scratch was made for smaller matrices or fewer workers")
        guard count > 0 else { return }
        if count <= MatrixScratch.maximumPreparedVectors {
            runFewVectors(workers: workers, scratch: scratch)
        } else {
            runManyVectors(workers: workers, scratch: scratch)
        }
    }

    private func runFewVectors(workers: WorkerPool, scratch: MatrixScratch) {
        let kernels = iq_kernels().pointee.weights!
        let plain = UInt32(IQ_ACTIVATIONS_PLAIN.rawValue)
        var done: UInt32 = 1 << plain
        for part in parts {
            let layout = part.format.pointee.layout
            if done & 1 << layout != 0 { continue }
            done |= 1 << layout
            let prepared = scratch.prepared(layout: layout)
            for t in 0..<count {
                kernels.pointee.prepare(
                    layout, activations + t * activationStride, columns,
                    prepared + t * scratch.vectorFloats)
            }
        }
        let chunk = rowsPerTask(granularity: 8, most: 256, workers: workers.threads)
        workers.run(count: taskCount(chunk: chunk)) { task, _ in
            var job = job(task: task, chunk: chunk)
            let format = parts[job.part].format
            if format.pointee.layout != plain {
                job.product.activations = UnsafePointer(
                    scratch.prepared(layout: format.pointee.layout))
                job.product.activation_stride = scratch.vectorFloats
            }
            format.pointee.gemv(format, &job.product)
        }
    }

    private func runManyVectors(workers: WorkerPool, scratch: MatrixScratch) {
        let kernels = iq_kernels().pointee.weights!
        let chunk = rowsPerTask(
            granularity: 16, most: Int(IQ_GEMM_ROWS), workers: workers.threads)
        workers.run(count: taskCount(chunk: chunk)) { task, worker in
            var job = job(task: task, chunk: chunk)
            job.product.panel = scratch.panel(worker: worker)
            kernels.pointee.gemm(parts[job.part].format, &job.product)
        }
    }

    // MARK: Splitting

    /// Rows of one task: enough tasks that a slow worker is made up for, large enough that handing out is cheap.
    private func rowsPerTask(granularity: Int, most: Int, workers: Int) -> Int {
        if workers == 1 { return most }
        let tasks = 8 * workers
        let even = (rows + tasks - 1) / tasks
        return min(most, max(granularity, (even + granularity - 1) / granularity * granularity))
    }

    private func taskCount(chunk: Int) -> Int {
        var tasks = 0
        for part in parts { tasks += (part.rows + chunk - 1) / chunk }
        return tasks
    }

    /// The rows of a task; no task spans two matrices.
    @inline(__always)
    private func job(task: Int, chunk: Int) -> (part: Int, product: iq_product) {
        var index = 0
        var first = task
        while true {
            let tasks = (parts[index].rows + chunk - 1) / chunk
            if first < tasks { break }
            first -= tasks
            index += 1
        }
        let part = parts[index]
        let product = iq_product(
            weights: part.base, row_bytes: part.rowBytes, columns: columns,
            row_begin: first * chunk, row_end: min(part.rows, (first + 1) * chunk),
            activations: activations, activation_stride: activationStride, count: count,
            output: output + part.offset, output_stride: outputStride,
            accumulate: accumulate ? 1 : 0, panel: nil)
        return (index, product)
    }
}
