package import CUDADriver
internal import Foundation

extension StandIn {
    /// Driver functions that act on the stand-in of the running test.
    package static let table: DriverTable = {
        // Every entry is overwritten below; the address is never called.
        guard
            var table = try? DriverTable(resolving: { _ in UnsafeMutableRawPointer(bitPattern: 16) }
            )
        else { fatalError("the table takes any address") }
        setMachine(&table)
        setMemory(&table)
        setAddresses(&table)
        setStreams(&table)
        setModules(&table)
        return table
    }()

    private static func setMachine(_ table: inout DriverTable) {
        table.cuInit = { _ in StandIn.call("cuInit") }
        table.cuDriverGetVersion = { version in
            StandIn.call("cuDriverGetVersion") {
                version.pointee = $0.machine.driverVersion
                return 0
            }
        }
        table.cuGetErrorName = { status, name in
            guard let text = StandIn.errorNames[status] else { return StandIn.invalidValue }
            name.pointee = text
            return 0
        }
        table.cuDeviceGetCount = { count in
            StandIn.call("cuDeviceGetCount") {
                count.pointee = $0.machine.devices
                return 0
            }
        }
        table.cuDeviceGet = { device, index in
            StandIn.call("cuDeviceGet") { _ in
                device.pointee = index
                return 0
            }
        }
        table.cuDeviceGetName = { name, size, _ in
            StandIn.call("cuDeviceGetName") {
                let bytes = $0.machine.name.utf8.prefix(Int(size) - 1).map(CChar.init(bitPattern:))
                for (index, byte) in (bytes + [0]).enumerated() { name[index] = byte }
                return 0
            }
        }
        table.cuDeviceGetAttribute = { value, attribute, _ in
            StandIn.call("cuDeviceGetAttribute") {
                let attributes = $0.machine.attributes
                value.pointee = DeviceAttribute(rawValue: attribute).flatMap { attributes[$0] } ?? 0
                return 0
            }
        }
        table.cuDeviceTotalMem = { bytes, _ in
            StandIn.call("cuDeviceTotalMem") {
                bytes.pointee = $0.machine.memoryBytes
                return 0
            }
        }
        table.cuDevicePrimaryCtxRetain = { context, _ in
            StandIn.call("cuDevicePrimaryCtxRetain") {
                context.pointee = 1
                $0.live[.context, default: [:]][1, default: 0] += 1
                return 0
            }
        }
        table.cuDevicePrimaryCtxRelease = { _ in
            StandIn.call("cuDevicePrimaryCtxRelease") {
                guard let count = $0.live[.context]?[1] else {
                    $0.mistakes.append("release of a context that is not there")
                    return StandIn.invalidValue
                }
                $0.live[.context]?[1] = count > 1 ? count - 1 : nil
                return 0
            }
        }
        table.cuCtxSetCurrent = { _ in StandIn.call("cuCtxSetCurrent") }
        table.cuCtxSynchronize = { StandIn.call("cuCtxSynchronize") }
    }

    private static func setMemory(_ table: inout DriverTable) {
        table.cuMemGetInfo = { free, total in
            StandIn.call("cuMemGetInfo") {
                free.pointee = $0.machine.memoryBytes - $0.usedBytes
                total.pointee = $0.machine.memoryBytes
                return 0
            }
        }
        table.cuMemAlloc = { address, byteCount in
            StandIn.call("cuMemAlloc") {
                guard byteCount > 0 else { return StandIn.invalidValue }
                guard $0.take(byteCount) else { return StandIn.outOfMemory }
                let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 256)
                address.pointee = DeviceAddress(UInt(bitPattern: memory))
                $0.live[.memory, default: [:]][address.pointee] = byteCount
                return 0
            }
        }
        table.cuMemFree = { address in
            StandIn.call("cuMemFree") {
                guard let byteCount = $0.release(.memory, address) else {
                    return StandIn.invalidValue
                }
                $0.usedBytes -= byteCount
                UnsafeMutableRawPointer(bitPattern: UInt(address))?.deallocate()
                return 0
            }
        }
        table.cuMemHostAlloc = { pointer, byteCount, _ in
            StandIn.call("cuMemHostAlloc") {
                let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 4096)
                pointer.pointee = memory
                $0.live[.pinned, default: [:]][UInt64(UInt(bitPattern: memory))] = byteCount
                return 0
            }
        }
        table.cuMemFreeHost = { pointer in
            StandIn.call("cuMemFreeHost") {
                guard $0.release(.pinned, UInt64(UInt(bitPattern: pointer))) != nil else {
                    return StandIn.invalidValue
                }
                pointer.deallocate()
                return 0
            }
        }
        table.cuMemcpyHtoDAsync = { address, bytes, byteCount, stream in
            StandIn.call("cuMemcpyHtoDAsync") {
                let status = max($0.use(.stream, stream), $0.touch(address, byteCount))
                guard status == 0 else { return status }
                memcpy(UnsafeMutableRawPointer(bitPattern: UInt(address))!, bytes, byteCount)
                return 0
            }
        }
        table.cuMemcpyDtoHAsync = { bytes, address, byteCount, stream in
            StandIn.call("cuMemcpyDtoHAsync") {
                let status = max($0.use(.stream, stream), $0.touch(address, byteCount))
                guard status == 0 else { return status }
                memcpy(bytes, UnsafeRawPointer(bitPattern: UInt(address))!, byteCount)
                return 0
            }
        }
        table.cuMemcpyDtoDAsync = { target, source, byteCount, stream in
            StandIn.call("cuMemcpyDtoDAsync") {
                let status = max(
                    $0.use(.stream, stream), $0.touch(target, byteCount),
                    $0.touch(source, byteCount))
                guard status == 0 else { return status }
                memmove(
                    UnsafeMutableRawPointer(bitPattern: UInt(target))!,
                    UnsafeRawPointer(bitPattern: UInt(source))!, byteCount)
                return 0
            }
        }
        table.cuMemsetD8Async = { address, byte, byteCount, stream in
            StandIn.call("cuMemsetD8Async") {
                let status = max($0.use(.stream, stream), $0.touch(address, byteCount))
                guard status == 0 else { return status }
                $0.sets.append((address, byteCount))
                memset(UnsafeMutableRawPointer(bitPattern: UInt(address))!, Int32(byte), byteCount)
                return 0
            }
        }
        table.cuMemsetD32Async = { address, word, wordCount, stream in
            StandIn.call("cuMemsetD32Async") {
                let status = max($0.use(.stream, stream), $0.touch(address, wordCount * 4))
                guard status == 0 else { return status }
                $0.sets.append((address, wordCount * 4))
                let words = UnsafeMutablePointer<UInt32>(bitPattern: UInt(address))!
                words.update(repeating: word, count: wordCount)
                return 0
            }
        }
    }
}
