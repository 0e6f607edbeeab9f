/// The primary context of a GPU: what all handles belong to.
///
/// A context is current for a thread; every call through a handle makes its own current first, so that handles may be
/// used from any thread. (That costs some 20 ns; remembering it would be wrong where other code of the process
/// changes it.) The context ends when the last handle is gone.
public final class CUDAContext: Sendable {
    public let device: CUDADevice
    package let driver: DriverTable
    package let handle: DriverHandle

    /// Opens a GPU.
    ///
    /// - Parameter index: its number among those that the driver shows, from 0.
    /// - Throws: ``CUDAError``: no driver, one that is too old, no such GPU, or one that is too old.
    public convenience init(device index: Int = 0) throws(CUDAError) {
        try self.init(device: index, driver: DriverTable.system())
    }

    package init(device index: Int, driver: DriverTable) throws(CUDAError) {
        let device = try CUDADevice(index: index, driver: driver)
        var handle: DriverHandle = 0
        let status = driver.cuDevicePrimaryCtxRetain(&handle, device.ordinal)
        guard status == DriverConstant.success else {
            throw driver.error(status, in: "cuDevicePrimaryCtxRetain")
        }
        self.device = device
        self.driver = driver
        self.handle = handle
    }

    deinit { _ = driver.cuDevicePrimaryCtxRelease(device.ordinal) }

    /// Memory of the GPU in bytes, as the driver counts it now.
    public func memory() throws(CUDAError) -> (free: Int, total: Int) {
        var free = 0
        var total = 0
        try call("cuMemGetInfo") { $0.cuMemGetInfo(&free, &total) }
        return (free, total)
    }

    /// Waits for all work in the context.
    ///
    /// - Throws: ``CUDAError/contextLost(name:call:)`` where a kernel went wrong.
    public func synchronize() throws(CUDAError) {
        try call("cuCtxSynchronize") { $0.cuCtxSynchronize() }
    }

    // MARK: Calls

    /// Makes the context current for the calling thread.
    package func makeCurrent() throws(CUDAError) {
        let status = driver.cuCtxSetCurrent(handle)
        guard status == DriverConstant.success else {
            throw driver.error(status, in: "cuCtxSetCurrent")
        }
    }

    /// Calls the driver with the context current, and throws what it reports.
    @inline(__always)
    func call(
        _ name: StaticString, _ body: (borrowing DriverTable) -> DriverStatus
    ) throws(CUDAError) {
        try makeCurrent()
        let status = body(driver)
        guard status == DriverConstant.success else {
            throw driver.error(status, in: name.description)
        }
    }

    /// As `call`, for what takes `byteCount` bytes of memory.
    func allocate(
        _ name: StaticString, byteCount: Int, purpose: String,
        _ body: (borrowing DriverTable) -> DriverStatus
    ) throws(CUDAError) {
        try makeCurrent()
        let status = body(driver)
        switch status {
        case DriverConstant.success: return
        case DriverConstant.outOfMemory:
            var free = 0
            var total = device.memoryBytes
            _ = driver.cuMemGetInfo(&free, &total)
            throw .outOfMemory(purpose: purpose, asked: byteCount, free: free, total: total)
        default: throw driver.error(status, in: name.description)
        }
    }

    /// Gives something back: there is nobody to tell if that fails, as it does after the context is lost.
    func release(_ body: (borrowing DriverTable) -> DriverStatus) {
        _ = driver.cuCtxSetCurrent(handle)
        _ = body(driver)
    }
}
