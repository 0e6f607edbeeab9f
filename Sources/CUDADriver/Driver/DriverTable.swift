/// The functions of the CUDA driver that this project calls, by their names in the documentation.
///
/// Filled from libcuda when the program runs, so that neither building nor running the rest needs CUDA; tests fill it
/// with functions of their own. A function that exists in several versions is looked up by the name of the version
/// whose arguments are declared here (`cuMemAlloc` is the symbol `cuMemAlloc_v2`): those names stay exported for good.
package struct DriverTable: @unchecked Sendable {
    // MARK: Machine

    package var cuInit: @convention(c) (UInt32) -> DriverStatus
    package var cuDriverGetVersion: @convention(c) (UnsafeMutablePointer<Int32>) -> DriverStatus
    package var cuGetErrorName:
        @convention(c) (DriverStatus, UnsafeMutablePointer<UnsafePointer<CChar>?>) -> DriverStatus
    package var cuDeviceGetCount: @convention(c) (UnsafeMutablePointer<Int32>) -> DriverStatus
    package var cuDeviceGet: @convention(c) (UnsafeMutablePointer<Int32>, Int32) -> DriverStatus
    package var cuDeviceGetName:
        @convention(c) (UnsafeMutablePointer<CChar>, Int32, Int32) -> DriverStatus
    package var cuDeviceGetAttribute:
        @convention(c) (UnsafeMutablePointer<Int32>, Int32, Int32) -> DriverStatus
    package var cuDeviceTotalMem: @convention(c) (UnsafeMutablePointer<Int>, Int32) -> DriverStatus

    // MARK: Context

    package var cuDevicePrimaryCtxRetain:
        @convention(c) (UnsafeMutablePointer<DriverHandle>, Int32) -> DriverStatus
    package var cuDevicePrimaryCtxRelease: @convention(c) (Int32) -> DriverStatus
    package var cuCtxSetCurrent: @convention(c) (DriverHandle) -> DriverStatus
    package var cuCtxSynchronize: @convention(c) () -> DriverStatus

    // MARK: Memory

    package var cuMemGetInfo:
        @convention(c) (UnsafeMutablePointer<Int>, UnsafeMutablePointer<Int>) -> DriverStatus
    package var cuMemAlloc:
        @convention(c) (UnsafeMutablePointer<DeviceAddress>, Int) -> DriverStatus
    package var cuMemFree: @convention(c) (DeviceAddress) -> DriverStatus
    package var cuMemHostAlloc:
        @convention(c) (UnsafeMutablePointer<UnsafeMutableRawPointer?>, Int, UInt32) -> DriverStatus
    package var cuMemFreeHost: @convention(c) (UnsafeMutableRawPointer) -> DriverStatus
    package var cuMemcpyHtoDAsync:
        @convention(c) (DeviceAddress, UnsafeRawPointer, Int, DriverHandle) -> DriverStatus
    package var cuMemcpyDtoHAsync:
        @convention(c) (UnsafeMutableRawPointer, DeviceAddress, Int, DriverHandle) -> DriverStatus
    package var cuMemcpyDtoDAsync:
        @convention(c) (DeviceAddress, DeviceAddress, Int, DriverHandle) -> DriverStatus
    package var cuMemsetD8Async:
        @convention(c) (DeviceAddress, UInt8, Int, DriverHandle) -> DriverStatus
    package var cuMemsetD32Async:
        @convention(c) (DeviceAddress, UInt32, Int, DriverHandle) -> DriverStatus

    // MARK: Address space

    package var cuMemGetAllocationGranularity:
        @convention(c) (UnsafeMutablePointer<Int>, UnsafeRawPointer, UInt32) -> DriverStatus
    package var cuMemAddressReserve:
        @convention(c) (
            UnsafeMutablePointer<DeviceAddress>, Int, Int, DeviceAddress, UInt64
        ) -> DriverStatus
    package var cuMemAddressFree: @convention(c) (DeviceAddress, Int) -> DriverStatus
    package var cuMemCreate:
        @convention(c) (UnsafeMutablePointer<UInt64>, Int, UnsafeRawPointer, UInt64) -> DriverStatus
    package var cuMemRelease: @convention(c) (UInt64) -> DriverStatus
    package var cuMemMap: @convention(c) (DeviceAddress, Int, Int, UInt64, UInt64) -> DriverStatus
    package var cuMemUnmap: @convention(c) (DeviceAddress, Int) -> DriverStatus
    package var cuMemSetAccess:
        @convention(c) (DeviceAddress, Int, UnsafeRawPointer, Int) -> DriverStatus

    // MARK: Streams, events and graphs

    package var cuStreamCreateWithPriority:
        @convention(c) (UnsafeMutablePointer<DriverHandle>, UInt32, Int32) -> DriverStatus
    package var cuStreamDestroy: @convention(c) (DriverHandle) -> DriverStatus
    package var cuStreamSynchronize: @convention(c) (DriverHandle) -> DriverStatus
    package var cuStreamQuery: @convention(c) (DriverHandle) -> DriverStatus
    package var cuStreamWaitEvent:
        @convention(c) (DriverHandle, DriverHandle, UInt32) -> DriverStatus
    package var cuEventCreate:
        @convention(c) (UnsafeMutablePointer<DriverHandle>, UInt32) -> DriverStatus
    package var cuEventDestroy: @convention(c) (DriverHandle) -> DriverStatus
    package var cuEventRecord: @convention(c) (DriverHandle, DriverHandle) -> DriverStatus
    package var cuEventSynchronize: @convention(c) (DriverHandle) -> DriverStatus
    package var cuEventQuery: @convention(c) (DriverHandle) -> DriverStatus
    package var cuEventElapsedTime:
        @convention(c) (UnsafeMutablePointer<Float>, DriverHandle, DriverHandle) -> DriverStatus
    package var cuStreamBeginCapture: @convention(c) (DriverHandle, UInt32) -> DriverStatus
    package var cuStreamEndCapture:
        @convention(c) (DriverHandle, UnsafeMutablePointer<DriverHandle>) -> DriverStatus
    package var cuGraphInstantiate:
        @convention(c) (UnsafeMutablePointer<DriverHandle>, DriverHandle, UInt64) -> DriverStatus
    package var cuGraphUpload: @convention(c) (DriverHandle, DriverHandle) -> DriverStatus
    package var cuGraphLaunch: @convention(c) (DriverHandle, DriverHandle) -> DriverStatus
    package var cuGraphExecDestroy: @convention(c) (DriverHandle) -> DriverStatus
    package var cuGraphDestroy: @convention(c) (DriverHandle) -> DriverStatus

    // MARK: Modules and launches

    package var cuModuleLoadData:
        @convention(c) (UnsafeMutablePointer<DriverHandle>, UnsafeRawPointer) -> DriverStatus
    package var cuModuleUnload: @convention(c) (DriverHandle) -> DriverStatus
    package var cuModuleGetFunction:
        @convention(c) (
            UnsafeMutablePointer<DriverHandle>, DriverHandle, UnsafePointer<CChar>
        ) -> DriverStatus
    package var cuFuncGetAttribute:
        @convention(c) (UnsafeMutablePointer<Int32>, Int32, DriverHandle) -> DriverStatus
    package var cuFuncSetAttribute: @convention(c) (DriverHandle, Int32, Int32) -> DriverStatus
    package var cuOccupancyMaxActiveBlocksPerMultiprocessor:
        @convention(c) (UnsafeMutablePointer<Int32>, DriverHandle, Int32, Int) -> DriverStatus
    package var cuLaunchKernelEx:
        @convention(c) (
            UnsafeRawPointer, DriverHandle, UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
            UnsafeMutablePointer<UnsafeMutableRawPointer?>?
        ) -> DriverStatus

    /// - Parameter find: gives the address of the function with a symbol's name.
    /// - Throws: ``CUDAError/driverLacks(function:)`` for the first function that is not there.
    package init(
        resolving find: (_ symbol: String) -> UnsafeMutableRawPointer?
    ) throws(CUDAError) {
        func entry<Function>(_ symbol: String) throws(CUDAError) -> Function {
            guard let address = find(symbol) else { throw .driverLacks(function: symbol) }
            return unsafeBitCast(address, to: Function.self)
        }
        cuInit = try entry("cuInit")
        cuDriverGetVersion = try entry("cuDriverGetVersion")
        cuGetErrorName = try entry("cuGetErrorName")
        cuDeviceGetCount = try entry("cuDeviceGetCount")
        cuDeviceGet = try entry("cuDeviceGet")
        cuDeviceGetName = try entry("cuDeviceGetName")
        cuDeviceGetAttribute = try entry("cuDeviceGetAttribute")
        cuDeviceTotalMem = try entry("cuDeviceTotalMem_v2")
        cuDevicePrimaryCtxRetain = try entry("cuDevicePrimaryCtxRetain")
        cuDevicePrimaryCtxRelease = try entry("cuDevicePrimaryCtxRelease_v2")
        cuCtxSetCurrent = try entry("cuCtxSetCurrent")
        cuCtxSynchronize = try entry("cuCtxSynchronize")
        cuMemGetInfo = try entry("cuMemGetInfo_v2")
        cuMemAlloc = try entry("cuMemAlloc_v2")
        cuMemFree = try entry("cuMemFree_v2")
        cuMemHostAlloc = try entry("cuMemHostAlloc")
        cuMemFreeHost = try entry("cuMemFreeHost")
        cuMemcpyHtoDAsync = try entry("cuMemcpyHtoDAsync_v2")
        cuMemcpyDtoHAsync = try entry("cuMemcpyDtoHAsync_v2")
        cuMemcpyDtoDAsync = try entry("cuMemcpyDtoDAsync_v2")
        cuMemsetD8Async = try entry("cuMemsetD8Async")
        cuMemsetD32Async = try entry("cuMemsetD32Async")
        cuMemGetAllocationGranularity = try entry("cuMemGetAllocationGranularity")
        cuMemAddressReserve = try entry("cuMemAddressReserve")
        cuMemAddressFree = try entry("cuMemAddressFree")
        cuMemCreate = try entry("cuMemCreate")
        cuMemRelease = try entry("cuMemRelease")
        cuMemMap = try entry("cuMemMap")
        cuMemUnmap = try entry("cuMemUnmap")
        cuMemSetAccess = try entry("cuMemSetAccess")
        cuStreamCreateWithPriority = try entry("cuStreamCreateWithPriority")
        cuStreamDestroy = try entry("cuStreamDestroy_v2")
        cuStreamSynchronize = try entry("cuStreamSynchronize")
        cuStreamQuery = try entry("cuStreamQuery")
        cuStreamWaitEvent = try entry("cuStreamWaitEvent")
        cuEventCreate = try entry("cuEventCreate")
        cuEventDestroy = try entry("cuEventDestroy_v2")
        cuEventRecord = try entry("cuEventRecord")
        cuEventSynchronize = try entry("cuEventSynchronize")
        cuEventQuery = try entry("cuEventQuery")
        cuEventElapsedTime = try entry("cuEventElapsedTime")
        cuStreamBeginCapture = try entry("cuStreamBeginCapture_v2")
        cuStreamEndCapture = try entry("cuStreamEndCapture")
        cuGraphInstantiate = try entry("cuGraphInstantiateWithFlags")
        cuGraphUpload = try entry("cuGraphUpload")
        cuGraphLaunch = try entry("cuGraphLaunch")
        cuGraphExecDestroy = try entry("cuGraphExecDestroy")
        cuGraphDestroy = try entry("cuGraphDestroy")
        cuModuleLoadData = try entry("cuModuleLoadData")
        cuModuleUnload = try entry("cuModuleUnload")
        cuModuleGetFunction = try entry("cuModuleGetFunction")
        cuFuncGetAttribute = try entry("cuFuncGetAttribute")
        cuFuncSetAttribute = try entry("cuFuncSetAttribute")
        cuOccupancyMaxActiveBlocksPerMultiprocessor = try entry(
            "cuOccupancyMaxActiveBlocksPerMultiprocessor")
        cuLaunchKernelEx = try entry("cuLaunchKernelEx")
    }
}
