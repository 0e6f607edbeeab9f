// What of cuda.h this project uses, as Swift. Numbers and layouts are the driver's binary interface, which does not
// change between versions; those of the structs are checked by a test.

/// A context, module, function, stream, event or graph: a pointer into the driver that nobody looks through,
/// kept as an integer so that it can cross threads. 0 is none.
package typealias DriverHandle = UInt

/// An address in the memory of a GPU.
package typealias DeviceAddress = UInt64

/// A CUresult.
package typealias DriverStatus = Int32

enum DriverConstant {
    // CUresult
    static let success: DriverStatus = 0
    static let outOfMemory: DriverStatus = 2
    static let stubLibrary: DriverStatus = 34
    static let noDevice: DriverStatus = 100
    static let notReady: DriverStatus = 600

    static let streamNonBlocking: UInt32 = 1
    static let eventDisableTiming: UInt32 = 2
    /// Portable, and mapped into the GPU's address space.
    static let pinnedFlags: UInt32 = 1 | 2
    /// Other threads may go on with what a capture forbids its own thread.
    static let captureThreadLocal: UInt32 = 1
    static let granularityRecommended: UInt32 = 1
    static let attributeProgrammaticSerialization: UInt32 = 6
}

/// CUdevice_attribute.
package enum DeviceAttribute: Int32, Sendable {
    case clockRate = 13
    case multiprocessorCount = 16
    case memoryClockRate = 36
    case memoryBusWidth = 37
    case l2CacheSize = 38
    case threadsPerMultiprocessor = 39
    case computeCapabilityMajor = 75
    case computeCapabilityMinor = 76
    case sharedMemoryPerMultiprocessor = 81
    case sharedMemoryPerBlockOptIn = 97
    case virtualMemoryManagement = 102
}

/// CUfunction_attribute.
package enum FunctionAttribute: Int32, Sendable {
    case maximumThreadsPerBlock = 0
    case sharedBytes = 1
    case localBytes = 3
    case registers = 4
    case maximumDynamicSharedBytes = 8
    case sharedMemoryCarveout = 9
}

/// CUmemAllocationProp: memory of one GPU, not shared with other processes. 32 bytes.
package struct AllocationProperties {
    package var type: UInt32 = 1  // pinned: the only type there is for a GPU's own memory
    package var handleTypes: UInt32 = 0
    package var locationType: UInt32 = 1  // device
    package var device: Int32
    package var windowsMetadata: UInt = 0
    package var flags: UInt64 = 0

    package init(device: Int32) { self.device = device }
}

/// CUmemAccessDesc: the GPU may read and write. 12 bytes.
package struct AccessDescription {
    package var locationType: UInt32 = 1
    package var device: Int32
    package var access: UInt32 = 3

    package init(device: Int32) { self.device = device }
}

/// CUlaunchAttribute. 72 bytes.
package struct LaunchAttribute {
    package var identity: UInt32
    package var padding: UInt32 = 0
    package var value: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)

    package init(identity: UInt32, value: UInt64) {
        self.identity = identity
        self.value = (value, 0, 0, 0, 0, 0, 0, 0)
    }
}

/// CUlaunchConfig. 56 bytes.
package struct LaunchConfiguration {
    package var gridX: UInt32
    package var gridY: UInt32
    package var gridZ: UInt32
    package var blockX: UInt32
    package var blockY: UInt32
    package var blockZ: UInt32
    package var sharedBytes: UInt32
    package var stream: DriverHandle
    package var attributes: UnsafeMutableRawPointer?
    package var attributeCount: UInt32
}
