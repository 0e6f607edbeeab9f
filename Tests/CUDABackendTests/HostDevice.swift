import CUDABackend
import CUDAKernels
import Foundation
import KVCache
import Testing

/// A device that is the processor: ranges of its address space, mapped as they grow, and kernels that do with device
/// tiles what the real ones do, by way of the CPU's code. What is not mapped faults.
final class HostDevice: DeviceMemory, DeviceCacheKernels {
    let granularity: Int
    /// Bytes that may be mapped at once.
    let capacity: Int
    fileprivate(set) var mappedBytes = 0
    fileprivate(set) var ranges = 0
    private(set) var appends = 0
    private(set) var seals = 0

    init(granularity: Int = 1 << 16, capacity: Int = 1 << 32) {
        self.granularity = granularity
        self.capacity = capacity
    }

    final class Range: DeviceRange {
        let device: HostDevice
        let base: UInt64
        let reserved: Int
        private(set) var mappedBytes = 0

        init(_ device: HostDevice, _ bytes: Int) {
            self.device = device
            reserved = max(bytes, 1)
            let memory = mmap(
                nil, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)!
            base = UInt64(UInt(bitPattern: memory))
            device.ranges += 1
        }

        deinit {
            munmap(UnsafeMutableRawPointer(bitPattern: UInt(base)), reserved)
            device.mappedBytes -= mappedBytes
            device.ranges -= 1
        }

        func grow(to bytes: Int) throws(CUDABackendError) {
            let step = device.granularity
            let wanted = (bytes + step - 1) / step * step
            guard wanted > mappedBytes else { return }
            precondition(wanted <= reserved, "more than was reserved")
            let more = wanted - mappedBytes
            guard device.mappedBytes + more <= device.capacity else {
                throw .outOfMemory(
                    asked: more, free: device.capacity - device.mappedBytes, longestContext: nil)
            }
            mprotect(
                UnsafeMutableRawPointer(bitPattern: UInt(base)), wanted, PROT_READ | PROT_WRITE)
            device.mappedBytes += more
            mappedBytes = wanted
        }
    }

    func reserve(_ bytes: Int) throws(CUDABackendError) -> any DeviceRange { Range(self, bytes) }

    static func pointer(_ address: UInt64) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(bitPattern: UInt(address))!
    }

    func upload(_ source: UnsafeRawBufferPointer, to address: UInt64) throws(CUDABackendError) {
        Self.pointer(address).copyMemory(from: source.baseAddress!, byteCount: source.count)
    }

    func download(
        _ address: UInt64, into target: UnsafeMutableRawBufferPointer
    ) throws(CUDABackendError) {
        target.copyMemory(from: .init(start: Self.pointer(address), count: target.count))
    }

    func copy(_ source: UInt64, to target: UInt64, bytes: Int) throws(CUDABackendError) {
        Self.pointer(target).copyMemory(from: Self.pointer(source), byteCount: bytes)
    }

    // MARK: - Kernels

    func append(
        _ rows: DeviceRows, layer place: DeviceLayout.Layer, sequences: [iq_append_sequence]
    ) throws(CUDABackendError) {
        for sequence in sequences { append(rows, place, sequence) }
    }

    private func append(
        _ rows: DeviceRows, _ place: DeviceLayout.Layer, _ request: iq_append_sequence
    ) {
        appends += 1
        let (d, heads) = (place.shape.headSize, place.shape.kvHeads)
        let sink = Int(request.body_position)
        let keys = DeviceTilePlaces(.keys, headSize: d, format: .float16)
        let values = DeviceTilePlaces(.values, headSize: d, format: .float16)
        func half(_ value: Float) -> UInt16 {
            value == value ? Float16(min(max(value, -65504), 65504)).bitPattern : 0
        }
        for i in 0..<Int(request.count) {
            let t = Int(request.position) + i
            let row = Int(request.first_row) + i
            let query = rows.queries + UInt64(4 * row * rows.queryStride)
            if request.statistics != 0, t < request.statistics_end {
                let bytes = 4 * place.shape.queryHeads * d
                Self.pointer(request.statistics &+ UInt64(t * bytes)).copyMemory(
                    from: Self.pointer(query), byteCount: bytes)
            }
            let slot =
                (Int(request.recent_first) + (t - Int(request.recent_position)) / 32)
                % place.ringTiles
            let tile =
                t < sink
                ? request.sink + UInt64(t / 32 * place.rawStride)
                : request.recent + UInt64(slot * place.rawStride)
            let token = (t < sink ? t : t - sink) % 32
            for head in 0..<heads {
                let k =
                    Self.pointer(rows.keys).assumingMemoryBound(to: Float.self)
                    + row * rows.keyStride + head * d
                let v =
                    Self.pointer(rows.values).assumingMemoryBound(to: Float.self)
                    + row * rows.valueStride + head * d
                let target = Self.pointer(tile + UInt64(2 * head * place.halfTile))
                let keyTile = target.assumingMemoryBound(to: UInt16.self)
                let valueTile = (target + place.halfTile).assumingMemoryBound(to: UInt16.self)
                for c in 0..<d {
                    keyTile[keys.half(token: token, channel: c)] = half(k[c])
                    valueTile[values.half(token: token, channel: c)] = half(v[c])
                }
            }
        }
    }

    func seal(
        layer: DeviceLayout.Layer, pageStride: Int, sequences: [iq_seal_sequence]
    ) throws(CUDABackendError) {
        for sequence in sequences { seal(layer, pageStride, sequence) }
    }

    private func seal(
        _ place: DeviceLayout.Layer, _ pageStride: Int, _ request: iq_seal_sequence
    ) {
        seals += 1
        let d = place.shape.headSize
        let tensors: [(DeviceTileOrder.Tensor, TensorFormat)] = [
            (.keys, place.policy.keys), (.values, place.policy.values),
        ]
        let normalizer = normalizer(place, request)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 128 * d, alignment: 64)
        defer { memory.deallocate() }
        var numbers = [Float](repeating: 0, count: 32 * d)
        for i in 0..<Int(request.tiles) {
            let tile = Int(request.first_tile) + i
            let slot = (Int(request.recent_first) + i) % place.ringTiles
            let raw = request.recent + UInt64(slot * place.rawStride)
            let page = request.body + UInt64(tile / 4 * pageStride)
            LookupSeal(place, request).seal(raw: raw, page: page, tile: tile)
            for head in 0..<place.shape.kvHeads {
                for (tensor, format) in tensors {
                    let isKey = tensor == .keys
                    let source = Self.pointer(
                        raw + UInt64((2 * head + (isKey ? 0 : 1)) * place.halfTile))
                    let target = Self.pointer(
                        page
                            + UInt64(
                                isKey
                                    ? place.keyOffset(head: head, tile: tile)
                                    : place.valueOffset(head: head, tile: tile)))
                    let order = DeviceTileOrder.shared(tensor, headSize: d, format: format)
                    guard format.deviceLookup == IQ_NO_LOOKUP else { continue }
                    guard format.grouped != nil else {
                        target.copyMemory(from: source, byteCount: order.byteCount)
                        continue
                    }
                    DeviceTileOrder.shared(tensor, headSize: d, format: .float16).toHost(
                        source, memory)
                    let halves = memory.assumingMemoryBound(to: UInt16.self)
                    for i in 0..<32 * d { numbers[i] = Float(Float16(bitPattern: halves[i])) }
                    if isKey { normalizer?.apply(head: head, keyTile: &numbers) }
                    if isKey, let feedback = normalizer?.feedback {
                        feedback.encode(head: head, numbers, layout: order.layout, into: memory)
                    } else {
                        order.layout.encode(numbers, into: memory)
                    }
                    order.toDevice(memory, target)
                }
            }
        }
    }

    /// What was uploaded, as the CPU has it.
    private func normalizer(
        _ place: DeviceLayout.Layer, _ request: iq_seal_sequence
    ) -> KeyNormalizer? {
        guard let rule = place.policy.keyNormalization else { return nil }
        let (heads, d) = (place.shape.kvHeads, place.shape.headSize)
        var normalizer = KeyNormalizer(rule, kvHeads: heads, headSize: d)
        let source = Self.pointer(request.normalizer)
        var index = 0
        normalizer.withBytes { target in
            // Scales, means if there are any, error feedback; the device always has means.
            let isFeedback = index == (rule.centred ? 2 : 1)
            let offset = isFeedback ? 8 * heads * d : index * 4 * heads * d
            target.copyMemory(from: .init(start: source + offset, count: target.count))
            index += 1
        }
        normalizer.isFixed = true
        return normalizer
    }
}
