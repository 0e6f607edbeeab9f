import CUDADriver
import CUDAStandIn
import Testing

@Suite("Launching kernels")
struct LaunchTests {
    private struct Parameters: Equatable {
        var address: UInt64 = 0x1234
        var count: Int32 = 7
        var scale: Float = 0.5
    }

    private func run(
        _ machine: StandIn.Machine = .init(),
        _ body: (StandIn, borrowing CUDAStream, KernelFunction) throws -> Void
    ) throws {
        try StandIn.run(machine) { standIn in
            let context = try standIn.context()
            let stream = try CUDAStream(context)
            let module = try CUDAModule(context, cubin: CubinBuilder().bytes, purpose: "kernels")
            standIn.setParameterSize(MemoryLayout<Parameters>.size, of: "one")
            try body(standIn, stream, try module.function("one"))
        }
    }

    @Test("The driver is told grid, block, shared memory, stream and the parameter's bytes")
    func records() throws {
        try run { standIn, stream, kernel in
            try stream.launch(
                kernel, grid: LaunchSize(5, 6, 7), block: LaunchSize(32, 4), sharedBytes: 1024,
                parameters: Parameters())
            let launch = try #require(standIn.launches.first)
            #expect(launch.kernel == "one")
            #expect(launch.grid == LaunchSize(5, 6, 7))
            #expect(launch.block == LaunchSize(32, 4, 1))
            #expect(launch.sharedBytes == 1024)
            let handle = stream.handle
            #expect(launch.stream == handle)
            #expect(launch.parameters(as: Parameters.self) == Parameters())
            #expect(!launch.overlapsPrevious)

            var elsewhere = Parameters(address: 1, count: 2, scale: 3)
            try stream.launch(kernel, grid: 2, block: 128, parametersAt: &elsewhere)
            #expect(standIn.launches.last?.parameters(as: Parameters.self) == elsewhere)
            #expect(standIn.launches.last?.block == LaunchSize(128, 1, 1))
        }
    }

    @Test("A kernel may overlap the one before it on Hopper, and not on Ampere")
    func overlaps() throws {
        for (major, expected) in [(9, true), (8, false), (10, true)] as [(Int32, Bool)] {
            var machine = StandIn.Machine()
            machine.attributes[.computeCapabilityMajor] = major
            try run(machine) { standIn, stream, kernel in
                try stream.launch(
                    kernel, grid: 1, block: 32, overlapsPrevious: true, parameters: Parameters())
                #expect(standIn.launches.last?.overlapsPrevious == expected)
            }
        }
    }

    @Test("What the driver cannot be told, or does not take, is refused with the shape")
    func refused() throws {
        try run { standIn, stream, kernel in
            let shapes: [(LaunchSize, LaunchSize, Int)] = [
                (0, 32, 0), (1, 0, 0), (-1, 32, 0), (1, 32, -1), (LaunchSize(1 << 33), 32, 0),
                (1, 2048, 0), (1, 32, 100_000),
            ]
            for (grid, block, sharedBytes) in shapes {
                var thrown: CUDAError?
                do throws(CUDAError) {
                    try stream.launch(
                        kernel, grid: grid, block: block, sharedBytes: sharedBytes,
                        parameters: Parameters())
                } catch { thrown = error }
                guard case .launchRefused("one", let shape, "CUDA_ERROR_INVALID_VALUE") = thrown
                else {
                    Issue.record("\(grid) \(block) \(sharedBytes): \(String(describing: thrown))")
                    continue
                }
                #expect(shape.contains("\(grid) blocks of \(block) threads"))
            }
            #expect(standIn.launches.isEmpty)
        }
    }

    @Test("More shared memory can be allowed, up to what the GPU has")
    func sharedMemory() throws {
        try run { standIn, stream, kernel in
            try kernel.setMaximumDynamicShared(100_000)
            #expect(standIn.maximumDynamicShared(of: "one") == 100_000)
            try stream.launch(
                kernel, grid: 1, block: 32, sharedBytes: 100_000, parameters: Parameters())
            try kernel.setMaximumDynamicShared(232_448 - 128)
            #expect(
                throws: CUDAError.sharedMemory(
                    kernel: "one", asked: 232_448, limit: 232_448 - 128)
            ) { try kernel.setMaximumDynamicShared(232_448) }
            #expect(try kernel.blocksPerMultiprocessor(threads: 128, sharedBytes: 0) == 4)
            #expect(throws: CUDAError.self) {
                try kernel.blocksPerMultiprocessor(threads: 0, sharedBytes: 0)
            }
        }
    }

    @Test("A kernel that went wrong is told apart from a call that was refused")
    func sticky() throws {
        try run { standIn, stream, kernel in
            standIn.fail("cuLaunchKernelEx", with: 700)
            var thrown: CUDAError?
            do throws(CUDAError) {
                try stream.launch(kernel, grid: 1, block: 32, parameters: Parameters())
            } catch { thrown = error }
            #expect(
                thrown
                    == .contextLost(name: "CUDA_ERROR_ILLEGAL_ADDRESS", call: "the launch of one"))

            standIn.fail("cuStreamSynchronize", with: 719)
            thrown = nil
            do throws(CUDAError) { try stream.synchronize() } catch { thrown = error }
            #expect(
                thrown
                    == .contextLost(name: "CUDA_ERROR_LAUNCH_FAILED", call: "cuStreamSynchronize"))
        }
    }

    @Test("A module that the driver cannot run, and a kernel that is not in it")
    func modules() throws {
        try StandIn.run { standIn in
            let context = try standIn.context()
            standIn.fail("cuModuleLoadData", with: 200)
            #expect(
                throws: CUDAError.badImage(purpose: "kernels", name: "CUDA_ERROR_INVALID_IMAGE")
            ) { _ = try CUDAModule(context, cubin: CubinBuilder().bytes, purpose: "kernels") }
            let module = try CUDAModule(context, cubin: CubinBuilder().bytes, purpose: "kernels")
            standIn.fail("cuModuleGetFunction", with: 500)
            #expect(throws: CUDAError.noSuchKernel(name: "two")) { try module.function("two") }
            // Bytes that are no cubin do not reach the driver.
            standIn.forgetCalls()
            #expect(throws: CUDAError.self) {
                _ = try CUDAModule(context, cubin: [1, 2, 3], purpose: "kernels")
            }
            #expect(standIn.calls.isEmpty)
        }
    }

    @Test("Structs have the layout of cuda.h")
    func layouts() {
        #expect(MemoryLayout<AllocationProperties>.stride == 32)
        #expect(MemoryLayout<AllocationProperties>.offset(of: \.locationType) == 8)
        #expect(MemoryLayout<AllocationProperties>.offset(of: \.device) == 12)
        #expect(MemoryLayout<AllocationProperties>.offset(of: \.windowsMetadata) == 16)
        #expect(MemoryLayout<AllocationProperties>.offset(of: \.flags) == 24)
        #expect(MemoryLayout<AccessDescription>.stride == 12)
        #expect(MemoryLayout<LaunchConfiguration>.stride == 56)
        #expect(MemoryLayout<LaunchConfiguration>.offset(of: \.sharedBytes) == 24)
        #expect(MemoryLayout<LaunchConfiguration>.offset(of: \.stream) == 32)
        #expect(MemoryLayout<LaunchConfiguration>.offset(of: \.attributes) == 40)
        #expect(MemoryLayout<LaunchConfiguration>.offset(of: \.attributeCount) == 48)
        #expect(MemoryLayout<LaunchAttribute>.stride == 72)
        #expect(MemoryLayout<LaunchAttribute>.offset(of: \.value) == 8)
    }
}
