import CUDADriver
import Testing

@Suite("Reading compiled kernels")
struct CubinTests {
    @Test("Registers, stack, shared memory and code of a kernel")
    func reads() throws {
        let kernel = try #require(try Cubin(CubinBuilder(stackBytes: 48).bytes).kernels.first)
        #expect(kernel.name == "one")
        #expect(kernel.registers == 40)
        #expect(kernel.stackBytes == 48)
        #expect(kernel.staticSharedBytes == 256)
        #expect(kernel.codeBytes == 128)
        let hopper = try Cubin(CubinBuilder(reserved: true).bytes).kernels
        #expect(hopper.map(\.staticSharedBytes) == [256])
    }

    @Test("A cut file is refused, wherever it is cut")
    func cut() {
        let bytes = CubinBuilder().bytes
        for count in 0..<bytes.count {
            #expect(throws: CUDAError.self, "\(count)") { _ = try Cubin(Array(bytes[..<count])) }
        }
    }

    @Test("No byte whatever makes it crash")
    func damaged() {
        let bytes = CubinBuilder().bytes
        for index in bytes.indices {
            for value in [0, 1, 0x7f, 0x80, 0xff] as [UInt8] {
                var damaged = bytes
                damaged[index] = value
                _ = try? Cubin(damaged)
            }
        }
    }
}
