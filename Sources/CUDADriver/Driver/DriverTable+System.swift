extension DriverTable {
    /// The oldest driver that will do: 12.1 brought kernel parameters of more than 4096 bytes, in which a launch for many
    /// sequences says where their caches lie.
    package static let oldestVersion = CUDAVersion(major: 12, minor: 1)

    private static let loaded: Result<DriverTable, CUDAError> = {
        let library: DynamicLibrary
        do throws(DynamicLibrary.Failure) {
            library = try DynamicLibrary("libcuda.so.1")
        } catch {
            return .failure(.noDriver(reason: error.reason))
        }
        do throws(CUDAError) {
            return .success(try DriverTable { library.symbol($0) })
        } catch {
            return .failure(error)
        }
    }()

    /// The driver of this machine, opened once.
    ///
    /// - Throws: ``CUDAError/noDriver(reason:)``, or ``CUDAError/driverLacks(function:)`` where it is too old.
    package static func system() throws(CUDAError) -> DriverTable { try loaded.get() }

    /// Starts the driver. Cheap when it runs already.
    ///
    /// - Returns: the newest CUDA version that the driver supports.
    package func start() throws(CUDAError) -> CUDAVersion {
        switch cuInit(0) {
        case DriverConstant.success: break
        case DriverConstant.noDevice: throw .noDevice
        case DriverConstant.stubLibrary:
            throw .noDriver(reason: "libcuda.so.1 is the toolkit's stub")
        case let status: throw error(status, in: "cuInit")
        }
        var number: Int32 = 0
        let status = cuDriverGetVersion(&number)
        guard status == DriverConstant.success else {
            throw error(status, in: "cuDriverGetVersion")
        }
        let version = CUDAVersion(number: Int(number))
        guard version >= Self.oldestVersion else {
            throw .driverTooOld(found: version, needed: Self.oldestVersion)
        }
        return version
    }

    /// CUDA's name of a status, such as `CUDA_ERROR_INVALID_VALUE`.
    package func name(of status: DriverStatus) -> String {
        var text: UnsafePointer<CChar>?
        guard cuGetErrorName(status, &text) == DriverConstant.success, let text else {
            return "CUDA error \(status)"
        }
        return String(cString: text)
    }

    func error(_ status: DriverStatus, in call: String) -> CUDAError {
        let name = name(of: status)
        return CUDAError.endsContext(status)
            ? .contextLost(name: name, call: call)
            : .failed(name: name, status: status, call: call)
    }
}
