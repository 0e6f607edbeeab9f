import CUDADriver
import CUDAStandIn
import Testing

@Suite("A range of addresses that grows")
struct VirtualRangeTests {
    private static let step = 1 << 21

    @Test("It takes memory in steps, zero-filled, where the last ended")
    func grows() throws {
        try StandIn.run { standIn in
            do {
                let context = try standIn.context()
                let stream = try CUDAStream(context)
                var range = try VirtualRange(
                    context, reserving: 16 * Self.step - 5, purpose: "the body")
                let address = range.address
                var mapped = range.mappedBytes
                #expect(mapped == 0)
                #expect(standIn.usedBytes == 0)
                let reserved = range.reservedBytes
                #expect(reserved == 16 * Self.step)

                try range.grow(to: 1, on: stream)
                try range.grow(to: Self.step, on: stream)
                try range.grow(to: 0, on: stream)
                mapped = range.mappedBytes
                #expect(mapped == Self.step)
                try range.grow(to: 3 * Self.step + 1, on: stream)
                mapped = range.mappedBytes
                #expect(mapped == 4 * Self.step)
                #expect(standIn.usedBytes == 4 * Self.step)
                #expect(standIn.fills.map(\.address) == [address, address + UInt64(Self.step)])
                #expect(standIn.fills.map(\.byteCount) == [Self.step, 3 * Self.step])
                // The memory is held by its mapping alone.
                #expect(standIn.live[.physical] == nil)
                #expect(standIn.live[.mapping] == 2)

                var bytes = [UInt8](repeating: 1, count: 100)
                try bytes.withUnsafeMutableBytes {
                    try stream.copy(from: address + UInt64(Self.step) - 50, to: $0)
                }
                #expect(bytes.allSatisfy { $0 == 0 })
            }
            #expect(standIn.live.isEmpty)
            #expect(standIn.usedBytes == 0)
            #expect(standIn.mistakes.isEmpty)
            // Kernels may still use the memory when the range ends.
            let calls = standIn.calls
            #expect(
                calls.lastIndex(of: "cuCtxSynchronize")! < calls.firstIndex(of: "cuMemUnmap")!)
        }
    }

    @Test(
        "A step that fails leaves what was there, and can be tried again",
        arguments: ["cuMemCreate", "cuMemMap", "cuMemSetAccess", "cuMemsetD8Async"])
    func failure(function: String) throws {
        try StandIn.run { standIn in
            do {
                let context = try standIn.context()
                let stream = try CUDAStream(context)
                var range = try VirtualRange(
                    context, reserving: 8 * Self.step, purpose: "the body")
                try range.grow(to: Self.step, on: stream)
                try stream.fill(range.address, byteCount: 16, with: 3)
                standIn.fail(function, with: 2)
                var failed = false
                do { try range.grow(to: 4 * Self.step, on: stream) } catch { failed = true }
                #expect(failed)
                let mapped = range.mappedBytes
                #expect(mapped == Self.step)
                #expect(standIn.usedBytes == Self.step)
                #expect(standIn.live[.physical] == nil)
                #expect(standIn.live[.mapping] == 1)

                try range.grow(to: 4 * Self.step, on: stream)
                var bytes = [UInt8](repeating: 0, count: 16)
                try bytes.withUnsafeMutableBytes { try stream.copy(from: range.address, to: $0) }
                #expect(bytes.allSatisfy { $0 == 3 })
            }
            #expect(standIn.live.isEmpty)
            #expect(standIn.usedBytes == 0)
            #expect(standIn.mistakes.isEmpty)
        }
    }

    @Test("Memory that runs out is named, and the range stays")
    func outOfMemory() throws {
        var machine = StandIn.Machine()
        machine.memoryBytes = 5 * Self.step
        try StandIn.run(machine) { standIn in
            let context = try standIn.context()
            let stream = try CUDAStream(context)
            var range = try VirtualRange(context, reserving: 1 << 30, purpose: "the body")
            try range.grow(to: 3 * Self.step, on: stream)
            var thrown: CUDAError?
            do throws(CUDAError) { try range.grow(to: 6 * Self.step, on: stream) } catch {
                thrown = error
            }
            #expect(
                thrown
                    == .outOfMemory(
                        purpose: "the body", asked: 3 * Self.step, free: 2 * Self.step,
                        total: 5 * Self.step))
            try range.grow(to: 5 * Self.step, on: stream)
            let mapped = range.mappedBytes
            #expect(mapped == 5 * Self.step)
        }
    }

    @Test("More than was reserved is refused")
    func reserved() throws {
        try StandIn.run { standIn in
            let context = try standIn.context()
            let stream = try CUDAStream(context)
            var range = try VirtualRange(
                context, reserving: 2 * Self.step, step: 3 * Self.step, purpose: "the body")
            let granularity = range.granularity
            #expect(granularity == 4 * Self.step || granularity == 3 * Self.step)
            var refused = 0
            for size in [granularity + 1, Int.max] {
                do { try range.grow(to: size, on: stream) } catch { refused += 1 }
            }
            #expect(refused == 2)
            #expect(standIn.usedBytes == 0)
        }
    }
}
