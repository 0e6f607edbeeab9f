internal import CPUKernels
package import Threading

extension Matrix {
    /// The same matrix with a copy of its rows interleaved in panels of eight, which the integer products and the GEMM
    /// read; see `weights_interleaved.h`. Itself if the kernels have none for its type, or if there is no memory.
    ///
    /// The rows stay where they are, for ``dequantizeRow(_:into:)`` and for products in float32.
    package func interleaved(in memory: inout PanelMemory, workers: WorkerPool) -> Matrix {
        guard part.format.pointee.integers != nil else { return self }
        let height = Int(IQ_PANEL_ROWS)
        let byteCount = (rows + height - 1) / height * height * part.rowBytes
        guard let (base, piece) = memory.take(byteCount) else { return self }
        let job = InterleavingJob(part: part, panels: base)
        withUnsafePointer(to: job) { job in
            workers.run(
                count: (rows + InterleavingJob.rowsPerTask - 1) / InterleavingJob.rowsPerTask,
                context: job
            ) { context, task, _ in
                context.assumingMemoryBound(to: InterleavingJob.self).pointee.run(task: task)
            }
        }
        withExtendedLifetime(owner) {}
        var copy = self
        copy.part.panels = UnsafeRawPointer(base)
        copy.owner = PanelOwner(rows: owner, panels: piece)
        return copy
    }

    /// Whether its rows are interleaved.
    package var isInterleaved: Bool { part.panels != nil }
}

/// Keeps the rows of a matrix and its panels.
private final class PanelOwner: Sendable {
    let rows: any AnyObject & Sendable
    let panels: PanelPiece

    init(rows: any AnyObject & Sendable, panels: PanelPiece) {
        self.rows = rows
        self.panels = panels
    }
}

private struct InterleavingJob {
    static let rowsPerTask = 8 * Int(IQ_PANEL_ROWS)

    let part: MatrixPart
    let panels: UnsafeMutableRawPointer

    func run(task: Int) {
        let first = task * Self.rowsPerTask
        iq_interleave_rows(
            part.format, part.base + first * part.rowBytes, part.rowBytes,
            min(Self.rowsPerTask, part.rows - first), part.columns, panels + first * part.rowBytes)
    }
}
