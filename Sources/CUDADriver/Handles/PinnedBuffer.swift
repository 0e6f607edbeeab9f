#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Memory of the CPU that stays where it is, so that the GPU copies from and to it without help, and kernels can use it at
/// ``deviceAddress`` (slowly: over the bus). What is in it at first is not defined.
package struct PinnedBuffer: ~Copyable, @unchecked Sendable {
    package let context: CUDAContext
    /// The memory. The GPU may be writing to it: look only after a stream that does has been waited for.
    package let bytes: UnsafeMutableRawBufferPointer

    package init(
        _ context: CUDAContext, byteCount: Int, purpose: String = "a pinned buffer"
    ) throws(CUDAError) {
        guard byteCount >= 0 else {
            throw .invalidArgument("\(purpose) cannot have \(byteCount) bytes")
        }
        var base: UnsafeMutableRawPointer?
        if byteCount > 0 {
            do throws(CUDAError) {
                try context.allocate("cuMemHostAlloc", byteCount: byteCount, purpose: purpose) {
                    $0.cuMemHostAlloc(&base, byteCount, DriverConstant.pinnedFlags)
                }
            } catch .outOfMemory {
                // It is the machine's memory that ran out, not the GPU's.
                let memory = Self.memoryOfMachine()
                throw .outOfMemory(
                    purpose: purpose + ", pinned in the machine's memory", asked: byteCount,
                    free: memory.free, total: memory.total)
            }
        }
        self.context = context
        bytes = UnsafeMutableRawBufferPointer(start: base, count: byteCount)
    }

    deinit {
        if let base = bytes.baseAddress { context.release { $0.cuMemFreeHost(base) } }
    }

    package var byteCount: Int { bytes.count }

    private static func memoryOfMachine() -> (free: Int, total: Int) {
        let page = sysconf(Int32(_SC_PAGESIZE))
        let total = sysconf(Int32(_SC_PHYS_PAGES))
        #if os(Linux)
            let free = sysconf(Int32(_SC_AVPHYS_PAGES))
        #else
            let free = 0
        #endif
        return (max(free, 0) * page, max(total, 0) * page)
    }

    /// The address is the same on both sides.
    package var deviceAddress: DeviceAddress {
        DeviceAddress(UInt(bitPattern: bytes.baseAddress))
    }
}
