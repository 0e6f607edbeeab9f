import CUDADriver
import CUDAStandIn
import Testing

@Suite("Opening a GPU")
struct ContextTests {
    private func failure(
        _ machine: StandIn.Machine = .init(), after prepare: (StandIn) -> Void = { _ in }
    ) -> CUDAError? {
        StandIn.run(machine) { standIn in
            prepare(standIn)
            do throws(CUDAError) {
                _ = try standIn.context()
                return nil
            } catch {
                #expect(standIn.live.isEmpty)
                return error
            }
        }
    }

    @Test("The device is described as the driver describes it")
    func describes() throws {
        try StandIn.run { standIn in
            let device = try standIn.context().device
            #expect(device.name == "Stand-in")
            #expect(device.capability == ComputeCapability(major: 9, minor: 0))
            #expect(device.multiprocessors == 132)
            #expect(device.l2Bytes == 60 << 20)
            #expect(device.memoryBytes == 1 << 30)
            #expect(device.sharedBytesPerBlock == 232_448)
            #expect(device.clockRate == 1_980_000)
            #expect(device.driverVersion == CUDAVersion(major: 13, minor: 0))
            #expect(standIn.live.isEmpty)
            #expect(standIn.mistakes.isEmpty)
        }
    }

    @Test("A name as long as the driver's buffer is read whole")
    func longName() throws {
        var machine = StandIn.Machine()
        machine.name = String(repeating: "é", count: 200)
        let name = try StandIn.run(machine) { try $0.context().device.name }
        #expect(name.hasPrefix("éééé"))
        #expect(name.utf8.count >= 254)
    }

    @Test("A driver for CUDA 12.0 is too old, and both versions are said")
    func oldDriver() {
        var machine = StandIn.Machine()
        machine.driverVersion = 12000
        let error = failure(machine)
        #expect(
            error
                == .driverTooOld(
                    found: CUDAVersion(major: 12, minor: 0),
                    needed: CUDAVersion(major: 12, minor: 1)))
        #expect(error?.description.contains("12.0") == true)
        #expect(error?.description.contains("12.1") == true)
    }

    @Test("A missing function means that the driver is too old")
    func missingFunction() {
        #expect(throws: CUDAError.driverLacks(function: "cuMemAlloc_v2")) {
            _ = try DriverTable {
                $0 == "cuMemAlloc_v2" ? nil : UnsafeMutableRawPointer(bitPattern: 16)
            }
        }
    }

    @Test("No GPU, or not the one asked for")
    func noDevice() throws {
        var machine = StandIn.Machine()
        machine.devices = 0
        #expect(failure(machine) == .noDevice)
        #expect(failure(after: { $0.fail("cuInit", with: 100) }) == .noDevice)
        StandIn.run { _ in
            for index in [-1, 1, 7] {
                #expect(throws: CUDAError.noSuchDevice(index: index, count: 1)) {
                    _ = try CUDAContext(device: index, driver: StandIn.table)
                }
            }
        }
    }

    @Test("The toolkit's stub of the driver is no driver")
    func stub() {
        guard case .noDriver = failure(after: { $0.fail("cuInit", with: 34) }) else {
            Issue.record("a stub was taken for a driver")
            return
        }
    }

    @Test("A GPU before Ampere is not supported, and is left out of the list")
    func oldDevice() throws {
        var machine = StandIn.Machine()
        machine.name = "Tesla V100"
        machine.attributes[.computeCapabilityMajor] = 7
        let expected = CUDAError.unsupportedDevice(
            name: "Tesla V100", capability: ComputeCapability(major: 7, minor: 0))
        #expect(failure(machine) == expected)
        #expect(expected.description.contains("8.0"))
        let listed = try StandIn.run(machine) { _ in try CUDADevice.all(driver: StandIn.table) }
        #expect(listed.isEmpty)
    }

    @Test("A GPU that cannot map memory is not supported")
    func noVirtualMemory() {
        var machine = StandIn.Machine()
        machine.attributes[.virtualMemoryManagement] = 0
        guard case .unsupportedDevice = failure(machine) else {
            Issue.record("it was supported")
            return
        }
    }

    @Test("A driver that does not fit its kernel module says what to do")
    func mismatch() {
        let error = failure(after: { $0.fail("cuInit", with: 803) })
        #expect(error?.description.contains("restart the machine") == true)
    }

    @Test("What the driver says of its memory is passed on")
    func memory() throws {
        try StandIn.run { standIn in
            let context = try standIn.context()
            let buffer = try DeviceBuffer(context, byteCount: 1 << 20)
            let memory = try context.memory()
            #expect(memory.total == 1 << 30)
            #expect(memory.free == (1 << 30) - (1 << 20))
            #expect(buffer.byteCount == 1 << 20)
        }
    }
}
