import CPUKernels
import Threading

/// Loops over the rows (tokens) of activations, split over the workers when there are enough rows to gain from it.
enum Elementwise {
    /// Rows of one task.
    private static let rowsPerTask = 8

    /// Calls `body` once for each row, from several threads if there are many rows.
    static func eachRow(_ count: Int, _ workers: WorkerPool, _ body: (Int) -> Void) {
        guard count > rowsPerTask, workers.threads > 1 else {
            for row in 0..<count { body(row) }
            return
        }
        let tasks = (count + rowsPerTask - 1) / rowsPerTask
        workers.run(count: tasks) { task, _ in
            for row in task * rowsPerTask..<min((task + 1) * rowsPerTask, count) { body(row) }
        }
    }

    /// RMSNorm of `count` rows as long as `weight`; `output` may be `x`.
    static func rmsNorm(
        _ x: UnsafePointer<Float>, _ weight: WeightVector, epsilon: Float, count: Int,
        into output: UnsafeMutablePointer<Float>, _ workers: WorkerPool
    ) {
        let size = weight.count
        let factors = weight.pointer
        eachRow(count, workers) { row in
            iq_rms_norm(x + row * size, factors, output + row * size, size, epsilon)
        }
        withExtendedLifetime(weight) {}
    }

    /// Adds one vector to each of `count` rows.
    static func add(
        _ vector: WeightVector, to x: UnsafeMutablePointer<Float>, count: Int, _ workers: WorkerPool
    ) {
        let size = vector.count
        let values = vector.pointer
        eachRow(count, workers) { row in iq_add(x + row * size, values, size) }
        withExtendedLifetime(vector) {}
    }
}
