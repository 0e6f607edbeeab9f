internal import CPUKernels
internal import KVCache
internal import Threading

/// One call of `multiply`: chooses the kernel and splits the rows among the workers.
///
/// Up to ``MatrixScratch/maximumPreparedVectors`` vectors: gemv, which reads each weight once and decodes it in
/// registers; interleaved rows take activations as integers. More: gemm, which unpacks 48 rows at a time to float32 and
/// multiplies them with all vectors.
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
        var done: UInt32 = 1 << Self.plain
        for part in parts {
            let layout = part.layout(scratch.arithmetic)
            if done & 1 << layout != 0 { continue }
            done |= 1 << layout
            let prepared = scratch.vectors.first(layout: layout)
            for t in 0..<count {
                kernels.pointee.prepare(
                    layout, activations + t * activationStride, columns,
                    prepared + t * scratch.vectors.stride)
            }
        }
        let chunk = rowsPerTask(
            granularity: Int(IQ_PANEL_ROWS), most: 256, workers: workers.threads)
        let tasks = MatrixTasks(
            product: self, chunk: chunk, kernels: kernels, vectors: scratch.vectors,
            panels: scratch.panels, arithmetic: scratch.arithmetic)
        withUnsafePointer(to: tasks) { tasks in
            workers.run(count: taskCount(chunk: chunk), context: tasks) { context, task, _ in
                context.assumingMemoryBound(to: MatrixTasks.self).pointee.multiplyFew(task: task)
            }
        }
    }

    private func runManyVectors(workers: WorkerPool, scratch: MatrixScratch) {
        let chunk = rowsPerTask(
            granularity: 16, most: Int(IQ_GEMM_ROWS), workers: workers.threads)
        let tasks = MatrixTasks(
            product: self, chunk: chunk, kernels: iq_kernels().pointee.weights,
            vectors: scratch.vectors, panels: scratch.panels, arithmetic: .float)
        withUnsafePointer(to: tasks) { tasks in
            workers.run(count: taskCount(chunk: chunk), context: tasks) { context, task, worker in
                context.assumingMemoryBound(to: MatrixTasks.self).pointee
                    .multiplyMany(task: task, worker: worker)
            }
        }
    }

    static let plain = UInt32(IQ_ACTIVATIONS_PLAIN.rawValue)

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
    fileprivate func job(task: Int, chunk: Int) -> (part: MatrixPart, product: iq_product) {
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
            accumulate: accumulate ? 1 : 0, is_interleaved: 0, panel: nil)
        return (part, product)
    }
}

/// What the workers of one product share: plain data, so that they touch no reference counts.
private struct MatrixTasks {
    let product: MatrixProduct
    /// Rows of a task.
    let chunk: Int
    let kernels: UnsafePointer<iq_weight_kernels>
    let vectors: PreparedVectors
    let panels: GemmPanels
    let arithmetic: ProductArithmetic

    func multiplyFew(task: Int) {
        var (part, job) = product.job(task: task, chunk: chunk)
        let format = part.format
        let layout = part.layout(arithmetic)
        if layout != MatrixProduct.plain {
            job.activations = UnsafePointer(vectors.first(layout: layout))
            job.activation_stride = vectors.stride
        }
        if part.takesIntegers(arithmetic) {
            job.weights = part.panels
            format.pointee.integers(format, &job)
        } else {
            format.pointee.gemv(format, &job)
        }
    }

    func multiplyMany(task: Int, worker: Int) {
        var (part, job) = product.job(task: task, chunk: chunk)
        job.panel = panels.panel(worker: worker)
        if let interleaved = part.panels {
            job.weights = interleaved
            job.is_interleaved = 1
        }
        kernels.pointee.gemm(part.format, &job)
    }
}
