/// Memory of the GPU. What is in it at first is not defined.
package struct DeviceBuffer: ~Copyable, @unchecked Sendable {
    package let context: CUDAContext
    /// A multiple of 256; 0 for an empty buffer.
    package let address: DeviceAddress
    package let byteCount: Int

    /// - Parameter purpose: what it is for, as the text of an error says it: “no memory for *purpose*”.
    /// - Throws: ``CUDAError/outOfMemory(purpose:asked:free:total:)``.
    package init(
        _ context: CUDAContext, byteCount: Int, purpose: String = "a buffer"
    ) throws(CUDAError) {
        guard byteCount >= 0 else {
            throw .invalidArgument("\(purpose) cannot have \(byteCount) bytes")
        }
        var address: DeviceAddress = 0
        // The driver refuses to give nothing.
        if byteCount > 0 {
            try context.allocate("cuMemAlloc", byteCount: byteCount, purpose: purpose) {
                $0.cuMemAlloc(&address, byteCount)
            }
        }
        self.context = context
        self.address = address
        self.byteCount = byteCount
    }

    /// Waits for the GPU's work, as the driver's `cuMemFree` does.
    deinit {
        if address != 0 { context.release { $0.cuMemFree(address) } }
    }

    /// The address of the byte at `offset`, if `count` bytes are there.
    package func address(at offset: Int, count: Int) throws(CUDAError) -> DeviceAddress {
        guard offset >= 0, count >= 0, offset <= byteCount, count <= byteCount - offset else {
            throw .invalidArgument(
                "bytes \(offset) and \(count) following are not in a buffer of \(byteCount)")
        }
        return address + DeviceAddress(offset)
    }

    // MARK: Copies, in a stream

    /// CPU to GPU; see ``CUDAStream/copy(_:to:)`` for how long `bytes` must live.
    package func write(
        _ bytes: UnsafeRawBufferPointer, at offset: Int = 0, on stream: borrowing CUDAStream
    ) throws(CUDAError) {
        try stream.copy(bytes, to: try address(at: offset, count: bytes.count))
    }

    /// GPU to CPU; `bytes` are there when the stream has come so far.
    package func read(
        into bytes: UnsafeMutableRawBufferPointer, at offset: Int = 0,
        on stream: borrowing CUDAStream
    ) throws(CUDAError) {
        try stream.copy(from: try address(at: offset, count: bytes.count), to: bytes)
    }

    /// Fills the whole buffer.
    package func fill(_ byte: UInt8 = 0, on stream: borrowing CUDAStream) throws(CUDAError) {
        try stream.fill(address, byteCount: byteCount, with: byte)
    }

    // MARK: Copies that wait

    /// CPU to GPU; waits until the elements are there.
    package func write<Element: BitwiseCopyable>(
        _ elements: [Element], at offset: Int = 0, waitingOn stream: borrowing CUDAStream
    ) throws(CUDAError) {
        let context = context
        let target = try address(
            at: offset, count: elements.count * MemoryLayout<Element>.stride)
        let handle = stream.handle
        guard !elements.isEmpty else { return }
        try context.makeCurrent()
        let status = elements.withUnsafeBytes { bytes -> DriverStatus in
            let status = context.driver.cuMemcpyHtoDAsync(
                target, bytes.baseAddress!, bytes.count, handle)
            guard status == DriverConstant.success else { return status }
            return context.driver.cuStreamSynchronize(handle)
        }
        guard status == DriverConstant.success else {
            throw context.driver.error(status, in: "cuMemcpyHtoDAsync")
        }
    }

    /// GPU to CPU: `count` elements, after all work of the stream.
    package func read<Element: BitwiseCopyable>(
        _ type: Element.Type = Element.self, count: Int, at offset: Int = 0,
        waitingOn stream: borrowing CUDAStream
    ) throws(CUDAError) -> [Element] {
        let (byteCount, overflow) = count.multipliedReportingOverflow(
            by: MemoryLayout<Element>.stride)
        guard !overflow else { throw .invalidArgument("\(count) elements are too many") }
        let source = try address(at: offset, count: byteCount)
        guard count > 0 else { return [] }
        let handle = stream.handle
        let context = context
        try context.makeCurrent()
        var status = DriverConstant.success
        let elements = [Element](unsafeUninitializedCapacity: count) { elements, initialized in
            status = context.driver.cuMemcpyDtoHAsync(
                elements.baseAddress!, source, byteCount, handle)
            if status == DriverConstant.success {
                status = context.driver.cuStreamSynchronize(handle)
            }
            initialized = status == DriverConstant.success ? count : 0
        }
        guard status == DriverConstant.success else {
            throw context.driver.error(status, in: "cuMemcpyDtoHAsync")
        }
        return elements
    }
}
