/// A range of device addresses, reserved once and backed by memory from its start as far as it has grown. Gives both
/// back when it is released.
package protocol DeviceRange: AnyObject {
    var base: UInt64 { get }
    /// Bytes backed by memory.
    var mappedBytes: Int { get }

    /// Backs at least the first `bytes` bytes, with zeros where there was nothing.
    /// - Throws: ``CUDABackendError/outOfMemory(asked:free:longestContext:)`` with nothing changed.
    func grow(to bytes: Int) throws(CUDABackendError)
}

/// What a device cache asks of the device: memory and copies, in the order of one stream.
package protocol DeviceMemory: AnyObject {
    /// Memory is mapped in multiples of this.
    var granularity: Int { get }

    /// Reserves addresses. Takes no memory yet.
    func reserve(_ bytes: Int) throws(CUDABackendError) -> any DeviceRange

    /// Copies to the device. The source may be changed when this returns.
    func upload(_ source: UnsafeRawBufferPointer, to address: UInt64) throws(CUDABackendError)

    /// Waits for all work before, and copies from the device.
    func download(
        _ address: UInt64, into target: UnsafeMutableRawBufferPointer
    ) throws(CUDABackendError)

    /// Copies from one place of the device to another, without waiting.
    func copy(_ source: UInt64, to target: UInt64, bytes: Int) throws(CUDABackendError)
}

/// Tokens to write into the sink and the ring of one layer of one sequence, as float16.
package struct DeviceAppend {
    package var layer: DeviceLayout.Layer
    /// Addresses of the layer's sink and ring.
    package var sink: UInt64
    package var recent: UInt64
    /// float32 `[count][KV heads][d]`, keys after RoPE.
    package var keys: UInt64
    package var values: UInt64
    /// Position of the first token. Token t is in the sink if t < sink, else in ring slot (t − sink) / 32 mod ringTiles.
    package var position: Int
    package var count: Int
}

/// Tiles to quantize from the ring of one layer of one sequence into its body.
package struct DeviceSeal {
    package var layer: DeviceLayout.Layer
    package var recent: UInt64
    /// Address of tile 0 of the body.
    package var body: UInt64
    package var pageStride: Int
    /// Address of scales, means and error feedback; 0 if keys are not normalized.
    package var normalizer: UInt64
    /// Tile T comes from ring slot T mod ringTiles.
    package var firstTile: Int
    package var count: Int
}

/// The kernels that write a device cache. Work is queued in the order of the stream of ``DeviceMemory``.
package protocol DeviceCacheKernels: AnyObject {
    func append(_ request: DeviceAppend) throws(CUDABackendError)
    func seal(_ request: DeviceSeal) throws(CUDABackendError)
}
