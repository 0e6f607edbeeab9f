/// What a GPU is and has.
public struct CUDADevice: Sendable, Hashable {
    /// Its number among those that the driver shows, from 0.
    public let index: Int
    public let name: String
    public let capability: ComputeCapability
    public let multiprocessors: Int
    public let memoryBytes: Int
    public let l2Bytes: Int
    /// Shared memory that one block can have, dynamic and static together, in bytes.
    public let sharedBytesPerBlock: Int
    public let sharedBytesPerMultiprocessor: Int
    public let threadsPerMultiprocessor: Int
    /// Typical clock, kHz.
    public let clockRate: Int
    /// Peak clock of the memory, kHz; 0 where the driver does not say.
    public let memoryClockRate: Int
    /// Width of the memory's bus, bits.
    public let memoryBusWidth: Int
    /// The newest CUDA version that the driver supports.
    public let driverVersion: CUDAVersion

    /// The driver's own number of the GPU.
    package let ordinal: Int32
}

extension CUDADevice {
    /// Asks the driver about GPU `index`.
    init(index: Int, driver: DriverTable) throws(CUDAError) {
        func check(_ status: DriverStatus, _ call: String) throws(CUDAError) {
            guard status == DriverConstant.success else { throw driver.error(status, in: call) }
        }
        let version = try driver.start()
        let count = try Self.count(driver: driver)
        guard index >= 0, index < count else {
            throw .noSuchDevice(index: index, count: count)
        }
        var ordinal: Int32 = 0
        try check(driver.cuDeviceGet(&ordinal, Int32(index)), "cuDeviceGet")
        func attribute(_ attribute: DeviceAttribute) throws(CUDAError) -> Int {
            var value: Int32 = 0
            try check(
                driver.cuDeviceGetAttribute(&value, attribute.rawValue, ordinal),
                "cuDeviceGetAttribute")
            return Int(value)
        }

        // Room for a zero at the end even if the driver fills all that it is given.
        var name = [CChar](repeating: 0, count: 257)
        try check(driver.cuDeviceGetName(&name, 256, ordinal), "cuDeviceGetName")
        let end = name.firstIndex(of: 0) ?? 0
        self.name = String(decoding: name[..<end].map(UInt8.init(bitPattern:)), as: UTF8.self)
        capability = ComputeCapability(
            major: try attribute(.computeCapabilityMajor),
            minor: try attribute(.computeCapabilityMinor))
        guard capability >= .oldest, try attribute(.virtualMemoryManagement) != 0 else {
            throw .unsupportedDevice(name: self.name, capability: capability)
        }
        var memoryBytes = 0
        try check(driver.cuDeviceTotalMem(&memoryBytes, ordinal), "cuDeviceTotalMem")
        self.memoryBytes = memoryBytes
        multiprocessors = try attribute(.multiprocessorCount)
        l2Bytes = try attribute(.l2CacheSize)
        sharedBytesPerBlock = try attribute(.sharedMemoryPerBlockOptIn)
        sharedBytesPerMultiprocessor = try attribute(.sharedMemoryPerMultiprocessor)
        threadsPerMultiprocessor = try attribute(.threadsPerMultiprocessor)
        clockRate = try attribute(.clockRate)
        memoryClockRate = try attribute(.memoryClockRate)
        memoryBusWidth = try attribute(.memoryBusWidth)
        driverVersion = version
        self.index = index
        self.ordinal = ordinal
    }

    static func count(driver: DriverTable) throws(CUDAError) -> Int {
        var count: Int32 = 0
        let status = driver.cuDeviceGetCount(&count)
        guard status == DriverConstant.success else {
            throw driver.error(status, in: "cuDeviceGetCount")
        }
        guard count > 0 else { throw .noDevice }
        return Int(count)
    }

    /// The GPUs of this machine that InnerQ can use.
    ///
    /// - Throws: ``CUDAError/noDriver(reason:)``, ``CUDAError/noDevice`` and what else keeps all from being used; a GPU
    ///   that is too old is left out.
    public static func all() throws(CUDAError) -> [CUDADevice] {
        try all(driver: DriverTable.system())
    }

    package static func all(driver: DriverTable) throws(CUDAError) -> [CUDADevice] {
        _ = try driver.start()
        var devices: [CUDADevice] = []
        for index in 0..<(try count(driver: driver)) {
            do throws(CUDAError) {
                devices.append(try CUDADevice(index: index, driver: driver))
            } catch {
                guard case .unsupportedDevice = error else { throw error }
            }
        }
        return devices
    }
}
