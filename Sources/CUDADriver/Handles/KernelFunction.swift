/// A kernel that can be launched. Keeps its module loaded.
package struct KernelFunction: Sendable {
    package let name: String
    package let module: CUDAModule
    package let handle: DriverHandle
    /// 32-bit registers of a thread.
    package let registers: Int
    /// Memory of a thread beside its registers, in bytes: 0 unless registers were spilled or arrays indexed at run time.
    package let localBytes: Int
    package let staticSharedBytes: Int
    package let maximumThreadsPerBlock: Int

    init(_ module: CUDAModule, name: String) throws(CUDAError) {
        let context = module.context
        var handle: DriverHandle = 0
        try context.makeCurrent()
        let status = name.withCString {
            context.driver.cuModuleGetFunction(&handle, module.handle, $0)
        }
        guard status == DriverConstant.success else {
            let notFound: DriverStatus = 500
            throw status == notFound
                ? .noSuchKernel(name: name)
                : context.driver.error(status, in: "cuModuleGetFunction")
        }
        func attribute(_ attribute: FunctionAttribute) throws(CUDAError) -> Int {
            var value: Int32 = 0
            try context.call("cuFuncGetAttribute") {
                $0.cuFuncGetAttribute(&value, attribute.rawValue, handle)
            }
            return Int(value)
        }
        registers = try attribute(.registers)
        localBytes = try attribute(.localBytes)
        staticSharedBytes = try attribute(.sharedBytes)
        maximumThreadsPerBlock = try attribute(.maximumThreadsPerBlock)
        self.name = name
        self.module = module
        self.handle = handle
    }

    /// Allows blocks to have `bytes` of dynamic shared memory. Needed above 48 KiB; once, for all launches.
    ///
    /// - Throws: ``CUDAError/sharedMemory(kernel:asked:limit:)`` where the GPU's blocks cannot have so much.
    package func setMaximumDynamicShared(_ bytes: Int) throws(CUDAError) {
        let limit = module.context.device.sharedBytesPerBlock - staticSharedBytes
        guard bytes >= 0, bytes <= limit else {
            throw .sharedMemory(kernel: name, asked: bytes, limit: limit)
        }
        try set(.maximumDynamicSharedBytes, Int32(bytes))
    }

    /// Share of the memory that L1 and shared memory divide among them, in percent, that shared memory should have.
    package func preferSharedMemory(percent: Int) throws(CUDAError) {
        try set(.sharedMemoryCarveout, Int32(min(max(percent, 0), 100)))
    }

    /// Blocks that a multiprocessor runs at a time.
    package func blocksPerMultiprocessor(
        threads: Int, sharedBytes: Int
    ) throws(CUDAError) -> Int {
        guard let threads = Int32(exactly: threads), threads > 0, sharedBytes >= 0 else {
            throw .invalidArgument("a block of \(threads) threads and \(sharedBytes) bytes")
        }
        var blocks: Int32 = 0
        try module.context.call("cuOccupancyMaxActiveBlocksPerMultiprocessor") {
            $0.cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, handle, threads, sharedBytes)
        }
        return Int(blocks)
    }

    private func set(_ attribute: FunctionAttribute, _ value: Int32) throws(CUDAError) {
        try module.context.call("cuFuncSetAttribute") {
            $0.cuFuncSetAttribute(handle, attribute.rawValue, value)
        }
    }
}
