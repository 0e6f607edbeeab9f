package import CUDADriver
package import CUDAKernels

/// Prompt attention over dense float16 keys and values; see iq_device_prefill.h.
package struct PrefillAttention {
    private let function: KernelFunction
    private let headSize: Int
    private let sharedBytes: Int

    package init(headSize: Int, kernels: KernelCache) throws(CUDABackendError) {
        self.headSize = headSize
        let capability = kernels.context.device.capability
        sharedBytes = Int(
            iq_prefill_shared_bytes(
                Int32(headSize), Int32(10 * capability.major + capability.minor)))
        do throws(CUDAError) {
            function = try kernels.function(.prefill(headSize: headSize))
            try function.setMaximumDynamicShared(sharedBytes)
        } catch { throw CUDABackendError(error) }
    }

    package func launch(
        _ work: iq_prefill, on stream: borrowing CUDAStream
    ) throws(CUDABackendError) {
        guard work.count > 0 else { return }
        let blocks = iq_prefill_blocks(
            Int32(headSize), Int64(work.count), work.query_heads, work.kv_heads)
        do throws(CUDAError) {
            try stream.launch(
                function, grid: LaunchSize(Int(blocks)),
                block: LaunchSize(Int(IQ_PREFILL_THREADS)), sharedBytes: sharedBytes,
                parameters: work)
        } catch { throw CUDABackendError(error) }
    }
}

extension KernelVariant {
    package static func prefill(headSize: Int) -> KernelVariant {
        KernelVariant(
            source: "prefill.cu", entry: "iq_prefill_attention",
            definitions: ["IQ_HEAD_SIZE": headSize])
    }
}
