internal import CUDADriver

extension StandIn {
    static func setModules(_ table: inout DriverTable) {
        table.cuModuleLoadData = { module, _ in
            StandIn.call("cuModuleLoadData") {
                module.pointee = $0.acquire(.module)
                return 0
            }
        }
        table.cuModuleUnload = { module in
            StandIn.call("cuModuleUnload") {
                $0.release(.module, UInt64(module)) == nil ? StandIn.invalidValue : 0
            }
        }
        table.cuModuleGetFunction = { function, module, name in
            StandIn.call("cuModuleGetFunction") {
                let status = $0.use(.module, module)
                guard status == 0 else { return status }
                $0.nextHandle += 0x10
                function.pointee = DriverHandle($0.nextHandle)
                $0.functions[function.pointee] = String(cString: name)
                return 0
            }
        }
        table.cuFuncGetAttribute = { value, attribute, _ in
            StandIn.call("cuFuncGetAttribute") {
                let attributes = $0.machine.functionAttributes
                value.pointee =
                    FunctionAttribute(rawValue: attribute).flatMap { attributes[$0] } ?? 0
                return 0
            }
        }
        table.cuFuncSetAttribute = { function, attribute, value in
            StandIn.call("cuFuncSetAttribute") {
                guard let name = $0.functions[function] else { return StandIn.invalidValue }
                if FunctionAttribute(rawValue: attribute) == .maximumDynamicSharedBytes {
                    $0.dynamicShared[name] = Int(value)
                }
                return 0
            }
        }
        table.cuOccupancyMaxActiveBlocksPerMultiprocessor = { blocks, _, _, _ in
            StandIn.call("cuOccupancyMaxActiveBlocksPerMultiprocessor") {
                blocks.pointee = $0.machine.blocksPerMultiprocessor
                return 0
            }
        }
        table.cuLaunchKernelEx = { configuration, function, parameters, _ in
            StandIn.call("cuLaunchKernelEx") {
                let launch = configuration.load(as: LaunchConfiguration.self)
                let status = $0.use(.stream, launch.stream)
                guard status == 0 else { return status }
                guard let name = $0.functions[function] else { return 400 }
                guard launch.blockX * launch.blockY * launch.blockZ <= 1024 else {
                    return StandIn.invalidValue
                }
                // Above 48 KiB only what was allowed.
                guard launch.sharedBytes <= max($0.dynamicShared[name] ?? 0, 48 << 10) else {
                    return StandIn.invalidValue
                }
                var overlaps = false
                for index in 0..<Int(launch.attributeCount) {
                    let attribute = launch.attributes?.load(
                        fromByteOffset: index * 72, as: LaunchAttribute.self)
                    if attribute?.identity == 6 { overlaps = attribute?.value.0 == 1 }
                }
                let bytes = UnsafeRawBufferPointer(
                    start: parameters?.pointee, count: $0.parameterSizes[name] ?? 0)
                $0.launches.append(
                    Launch(
                        kernel: name,
                        grid: LaunchSize(Int(launch.gridX), Int(launch.gridY), Int(launch.gridZ)),
                        block: LaunchSize(
                            Int(launch.blockX), Int(launch.blockY), Int(launch.blockZ)),
                        sharedBytes: Int(launch.sharedBytes), stream: launch.stream,
                        overlapsPrevious: overlaps, parameters: Array(bytes)))
                return 0
            }
        }
    }

    /// Static memory, as the driver gives.
    static let errorNames: ErrorNames = ErrorNames()

    struct ErrorNames: @unchecked Sendable {
        private let names: [DriverStatus: UnsafePointer<CChar>]

        init() {
            let texts: [(DriverStatus, StaticString)] = [
                (1, "CUDA_ERROR_INVALID_VALUE"), (2, "CUDA_ERROR_OUT_OF_MEMORY"),
                (3, "CUDA_ERROR_NOT_INITIALIZED"), (100, "CUDA_ERROR_NO_DEVICE"),
                (200, "CUDA_ERROR_INVALID_IMAGE"), (400, "CUDA_ERROR_INVALID_HANDLE"),
                (500, "CUDA_ERROR_NOT_FOUND"), (700, "CUDA_ERROR_ILLEGAL_ADDRESS"),
                (719, "CUDA_ERROR_LAUNCH_FAILED"), (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
            ]
            names = Dictionary(
                uniqueKeysWithValues: texts.map {
                    ($0.0, UnsafeRawPointer($0.1.utf8Start).assumingMemoryBound(to: CChar.self))
                })
        }

        subscript(status: DriverStatus) -> UnsafePointer<CChar>? { names[status] }
    }
}
