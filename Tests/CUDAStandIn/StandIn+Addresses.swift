internal import CUDADriver
internal import Foundation

extension StandIn {
    /// Addresses are reserved from the system, so that mapped ones can be used, and touching others ends the test.
    static func setAddresses(_ table: inout DriverTable) {
        table.cuMemGetAllocationGranularity = { granularity, properties, _ in
            StandIn.call("cuMemGetAllocationGranularity") {
                granularity.pointee = $0.machine.granularity
                return 0
            }
        }
        table.cuMemAddressReserve = { address, byteCount, _, _, _ in
            StandIn.call("cuMemAddressReserve") {
                guard byteCount > 0, byteCount % $0.machine.granularity == 0 else {
                    return StandIn.invalidValue
                }
                let memory = mmap(
                    nil, byteCount, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                guard let memory, memory != MAP_FAILED else { return StandIn.outOfMemory }
                address.pointee = DeviceAddress(UInt(bitPattern: memory))
                $0.live[.addresses, default: [:]][address.pointee] = byteCount
                return 0
            }
        }
        table.cuMemAddressFree = { address, byteCount in
            StandIn.call("cuMemAddressFree") {
                for start in ($0.live[.mapping] ?? [:]).keys
                where start >= address && start < address + UInt64(byteCount) {
                    $0.mistakes.append("addresses given back while memory is mapped to them")
                }
                guard $0.release(.addresses, address) == byteCount else {
                    return StandIn.invalidValue
                }
                munmap(UnsafeMutableRawPointer(bitPattern: UInt(address)), byteCount)
                return 0
            }
        }
        table.cuMemCreate = { handle, byteCount, properties, _ in
            StandIn.call("cuMemCreate") {
                let properties = properties.load(as: AllocationProperties.self)
                guard byteCount > 0, byteCount % $0.machine.granularity == 0,
                    properties.type == 1, properties.locationType == 1
                else { return StandIn.invalidValue }
                guard $0.take(byteCount) else { return StandIn.outOfMemory }
                handle.pointee = UInt64($0.acquire(.physical, byteCount: byteCount))
                return 0
            }
        }
        table.cuMemRelease = { handle in
            StandIn.call("cuMemRelease") {
                guard let byteCount = $0.release(.physical, handle) else {
                    return StandIn.invalidValue
                }
                // What is mapped stays until it is unmapped.
                if $0.mapped.removeValue(forKey: handle) == nil { $0.usedBytes -= byteCount }
                return 0
            }
        }
        table.cuMemMap = { address, byteCount, _, handle, _ in
            StandIn.call("cuMemMap") {
                guard $0.live[.physical]?[handle] == byteCount else { return StandIn.invalidValue }
                $0.mapped[handle] = address
                $0.live[.mapping, default: [:]][address] = byteCount
                return 0
            }
        }
        table.cuMemSetAccess = { address, byteCount, access, count in
            StandIn.call("cuMemSetAccess") {
                let access = access.load(as: AccessDescription.self)
                guard $0.live[.mapping]?[address] == byteCount, count == 1, access.access == 3
                else {
                    return StandIn.invalidValue
                }
                let memory = UnsafeMutableRawPointer(bitPattern: UInt(address))
                // Not zero at first, as memory of a GPU need not be.
                mprotect(memory, byteCount, PROT_READ | PROT_WRITE)
                memset(memory!, 0xa5, byteCount)
                return 0
            }
        }
        table.cuMemUnmap = { address, byteCount in
            StandIn.call("cuMemUnmap") {
                guard $0.live[.mapping]?[address] == byteCount,
                    $0.release(.mapping, address) != nil
                else {
                    $0.mistakes.append("unmapping what was not mapped so")
                    return StandIn.invalidValue
                }
                if let handle = $0.mapped.first(where: { $0.value == address })?.key {
                    // Still held by its handle, which gives the bytes back.
                    $0.mapped[handle] = nil
                } else {
                    $0.usedBytes -= byteCount
                }
                mprotect(UnsafeMutableRawPointer(bitPattern: UInt(address)), byteCount, PROT_NONE)
                return 0
            }
        }
    }
}
