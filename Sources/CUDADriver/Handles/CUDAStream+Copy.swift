// Copies are of the stream and return at once. Memory of the CPU that is not pinned is read before a copy to the GPU returns
// (the driver stages it); all other memory must live, and be left alone, until the stream has come so far.
extension CUDAStream {
    /// CPU to GPU.
    package func copy(_ bytes: UnsafeRawBufferPointer, to address: DeviceAddress) throws(CUDAError)
    {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        try context.call("cuMemcpyHtoDAsync") {
            $0.cuMemcpyHtoDAsync(address, base, bytes.count, handle)
        }
    }

    /// GPU to CPU.
    package func copy(
        from address: DeviceAddress, to bytes: UnsafeMutableRawBufferPointer
    ) throws(CUDAError) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        try context.call("cuMemcpyDtoHAsync") {
            $0.cuMemcpyDtoHAsync(base, address, bytes.count, handle)
        }
    }

    /// GPU to GPU. The two may not overlap.
    package func copy(
        from source: DeviceAddress, to target: DeviceAddress, byteCount: Int
    ) throws(CUDAError) {
        guard byteCount > 0 else { return }
        try context.call("cuMemcpyDtoDAsync") {
            $0.cuMemcpyDtoDAsync(target, source, byteCount, handle)
        }
    }

    package func fill(
        _ address: DeviceAddress, byteCount: Int, with byte: UInt8
    ) throws(CUDAError) {
        guard byteCount > 0 else { return }
        try context.call("cuMemsetD8Async") {
            $0.cuMemsetD8Async(address, byte, byteCount, handle)
        }
    }

    /// - Parameter address: a multiple of 4.
    package func fill(
        _ address: DeviceAddress, wordCount: Int, with word: UInt32
    ) throws(CUDAError) {
        guard wordCount > 0 else { return }
        try context.call("cuMemsetD32Async") {
            $0.cuMemsetD32Async(address, word, wordCount, handle)
        }
    }
}
