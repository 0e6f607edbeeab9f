/// Blocks of a grid, or threads of a block.
package struct LaunchSize: Sendable, Hashable, ExpressibleByIntegerLiteral, CustomStringConvertible
{
    package var x: Int
    package var y: Int
    package var z: Int

    package init(_ x: Int, _ y: Int = 1, _ z: Int = 1) {
        self.x = x
        self.y = y
        self.z = z
    }

    package init(integerLiteral value: Int) { self.init(value) }

    package var description: String { "\(x) × \(y) × \(z)" }

    /// Each side, if the driver can be told of it.
    var sides: (UInt32, UInt32, UInt32)? {
        guard let x = UInt32(exactly: x), let y = UInt32(exactly: y), let z = UInt32(exactly: z),
            x > 0, y > 0, z > 0
        else { return nil }
        return (x, y, z)
    }
}

extension CUDAStream {
    /// Launches a kernel whose only parameter is a struct passed by value.
    ///
    /// - Parameters:
    ///   - sharedBytes: dynamic shared memory of a block. More than 48 KiB must be allowed before, by
    ///     ``KernelFunction/setMaximumDynamicShared(_:)``.
    ///   - overlapsPrevious: the kernel may begin before the one before it has ended (programmatic dependent launch);
    ///     it waits by itself, with `griddepcontrol.wait`, before it touches what that one writes. Compute
    ///     capability 9.0 and later; elsewhere it has no effect.
    ///   - parameters: read before this returns.
    /// - Throws: ``CUDAError/launchRefused(kernel:shape:name:)``, or the failure of an earlier kernel.
    package func launch<Parameters: BitwiseCopyable>(
        _ function: KernelFunction, grid: LaunchSize, block: LaunchSize, sharedBytes: Int = 0,
        overlapsPrevious: Bool = false, parameters: Parameters
    ) throws(CUDAError) {
        let status = withUnsafePointer(to: parameters) {
            submit(function, grid, block, sharedBytes, overlapsPrevious, UnsafeRawPointer($0))
        }
        guard status == DriverConstant.success else {
            throw refusal(status, function, grid, block, sharedBytes)
        }
    }

    /// As above, with the struct in memory.
    package func launch(
        _ function: KernelFunction, grid: LaunchSize, block: LaunchSize, sharedBytes: Int = 0,
        overlapsPrevious: Bool = false, parametersAt parameters: UnsafeRawPointer
    ) throws(CUDAError) {
        let status = submit(function, grid, block, sharedBytes, overlapsPrevious, parameters)
        guard status == DriverConstant.success else {
            throw refusal(status, function, grid, block, sharedBytes)
        }
    }

    /// CUDA_ERROR_INVALID_VALUE, given by the driver and by `submit` for what cannot be handed to it.
    private static var invalidValue: DriverStatus { 1 }

    private func submit(
        _ function: KernelFunction, _ grid: LaunchSize, _ block: LaunchSize, _ sharedBytes: Int,
        _ overlapsPrevious: Bool, _ parameters: UnsafeRawPointer
    ) -> DriverStatus {
        guard let grid = grid.sides, let block = block.sides,
            let sharedBytes = UInt32(exactly: sharedBytes)
        else { return Self.invalidValue }
        let current = context.driver.cuCtxSetCurrent(context.handle)
        guard current == DriverConstant.success else { return current }

        let overlaps = overlapsPrevious && context.device.capability.major >= 9
        var attribute = LaunchAttribute(
            identity: DriverConstant.attributeProgrammaticSerialization, value: 1)
        return withUnsafeMutablePointer(to: &attribute) { attribute in
            let configuration = LaunchConfiguration(
                gridX: grid.0, gridY: grid.1, gridZ: grid.2,
                blockX: block.0, blockY: block.1, blockZ: block.2,
                sharedBytes: sharedBytes, stream: handle,
                attributes: overlaps ? UnsafeMutableRawPointer(attribute) : nil,
                attributeCount: overlaps ? 1 : 0)
            // The driver takes an array with one pointer for each parameter; this kernel has one.
            var parameter: UnsafeMutableRawPointer? = UnsafeMutableRawPointer(mutating: parameters)
            return withUnsafePointer(to: configuration) { configuration in
                context.driver.cuLaunchKernelEx(configuration, function.handle, &parameter, nil)
            }
        }
    }

    private func refusal(
        _ status: DriverStatus, _ function: KernelFunction, _ grid: LaunchSize,
        _ block: LaunchSize, _ sharedBytes: Int
    ) -> CUDAError {
        let name = context.driver.name(of: status)
        if CUDAError.endsContext(status) {
            return .contextLost(name: name, call: "the launch of \(function.name)")
        }
        return .launchRefused(
            kernel: function.name,
            shape: "\(grid) blocks of \(block) threads and \(sharedBytes) bytes of shared memory",
            name: name)
    }
}
