/// Addresses of the GPU that are reserved at once, and backed by memory as they are needed, so that an array grows without
/// moving.
///
///     address                       address + mappedBytes           address + reservedBytes
///     | memory 0 | memory 1 | ...   | nothing: touching it is an error   |
package struct VirtualRange: ~Copyable, @unchecked Sendable {
    package let context: CUDAContext
    package let address: DeviceAddress
    package let reservedBytes: Int
    /// Bytes from the start that can be used.
    package private(set) var mappedBytes = 0
    /// What memory comes in: 2 MiB or a multiple.
    package let granularity: Int
    private let purpose: String
    /// Bytes of each piece of memory, in order of address; a piece is unmapped as it was mapped.
    private var pieces: [Int] = []

    /// Reserves addresses. That takes no memory.
    ///
    /// - Parameters:
    ///   - byteCount: rounded up to whole steps.
    ///   - step: memory is taken in multiples of this many bytes (rounded up to what the GPU can map).
    ///   - purpose: what it is for, as the text of an error says it.
    package init(
        _ context: CUDAContext, reserving byteCount: Int, step: Int = 1 << 21, purpose: String
    ) throws(CUDAError) {
        var properties = AllocationProperties(device: context.device.ordinal)
        var smallest = 0
        try context.call("cuMemGetAllocationGranularity") {
            $0.cuMemGetAllocationGranularity(
                &smallest, &properties, DriverConstant.granularityRecommended)
        }
        guard smallest > 0, byteCount > 0, step > 0,
            let granularity = Self.roundUp(step, to: smallest),
            let reserved = Self.roundUp(byteCount, to: granularity)
        else { throw .invalidArgument("\(purpose) cannot have \(byteCount) bytes of addresses") }

        var address: DeviceAddress = 0
        try context.allocate("cuMemAddressReserve", byteCount: reserved, purpose: purpose) {
            $0.cuMemAddressReserve(&address, reserved, 0, 0, 0)
        }
        self.context = context
        self.address = address
        self.reservedBytes = reserved
        self.granularity = granularity
        self.purpose = purpose
    }

    deinit {
        // Unlike cuMemFree, unmapping does not wait for kernels that still use the memory.
        if !pieces.isEmpty { context.release { $0.cuCtxSynchronize() } }
        var start = address
        for piece in pieces {
            context.release { $0.cuMemUnmap(start, piece) }
            start += DeviceAddress(piece)
        }
        context.release { $0.cuMemAddressFree(address, reservedBytes) }
    }

    /// Makes at least the first `byteCount` bytes usable; new memory is filled with zeros, in the stream. Does nothing if
    /// they are usable already.
    ///
    /// - Throws: ``CUDAError/outOfMemory(purpose:asked:free:total:)`` and others; then nothing has changed.
    package mutating func grow(
        to byteCount: Int, on stream: borrowing CUDAStream
    ) throws(CUDAError) {
        guard byteCount > mappedBytes else { return }
        guard byteCount <= reservedBytes, let end = Self.roundUp(byteCount, to: granularity) else {
            throw .invalidArgument(
                "\(purpose) has addresses for \(reservedBytes) bytes, and \(byteCount) are asked")
        }
        let piece = end - mappedBytes
        let start = address + DeviceAddress(mappedBytes)
        try map(piece, at: start, on: stream)
        pieces.append(piece)
        mappedBytes = end
    }

    /// Creates memory and puts it at an address, or does nothing.
    private func map(
        _ byteCount: Int, at start: DeviceAddress, on stream: borrowing CUDAStream
    ) throws(CUDAError) {
        var properties = AllocationProperties(device: context.device.ordinal)
        var access = AccessDescription(device: context.device.ordinal)
        var memory: UInt64 = 0
        try context.allocate("cuMemCreate", byteCount: byteCount, purpose: purpose) {
            $0.cuMemCreate(&memory, byteCount, &properties, 0)
        }
        // A mapping keeps its memory, so that the handle can be given back in any case.
        defer { context.release { $0.cuMemRelease(memory) } }
        try context.allocate("cuMemMap", byteCount: byteCount, purpose: purpose) {
            $0.cuMemMap(start, byteCount, 0, memory, 0)
        }
        do throws(CUDAError) {
            try context.allocate("cuMemSetAccess", byteCount: byteCount, purpose: purpose) {
                $0.cuMemSetAccess(start, byteCount, &access, 1)
            }
            try stream.fill(start, byteCount: byteCount, with: 0)
        } catch {
            context.release { $0.cuMemUnmap(start, byteCount) }
            throw error
        }
    }

    private static func roundUp(_ value: Int, to unit: Int) -> Int? {
        let (sum, overflow) = value.addingReportingOverflow(unit - 1)
        return overflow ? nil : sum / unit * unit
    }
}
