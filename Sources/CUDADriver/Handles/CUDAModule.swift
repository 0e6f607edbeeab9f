/// Compiled kernels, loaded into a context. Unloaded when the last ``KernelFunction`` of it is gone.
package final class CUDAModule: Sendable {
    package let context: CUDAContext
    let handle: DriverHandle

    /// Loads a cubin.
    ///
    /// - Throws: ``CUDAError/badImage(purpose:name:)`` where the driver cannot run it on this GPU.
    package init(_ context: CUDAContext, cubin: [UInt8], purpose: String) throws(CUDAError) {
        // The driver reads lengths from the image itself: what is no ELF file must not reach it.
        _ = try Cubin(cubin)
        try context.makeCurrent()
        var handle: DriverHandle = 0
        let status = cubin.withUnsafeBytes { bytes -> DriverStatus in
            guard let base = bytes.baseAddress else { return 200 }
            return context.driver.cuModuleLoadData(&handle, base)
        }
        switch status {
        case DriverConstant.success: break
        // Invalid image, no binary for the GPU, and what comes from images of another version.
        case 200, 209, 218, 222, 300:
            throw .badImage(purpose: purpose, name: context.driver.name(of: status))
        case DriverConstant.outOfMemory:
            let memory = try context.memory()
            throw .outOfMemory(
                purpose: purpose, asked: cubin.count, free: memory.free, total: memory.total)
        default: throw context.driver.error(status, in: "cuModuleLoadData")
        }
        self.context = context
        self.handle = handle
    }

    deinit { context.release { $0.cuModuleUnload(handle) } }

    /// The kernel with this entry point.
    package func function(_ name: String) throws(CUDAError) -> KernelFunction {
        try KernelFunction(self, name: name)
    }
}
