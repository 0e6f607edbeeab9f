internal import CUDADriver
internal import Synchronization

extension StandIn {
    static let outOfMemory: DriverStatus = 2
    static let invalidValue: DriverStatus = 1

    /// Notes a call of the driver, and does it unless it shall fail. Outside of `run`, nothing is there.
    static func call(
        _ name: String, _ body: (inout State) -> DriverStatus = { _ in 0 }
    ) -> DriverStatus {
        guard let current else { return 3 }  // CUDA_ERROR_NOT_INITIALIZED
        return current.state.withLock { state in
            if name != "cuCtxSetCurrent" { state.calls.append(name) }
            if let failure = state.failures[name] {
                if failure.after == 0 {
                    state.failures[name] = nil
                    return failure.status
                }
                state.failures[name] = (failure.after - 1, failure.status)
            }
            return body(&state)
        }
    }
}

extension StandIn.State {
    mutating func acquire(_ kind: StandIn.Kind, byteCount: Int = 0) -> DriverHandle {
        nextHandle += 0x10
        live[kind, default: [:]][nextHandle] = byteCount
        return DriverHandle(nextHandle)
    }

    mutating func take(_ byteCount: Int) -> Bool {
        guard byteCount <= machine.memoryBytes - usedBytes else { return false }
        usedBytes += byteCount
        return true
    }

    /// Bytes of the thing that is released; `nil`, and a mistake, if it is not there.
    mutating func release(_ kind: StandIn.Kind, _ handle: UInt64) -> Int? {
        if let byteCount = live[kind]?.removeValue(forKey: handle) { return byteCount }
        mistakes.append("release of a \(kind.rawValue) that is not there")
        return nil
    }

    mutating func use(_ kind: StandIn.Kind, _ handle: DriverHandle) -> DriverStatus {
        if live[kind]?[UInt64(handle)] != nil { return 0 }
        mistakes.append("use of a \(kind.rawValue) that is not there")
        return 400  // CUDA_ERROR_INVALID_HANDLE
    }

    /// Whether bytes of the GPU are there to be read and written.
    mutating func touch(_ address: DeviceAddress, _ byteCount: Int) -> DriverStatus {
        let end = address + DeviceAddress(byteCount)
        for kind in [StandIn.Kind.memory, .pinned] {
            for (start, size) in live[kind] ?? [:]
            where start <= address && end <= start + UInt64(size) { return 0 }
        }
        // Mappings side by side are one.
        var reached = address
        for (start, size) in (live[.mapping] ?? [:]).sorted(by: { $0.key < $1.key })
        where start <= reached && reached < start + UInt64(size) {
            reached = start + UInt64(size)
            if reached >= end { return 0 }
        }
        mistakes.append("\(byteCount) bytes at \(address) are not there")
        return StandIn.invalidValue
    }
}
