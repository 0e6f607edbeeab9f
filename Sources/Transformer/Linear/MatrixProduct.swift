internal import CPUKernels
internal import KVCache
internal import Threading

/// One call of `multiply`: chooses the kernel and splits the rows among the workers.
///
/// Up to ``MatrixScratch/maximumPreparedVectors`` vectors: gemv, which reads each weight once and decodes it in
/// registers; interleaved rows take activations as integers. More: gemm, which unpacks 48 rows at a time to float32 and
/// multiplies them with all vectors; on a matrix unit, 192 rows and the vectors as sums of two bfloat16.
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
        } else if let split = scratch.split, scratch.splitsVectors, scratch.arithmetic == .integer {
            runSplitVectors(workers: workers, scratch: scratch, split: split)
        } else {
            runManyVectors(workers: workers, scratch: scratch)
        }
    }

    private func runFewVectors(workers: WorkerPool, scratch: MatrixScratch) {
        let kernels = scratch.kernels
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
            granularity: 2 * Int(IQ_PANEL_ROWS), most: 256, workers: workers.threads)
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
            product: self, chunk: chunk, kernels: scratch.kernels,
            vectors: scratch.vectors, panels: scratch.panels, arithmetic: .float)
        withUnsafePointer(to: tasks) { tasks in
            workers.run(count: taskCount(chunk: chunk), context: tasks) { context, task, worker in
                context.assumingMemoryBound(to: MatrixTasks.self).pointee
                    .multiplyMany(task: task, worker: worker)
            }
        }
    }

    /// Rounds of as many vectors as there is room for: they are split by all workers, then meet the rows.
    private func runSplitVectors(
        workers: WorkerPool, scratch: MatrixScratch, split: UnsafeMutableRawPointer
    ) {
        let kernels = scratch.kernels
        let chunk = rowsPerTask(
            granularity: 32, most: Int(IQ_SPLIT_ROWS), workers: workers.threads, tasksEach: 4)
        var first = 0
        while first < count {
            let round = MatrixProduct(
                parts: parts, rows: rows, columns: columns,
                activations: activations + first * activationStride,
                activationStride: activationStride,
                count: min(MatrixScratch.splitVectors, count - first),
                output: output + first * outputStride, outputStride: outputStride,
                accumulate: accumulate)
            let tasks = MatrixTasks(
                product: round, chunk: chunk, kernels: kernels, vectors: scratch.vectors,
                panels: scratch.panels, arithmetic: .integer, split: split)
            withUnsafePointer(to: tasks) { tasks in
                workers.run(
                    count: (round.count + MatrixTasks.splitGroup - 1) / MatrixTasks.splitGroup,
                    context: tasks
                ) { context, task, _ in
                    context.assumingMemoryBound(to: MatrixTasks.self).pointee.split(task: task)
                }
                workers.run(count: taskCount(chunk: chunk), context: tasks) {
                    context, task, worker in
                    context.assumingMemoryBound(to: MatrixTasks.self).pointee
                        .multiplySplit(task: task, worker: worker)
                }
            }
            first += round.count
        }
    }

    static let plain = UInt32(IQ_ACTIVATIONS_PLAIN.rawValue)

    // MARK: Splitting

    /// Rows of one task: enough tasks that a slow worker is made up for, large enough that handing out is cheap.
    private func rowsPerTask(
        granularity: Int, most: Int, workers: Int, tasksEach: Int = 8
    ) -> Int {
        if workers == 1 { return most }
        let tasks = tasksEach * workers
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
    /// The vectors, split for a matrix unit.
    var split: UnsafeMutableRawPointer? = nil

    /// Vectors that are split at once.
    static let splitGroup = 32

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
        var (part, job) = unpackingJob(task: task, worker: worker)
        kernels.pointee.gemm(part.format, &job)
    }

    func split(task: Int) {
        let first = task * Self.splitGroup
        kernels.pointee.split(
            product.activations, product.activationStride, first,
            min(Self.splitGroup, product.count - first), product.columns, split)
    }

    func multiplySplit(task: Int, worker: Int) {
        var (part, job) = unpackingJob(task: task, worker: worker)
        job.activations = UnsafeRawPointer(split!).assumingMemoryBound(to: Float.self)
        kernels.pointee.gemm_split(part.format, &job)
    }

    private func unpackingJob(task: Int, worker: Int) -> (part: MatrixPart, product: iq_product) {
        var (part, job) = product.job(task: task, chunk: chunk)
        job.panel = panels.panel(worker: worker)
        if let interleaved = part.panels {
            job.weights = interleaved
            job.is_interleaved = 1
        }
        return (part, job)
    }
}
