package import CUDADriver
package import CUDAKernels
package import KVCache

/// Prompt attention over dense float16 keys and values; see iq_device_prefill.h.
package struct PrefillAttention {
    private let function: KernelFunction
    private let headSize: Int32
    private let isHopper: Bool
    private let sharedBytes: Int

    /// - Parameter hopper: whether to use the kernel for Hopper's tensor cores; the GPU's own, unless told.
    package init(
        headSize: Int, kernels: KernelCache, hopper: Bool? = nil
    ) throws(CUDABackendError) {
        let capability = kernels.context.device.capability
        let d = Int32(headSize)
        self.headSize = d
        isHopper = hopper ?? (capability.architecture == "sm_90a")
        sharedBytes = Int(
            isHopper
                ? iq_prefill_hopper_shared_bytes(d)
                : iq_prefill_shared_bytes(d, Int32(10 * capability.major + capability.minor)))
        do throws(CUDAError) {
            function = try kernels.function(.prefill(headSize: headSize, hopper: isHopper))
            try function.setMaximumDynamicShared(sharedBytes)
        } catch { throw CUDABackendError(error) }
    }

    /// Dense keys or values: token t of KV head h at element t · tokenStride + h · headStride, float16.
    package struct Dense {
        package var address: UInt64
        package var tokenStride: Int
        package var headStride: Int

        /// `[token][KV heads][d]`.
        package init(_ address: UInt64, shape: LayerShape) {
            self.address = address
            tokenStride = shape.kvHeads * shape.headSize
            headStride = shape.headSize
        }
    }

    /// Attention of `count` queries over `keyCount` keys and values.
    ///
    /// - Parameters:
    ///   - queries, output: addresses of float32 `[count][query heads][d]`.
    ///   - offset: position of query 0 less that of key 0.
    package func launch(
        queries: UInt64, count: Int, keys: Dense, values: Dense, keyCount: Int, offset: Int,
        output: UInt64, shape: LayerShape, on stream: borrowing CUDAStream
    ) throws(CUDABackendError) {
        try launch(
            work(
                queries: queries, count: count, keys: keys, values: values, keyCount: keyCount,
                offset: offset, output: output, shape: shape), on: stream)
    }

    /// What such a launch is told.
    package func work(
        queries: UInt64, count: Int, keys: Dense, values: Dense, keyCount: Int, offset: Int,
        output: UInt64, shape: LayerShape
    ) -> iq_prefill {
        var work = iq_prefill()
        work.queries = queries
        work.keys = keys.address
        work.values = values.address
        work.output = output
        work.count = Int32(count)
        work.key_count = Int32(keyCount)
        work.query_heads = Int32(shape.queryHeads)
        work.kv_heads = Int32(shape.kvHeads)
        work.offset = Int32(offset)
        work.window = Int32(clamping: shape.slidingWindow ?? 0)
        work.query_stride = Int32(shape.queryHeads * shape.headSize)
        work.key_stride = Int32(keys.tokenStride)
        work.key_head_stride = Int32(keys.headStride)
        work.value_stride = Int32(values.tokenStride)
        work.value_head_stride = Int32(values.headStride)
        work.scale = shape.attentionScale
        return work
    }

    package func launch(
        _ work: iq_prefill, on stream: borrowing CUDAStream
    ) throws(CUDABackendError) {
        guard work.count > 0 else { return }
        let count = Int64(work.count)
        let blocks =
            isHopper
            ? iq_prefill_hopper_blocks(headSize, count, work.query_heads, work.kv_heads)
            : iq_prefill_blocks(headSize, count, work.query_heads, work.kv_heads)
        let threads = isHopper ? IQ_PREFILL_HOPPER_THREADS : IQ_PREFILL_THREADS
        do throws(CUDAError) {
            try stream.launch(
                function, grid: LaunchSize(Int(blocks)), block: LaunchSize(Int(threads)),
                sharedBytes: sharedBytes, parameters: work)
        } catch { throw CUDABackendError(error) }
    }
}

extension KernelVariant {
    package static func prefill(headSize: Int, hopper: Bool) -> KernelVariant {
        KernelVariant(
            source: hopper ? "prefill_hopper.cu" : "prefill.cu",
            entry: hopper ? "iq_prefill_attention_hopper" : "iq_prefill_attention",
            definitions: ["IQ_HEAD_SIZE": headSize])
    }
}
