public import Foundation

extension CUDAError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .noDriver(let reason):
            return "this machine has no CUDA driver (\(reason)); use the CPU, or install NVIDIA's"
                + " driver for CUDA \(DriverTable.oldestVersion) or newer"
        case .driverTooOld(let found, let needed):
            return "the CUDA driver is too old: it supports CUDA \(found), and \(needed) is needed."
                + " Update NVIDIA's driver, or use the CPU."
        case .driverLacks(let function):
            return "the CUDA driver is too old: it has no \(function), and CUDA"
                + " \(DriverTable.oldestVersion) is needed. Update NVIDIA's driver, or use the CPU."
        case .noDevice:
            return "the CUDA driver finds no GPU. Look at what nvidia-smi says and whether"
                + " CUDA_VISIBLE_DEVICES hides it, or use the CPU."
        case .noSuchDevice(let index, let count):
            return "there is no GPU \(index): the driver finds \(count),"
                + " numbered from 0\(count > 1 ? " to \(count - 1)" : "")."
        case .unsupportedDevice(let name, let capability):
            return
                "\(name) has compute capability \(capability); 8.0 (Ampere) or newer with virtual"
                + " memory management is needed. Use another GPU or the CPU."
        case .outOfMemory(let purpose, let asked, let free, let total):
            return "no memory for \(purpose): \(Self.bytes(asked)) asked,"
                + " \(Self.bytes(free)) of \(Self.bytes(total)) free. Use a shorter context, fewer"
                + " sequences or a smaller cache format, or end what else uses the GPU."
        case .contextLost(let name, let call):
            return
                "the GPU stopped with \(name), reported by \(call). Nothing more can be computed in"
                + " this process: start it again, and under compute-sanitizer to find the cause."
        case .launchRefused(let kernel, let shape, let name):
            return "the kernel \(kernel) could not be launched (\(name)) with \(shape)"
        case .sharedMemory(let kernel, let asked, let limit):
            return
                "the kernel \(kernel) asks for \(asked) bytes of shared memory where a block can have"
                + " \(limit). Choose a smaller head size or format for this GPU."
        case .badImage(let purpose, let name):
            return
                "the driver cannot load \(purpose) (\(name)). If NVRTC is of a newer CUDA than the"
                + " driver, update the driver or name an older NVRTC with INNERQ_NVRTC."
        case .noSuchKernel(let name):
            return "the compiled module has no kernel \(name)"
        case .failed(let name, _, let call):
            return "\(call) failed with \(name)\(Self.advice(name))"
        case .invalidArgument(let text):
            return text
        case .noCompiler(let searched):
            return "NVRTC, which compiles kernels for the GPU, was not found (looked for"
                + " \(searched.joined(separator: ", "))). Install the CUDA toolkit's NVRTC 12 or 13,"
                + " or name the file libnvrtc.so in the environment variable INNERQ_NVRTC."
        case .badCompiler(let file, let reason):
            return "NVRTC at \(file) cannot be used: \(reason). Name another in the environment"
                + " variable INNERQ_NVRTC, or unset it to search the usual places."
        case .compilationFailed(let source, let name, let log):
            return "the kernel source \(source) does not compile (\(name)):\n\(log)"
        case .badCubin(let reason):
            return "a compiled kernel is damaged: \(reason)"
        }
    }

    private static func advice(_ name: String) -> String {
        switch name {
        case "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE":
            ". The driver's library and its kernel module differ: restart the machine."
        case "CUDA_ERROR_SYSTEM_NOT_READY":
            ". The GPUs' fabric manager may not be running: look at nvidia-smi -q."
        case "CUDA_ERROR_DEVICE_UNAVAILABLE":
            ". Another process holds the GPU exclusively."
        default: ""
        }
    }

    /// `3.5 GiB (3758096384 bytes)`: exact, and readable.
    private static func bytes(_ count: Int) -> String {
        guard count >= 1 << 20 else { return "\(count) bytes" }
        let (unit, name) = count >= 1 << 30 ? (1 << 30, "GiB") : (1 << 20, "MiB")
        let tenths = Int((Double(count) * 10 / Double(unit)).rounded())
        return "\(tenths / 10).\(tenths % 10) \(name) (\(count) bytes)"
    }
}
