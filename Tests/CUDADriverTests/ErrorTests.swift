import CUDADriver
import Foundation
import Testing

@Suite("Errors say what to do")
struct ErrorTests {
    @Test("A machine without a driver gets one sentence")
    func noDriver() {
        let error = CUDAError.noDriver(reason: "libcuda.so.1: no such file")
        #expect(
            error.description
                == "this machine has no CUDA driver (libcuda.so.1: no such file); use the CPU, or install"
                + " NVIDIA's driver for CUDA 12.1 or newer")
        #expect(error.localizedDescription == error.description)
    }

    @Test("Sizes are exact and readable")
    func sizes() {
        let error = CUDAError.outOfMemory(
            purpose: "the body", asked: 7 << 29, free: 3 << 20, total: 100)
        #expect(error.description.contains("3.5 GiB (3758096384 bytes) asked"))
        #expect(error.description.contains("3.0 MiB (3145728 bytes) of 100 bytes free"))
    }

    @Test("Each has a text of its own, that does not show how it is built")
    func texts() {
        let version = CUDAVersion(major: 12, minor: 0)
        let errors: [CUDAError] = [
            .noDriver(reason: "x"), .driverTooOld(found: version, needed: version),
            .driverLacks(function: "cuX"), .noDevice, .noSuchDevice(index: 3, count: 2),
            .unsupportedDevice(name: "x", capability: .oldest),
            .outOfMemory(purpose: "x", asked: 1, free: 1, total: 1),
            .contextLost(name: "x", call: "y"),
            .launchRefused(kernel: "k", shape: "s", name: "x"),
            .sharedMemory(kernel: "k", asked: 1, limit: 1), .badImage(purpose: "x", name: "y"),
            .noSuchKernel(name: "k"), .failed(name: "x", status: 1, call: "y"),
            .invalidArgument("x"), .noCompiler(searched: ["x"]),
            .badCompiler(file: "x", reason: "y"),
            .compilationFailed(source: "x", name: "y", log: "z"), .badCubin(reason: "x"),
        ]
        #expect(Set(errors.map(\.description)).count == errors.count)
        for error in errors {
            #expect(!error.description.contains("Optional("))
            #expect(!error.description.contains("CUDAVersion("))
        }
        #expect(CUDAError.noSuchDevice(index: 3, count: 2).description.contains("from 0 to 1"))
    }

    @Test("Architectures by the compiler's names")
    func architectures() {
        let names = [(8, 0), (8, 9), (9, 0), (10, 0), (12, 0)].map {
            ComputeCapability(major: $0.0, minor: $0.1).architecture
        }
        #expect(names == ["sm_80", "sm_89", "sm_90a", "sm_100", "sm_120"])
    }
}
