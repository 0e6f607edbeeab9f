package import CUDAKernels
package import KVCache

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

/// What is appended, for one layer: float32 arrays on the device with a row for each new token.
package struct DeviceRows: Sendable {
    /// Addresses of `[row][query heads][d]`, `[row][KV heads][d]` and `[row][KV heads][d]`, before RoPE if `angles` are given.
    package var queries: UInt64
    package var keys: UInt64
    package var values: UInt64
    /// Floats from one row to the next.
    package var queryStride: Int
    package var keyStride: Int
    package var valueStride: Int
    /// Address of `[row][query heads][d]` for queries after RoPE; may be `queries`.
    package var turned: UInt64
    /// Address of `[position]{ cosine [pairs], sine [pairs] }`.
    package var angles: UInt64 = 0
    /// Channels 0 ..< 2 · pairs are turned; 0: none.
    package var pairs = 0
    /// Whether channels 2i and 2i + 1 turn together, instead of i and i + pairs.
    package var isInterleaved = false
    /// Addresses of float16 `[row][KV heads][d]`, for keys and values as they are stored; 0: not wanted.
    package var denseKeys: UInt64 = 0
    package var denseValues: UInt64 = 0

    /// Rows without gaps that have been turned already.
    package init(queries: UInt64, keys: UInt64, values: UInt64, shape: LayerShape) {
        self.queries = queries
        self.keys = keys
        self.values = values
        turned = queries
        queryStride = shape.queryHeads * shape.headSize
        keyStride = shape.kvHeads * shape.headSize
        valueStride = keyStride
    }
}

/// The kernels that write a device cache, for one layer of up to `IQ_MOST_SEQUENCES` sequences at once. Work is queued in
/// the order of the stream of ``DeviceMemory``.
package protocol DeviceCacheKernels: AnyObject {
    /// Turns queries and keys and writes keys and values into sinks and rings; see iq_device_append.h.
    func append(
        _ rows: DeviceRows, layer: DeviceLayout.Layer, sequences: [iq_append_sequence]
    ) throws(CUDABackendError)

    /// Quantizes the oldest recent tiles into the body.
    func seal(
        layer: DeviceLayout.Layer, pageStride: Int, sequences: [iq_seal_sequence]
    ) throws(CUDABackendError)
}
