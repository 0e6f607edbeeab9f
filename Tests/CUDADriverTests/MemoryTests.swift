import CUDADriver
import CUDAStandIn
import Testing

@Suite("Memory of the GPU")
struct MemoryTests {
    @Test("What is written comes back, at its place")
    func roundTrip() throws {
        try StandIn.run { standIn in
            let context = try standIn.context()
            let stream = try CUDAStream(context)
            let buffer = try DeviceBuffer(context, byteCount: 64)
            try buffer.fill(0x11, on: stream)
            try buffer.write([1, 2, 3, 4] as [UInt32], at: 16, waitingOn: stream)
            let words = try buffer.read(UInt32.self, count: 6, at: 12, waitingOn: stream)
            #expect(words == [0x1111_1111, 1, 2, 3, 4, 0x1111_1111])

            let other = try DeviceBuffer(context, byteCount: 16)
            try stream.copy(from: buffer.address + 16, to: other.address, byteCount: 16)
            #expect(try other.read(UInt32.self, count: 4, waitingOn: stream) == [1, 2, 3, 4])
            try stream.fill(other.address, wordCount: 3, with: 7)
            #expect(try other.read(UInt32.self, count: 4, waitingOn: stream) == [7, 7, 7, 4])

            let pinned = try PinnedBuffer(context, byteCount: 16)
            try other.read(into: pinned.bytes, on: stream)
            #expect(pinned.bytes.load(fromByteOffset: 12, as: UInt32.self) == 4)
            pinned.bytes.storeBytes(of: 9, toByteOffset: 12, as: UInt32.self)
            try other.write(UnsafeRawBufferPointer(pinned.bytes), on: stream)
            #expect(try other.read(UInt32.self, count: 4, waitingOn: stream) == [7, 7, 7, 9])
            #expect(standIn.mistakes.isEmpty)
        }
    }

    @Test(
        "Bytes that are not in a buffer are refused before the driver is asked",
        arguments: [(-1, 1), (0, 65), (64, 1), (65, 0), (1, Int.max), (Int.max, 1), (0, -1)])
    func bounds(offset: Int, count: Int) throws {
        try StandIn.run { standIn in
            let buffer = try DeviceBuffer(try standIn.context(), byteCount: 64)
            var refused = false
            do { _ = try buffer.address(at: offset, count: count) } catch { refused = true }
            #expect(refused)
        }
    }

    @Test("Too many elements are refused, whatever they are multiplied by")
    func tooMany() throws {
        try StandIn.run { standIn in
            let context = try standIn.context()
            let stream = try CUDAStream(context)
            let buffer = try DeviceBuffer(context, byteCount: 64)
            for count in [9, Int.max, Int.max / 8 + 1, -1] {
                var refused = false
                do { _ = try buffer.read(UInt64.self, count: count, waitingOn: stream) } catch {
                    refused = true
                }
                #expect(refused, "\(count)")
            }
            #expect(standIn.mistakes.isEmpty)
        }
    }

    @Test("Out of memory names what was asked, what is free, and what for")
    func outOfMemory() throws {
        var machine = StandIn.Machine()
        machine.memoryBytes = 1000
        try StandIn.run(machine) { standIn in
            let context = try standIn.context()
            let first = try DeviceBuffer(context, byteCount: 600)
            let expected = CUDAError.outOfMemory(
                purpose: "the keys", asked: 401, free: 400, total: 1000)
            #expect(throws: expected) {
                _ = try DeviceBuffer(context, byteCount: 401, purpose: "the keys")
            }
            #expect(expected.description.contains("the keys: 401 bytes asked, 400 bytes of 1000"))
            #expect(first.byteCount == 600)
            #expect(standIn.usedBytes == 600)
        }
    }

    @Test("Pinned memory that runs out is the machine's")
    func pinnedOutOfMemory() throws {
        try StandIn.run { standIn in
            let context = try standIn.context()
            standIn.fail("cuMemHostAlloc", with: 2)
            var thrown: CUDAError?
            do throws(CUDAError) {
                _ = try PinnedBuffer(context, byteCount: 123, purpose: "results")
            } catch { thrown = error }
            guard case .outOfMemory(let purpose, 123, _, let total) = thrown else {
                Issue.record("\(String(describing: thrown))")
                return
            }
            #expect(purpose == "results, pinned in the machine's memory")
            #expect(total > 0 && total != 1 << 30)
        }
    }

    @Test("A negative size is refused")
    func negative() throws {
        try StandIn.run { standIn in
            let context = try standIn.context()
            #expect(throws: CUDAError.self) { _ = try DeviceBuffer(context, byteCount: -1) }
            #expect(throws: CUDAError.self) { _ = try PinnedBuffer(context, byteCount: -1) }
            #expect(throws: CUDAError.self) {
                _ = try VirtualRange(context, reserving: 0, purpose: "x")
            }
            #expect(throws: CUDAError.self) {
                _ = try VirtualRange(context, reserving: .max, purpose: "x")
            }
        }
    }
}
