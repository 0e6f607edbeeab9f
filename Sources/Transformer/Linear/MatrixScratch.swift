internal import CPUKernels
package import KVCache

/// Memory that products need while they run, allocated once for a forward pass.
///
/// Holds up to ``maximumPreparedVectors`` activation vectors in each of the kernels' layouts, and per worker one
/// panel of unpacked weights (in the second-level cache). Serves one product at a time.
package final class MatrixScratch {
    /// From this many vectors on, weights are unpacked to panels instead.
    package static let maximumPreparedVectors = 8

    /// The widest input that it serves.
    package let columns: Int
    /// The most threads that it serves.
    package let workers: Int

    /// Vectors that are split for a matrix unit at once: enough that unpacking weights for them costs little.
    static let splitVectors = 512

    /// Of products with up to ``maximumPreparedVectors`` vectors.
    package var arithmetic = ProductArithmetic.integer
    /// Whether more vectors may be split for a matrix unit: those of a prompt.
    package var splitsVectors = false

    /// Of the running processor; looked up once, since products are many.
    let kernels: UnsafePointer<iq_weight_kernels> = iq_kernels().pointee.weights

    private static let alignment = 128
    private let memory: UnsafeMutableRawPointer
    let vectors: PreparedVectors
    let panels: GemmPanels
    /// Room for ``splitVectors`` vectors as the matrix unit takes them; `nil` where there is none. Its pages are used by
    /// prompts only.
    let split: UnsafeMutableRawPointer?
    /// Bytes allocated.
    package let byteCount: Int

    /// - Parameters:
    ///   - columns: inputs of the widest matrix.
    ///   - workers: threads of the pool.
    package init(columns: Int, workers: Int) {
        precondition(
            (1...1 << 40).contains(columns) && (1...0xFFFF).contains(workers),
            "a matrix scratch needs a sensible number of columns and workers")
        self.columns = columns
        self.workers = workers
        let stride = (iq_prepared_floats(columns) + 31) / 32 * 32
        let vectorBytes =
            4 * stride * Self.maximumPreparedVectors * PreparedVectors.layouts
        let panelBytes = workers * GemmPanels.panelBytes
        let hasUnit = kernels.pointee.gemm_split != nil
        let splitBytes = hasUnit ? iq_split_bytes(Self.splitVectors, columns) : 0
        byteCount = vectorBytes + panelBytes + splitBytes
        memory = .allocate(byteCount: byteCount, alignment: Self.alignment)
        vectors = PreparedVectors(
            memory: memory.bindMemory(to: Float.self, capacity: vectorBytes / 4), stride: stride)
        panels = GemmPanels(memory: memory + vectorBytes)
        split = hasUnit ? memory + vectorBytes + panelBytes : nil
    }

    deinit { memory.deallocate() }
}

/// Activation vectors in the kernels' own orders.
struct PreparedVectors {
    /// All but plain, which needs no copy.
    static let layouts = Int(IQ_ACTIVATION_LAYOUTS.rawValue) - 1

    fileprivate let memory: UnsafeMutablePointer<Float>
    /// Floats from one vector to the next, a multiple of 128 bytes.
    let stride: Int

    /// Vector 0 in a layout other than plain.
    func first(layout: UInt32) -> UnsafeMutablePointer<Float> {
        memory + stride * MatrixScratch.maximumPreparedVectors * (Int(layout) - 1)
    }
}

/// Unpacked weights, a panel for each worker.
struct GemmPanels {
    /// A multiple of 128.
    static let panelBytes = (4 * Int(IQ_GEMM_PANEL_FLOATS) + 127) / 128 * 128

    fileprivate let memory: UnsafeMutableRawPointer

    func panel(worker: Int) -> UnsafeMutablePointer<Float> {
        (memory + worker * Self.panelBytes).assumingMemoryBound(to: Float.self)
    }
}
