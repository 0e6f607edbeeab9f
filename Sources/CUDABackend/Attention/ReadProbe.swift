import CUDADriver
import CUDAKernels

/// Measures the bandwidth that plain reads reach: what the speed of attention is a share of.
package enum ReadProbe {
    /// GB/s: the best of some grids and passes over `bytes` bytes, which should be many times the second-level cache.
    package static func measure(
        _ device: CUDACacheDevice, bytes: Int = 2 << 30
    ) throws(CUDABackendError) -> Double {
        do throws(CUDAError) {
            let context = device.context
            let function = try device.kernels.function(.probe)
            let memory = try DeviceBuffer(
                context, byteCount: bytes, purpose: "the bandwidth probe")
            try memory.fill(0, on: device.stream)
            let target = try DeviceBuffer(context, byteCount: 16)
            let work = iq_probe(
                source: memory.address, bytes: UInt64(bytes / 16 * 16), target: target.address)
            var best = 0.0
            for blocks in [2, 4, 8, 16] {
                for _ in 0..<4 {
                    let milliseconds = try device.stream.milliseconds { () throws(CUDAError) in
                        try device.stream.launch(
                            function,
                            grid: LaunchSize(blocks * context.device.multiprocessors),
                            block: LaunchSize(Int(IQ_PROBE_THREADS)), parameters: work)
                    }
                    best = max(best, Double(work.bytes) / milliseconds / 1e6)
                }
            }
            return best
        } catch { throw CUDABackendError(error) }
    }
}

extension KernelVariant {
    package static let probe = KernelVariant(source: "probe.cu", entry: "iq_probe_read")
}
