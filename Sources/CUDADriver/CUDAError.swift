/// Why the GPU, its driver or its compiler could not do something. Each says what to do next.
public enum CUDAError: Error, Sendable, Equatable {
    /// There is no CUDA driver on this machine.
    case noDriver(reason: String)
    /// The driver cannot do what this project needs.
    case driverTooOld(found: CUDAVersion, needed: CUDAVersion)
    /// As `driverTooOld`, noticed because a function is missing.
    case driverLacks(function: String)
    /// The driver is there, but no GPU that it may use.
    case noDevice
    /// There is no GPU of this number.
    case noSuchDevice(index: Int, count: Int)
    /// A GPU older than Ampere (compute capability 8.0), or one without virtual memory management.
    case unsupportedDevice(name: String, capability: ComputeCapability)
    /// The GPU (or, for pinned memory, the machine) has not enough memory left.
    case outOfMemory(purpose: String, asked: Int, free: Int, total: Int)
    /// A kernel, an address or another access on the GPU went wrong, and took the context with it: all later calls of
    /// this process fail alike.
    case contextLost(name: String, call: String)
    /// The driver refused a launch.
    case launchRefused(kernel: String, shape: String, name: String)
    /// A kernel asks for more shared memory than a block can have.
    case sharedMemory(kernel: String, asked: Int, limit: Int)
    /// The driver cannot run a compiled kernel; most likely the compiler is newer than the driver.
    case badImage(purpose: String, name: String)
    /// A compiled module has no kernel of this name.
    case noSuchKernel(name: String)
    /// Any other failure of the driver.
    case failed(name: String, status: Int32, call: String)
    /// An argument that the driver was not even asked about.
    case invalidArgument(String)
    /// NVRTC, the run-time compiler, was not found.
    case noCompiler(searched: [String])
    /// The NVRTC named by the environment, or the one found, cannot be used.
    case badCompiler(file: String, reason: String)
    /// NVRTC refused a kernel's source.
    case compilationFailed(source: String, name: String, log: String)
    /// A compiled kernel that is not what it claims to be.
    case badCubin(reason: String)
}

extension CUDAError {
    /// Whether no call can succeed any more in this process after this status.
    ///
    /// Uncorrectable memory errors, illegal addresses and instructions, time-outs, assertions and the like: what cuda.h
    /// describes with “this leaves the process in an inconsistent state”.
    static func endsContext(_ status: Int32) -> Bool {
        switch status {
        case 214, 220, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721: true
        default: false
        }
    }
}
