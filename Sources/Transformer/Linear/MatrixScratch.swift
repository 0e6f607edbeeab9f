internal import CPUKernels

/// Memory that products need while they run, allocated once for a forward pass.
///
/// Holds up to ``maximumPreparedVectors`` activation vectors in each of the kernels' layouts, and per worker one
/// panel of unpacked weights (112 KiB, in the second-level cache). Serves one product at a time.
package final class MatrixScratch {
    /// From this many vectors on, weights are unpacked to panels instead.
    package static let maximumPreparedVectors = 8

    /// The widest input that it serves.
    package let columns: Int
    /// The most threads that it serves.
    package let workers: Int

    private static let alignment = 128
    private static let layouts = 2
    private let memory: UnsafeMutableRawPointer
    private let panels: UnsafeMutableRawPointer
    let vectorFloats: Int

    /// - Parameters:
    ///   - columns: inputs of the widest matrix.
    ///   - workers: threads of the pool.
    package init(columns: Int, workers: Int) {
        precondition(
            (1...1 << 40).contains(columns) && (1...0xFFFF).contains(workers),
            "a matrix scratch needs a sensible number of columns and workers")
        self.columns = columns
        self.workers = workers
        let floats = iq_prepared_floats(columns)
        vectorFloats = (floats + 31) / 32 * 32
        let prepared = 4 * vectorFloats * Self.maximumPreparedVectors * Self.layouts
        memory = .allocate(
            byteCount: prepared + workers * Self.panelBytes, alignment: Self.alignment)
        panels = memory + prepared
    }

    deinit { memory.deallocate() }

    /// Bytes allocated.
    package var byteCount: Int {
        4 * vectorFloats * Self.maximumPreparedVectors * Self.layouts + workers * Self.panelBytes
    }

    private static var panelBytes: Int {
        (4 * Int(IQ_GEMM_PANEL_FLOATS) + alignment - 1) / alignment * alignment
    }

    /// Vector 0 in a layout other than plain.
    func prepared(layout: UInt32) -> UnsafeMutablePointer<Float> {
        let index = layout == UInt32(IQ_ACTIVATIONS_BYTES.rawValue) ? 1 : 0
        let bytes = 4 * vectorFloats * Self.maximumPreparedVectors * index
        return (memory + bytes).assumingMemoryBound(to: Float.self)
    }

    func panel(worker: Int) -> UnsafeMutablePointer<Float> {
        (panels + worker * Self.panelBytes).assumingMemoryBound(to: Float.self)
    }
}
