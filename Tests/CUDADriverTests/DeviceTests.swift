import CUDADriver
import Testing

/// GPU 0 of this machine, if there is one that can be used.
private let device = (try? CUDADevice.all())?.first

@Suite("On a real GPU", .enabled(if: device != nil, "this machine has no GPU that can be used"))
struct DeviceTests {
    private let context: CUDAContext

    init() throws { context = try CUDAContext() }

    @Test("Copies and fills arrive")
    func copies() throws {
        let stream = try CUDAStream(context)
        let buffer = try DeviceBuffer(context, byteCount: 1 << 20)
        try buffer.fill(0x22, on: stream)
        try buffer.write([1, 2, 3] as [UInt32], at: 4, waitingOn: stream)
        let words = try buffer.read(UInt32.self, count: 5, waitingOn: stream)
        #expect(words == [0x2222_2222, 1, 2, 3, 0x2222_2222])
    }

    @Test("A range grows in place, zero-filled, and gives all back")
    func grows() throws {
        let before = try context.memory().free
        do {
            let stream = try CUDAStream(context)
            var range = try VirtualRange(context, reserving: 1 << 36, purpose: "a range")
            try range.grow(to: 1, on: stream)
            try stream.fill(range.address, byteCount: 1 << 20, with: 5)
            try range.grow(to: 100 << 20, on: stream)
            var bytes = [UInt8](repeating: 1, count: 100 << 20)
            try bytes.withUnsafeMutableBytes { try stream.copy(from: range.address, to: $0) }
            try stream.synchronize()
            #expect(bytes[..<(1 << 20)].allSatisfy { $0 == 5 })
            #expect(bytes[(1 << 20)...].allSatisfy { $0 == 0 })
        }
        #expect(try context.memory().free >= before - (16 << 20))
    }

    @Test("More than there is: the error names it, and the range stays usable")
    func outOfMemory() throws {
        let stream = try CUDAStream(context)
        var range = try VirtualRange(context, reserving: 1 << 42, purpose: "a range")
        try range.grow(to: 1 << 21, on: stream)
        var thrown: CUDAError?
        do throws(CUDAError) { try range.grow(to: 1 << 41, on: stream) } catch { thrown = error }
        guard case .outOfMemory("a range", let asked, _, _) = thrown else {
            Issue.record("\(String(describing: thrown))")
            return
        }
        #expect(asked == (1 << 41) - (1 << 21))
        try stream.fill(range.address, byteCount: 1 << 21, with: 1)
        try stream.synchronize()
    }

    @Test(
        "A kernel compiled here runs, with a parameter of more than 4096 bytes, alone and in a graph"
    )
    func runs() throws {
        struct Parameters: BitwiseCopyable {
            var target: UInt64
            var numbers = InlineArray<1500, Int32>(repeating: 0)
        }
        let source = """
            struct parameters { unsigned long long target; int numbers[1500]; };
            extern "C" __global__ void add(const __grid_constant__ parameters p) {
                int i = blockIdx.x * blockDim.x + threadIdx.x;
                if (i < 1500) atomicAdd((int *)p.target + i, p.numbers[i]);
            }
            """
        let compiler = try RuntimeCompiler(driver: context.device.driverVersion)
        let output = try compiler.compile(
            source, name: "add.cu",
            options: ["--gpu-architecture=\(context.device.capability.architecture)"])
        let kernel = try CUDAModule(context, cubin: output.cubin, purpose: "add").function("add")
        #expect(try Cubin(output.cubin).kernels.first?.registers == kernel.registers)

        let stream = try CUDAStream(context)
        let buffer = try DeviceBuffer(context, byteCount: 6000)
        try buffer.fill(on: stream)
        var parameters = Parameters(target: buffer.address)
        for index in 0..<1500 { parameters.numbers[index] = Int32(index) }
        try stream.launch(kernel, grid: 6, block: 256, parameters: parameters)
        let graph = try CUDAGraph(recording: stream) { () throws(CUDAError) in
            try stream.launch(
                kernel, grid: 6, block: 256, overlapsPrevious: true, parameters: parameters)
        }
        let time = try stream.milliseconds { () throws(CUDAError) in
            try graph.launch(on: stream)
            try graph.launch(on: stream)
        }
        #expect(time > 0)
        let sums = try buffer.read(Int32.self, count: 1500, waitingOn: stream)
        #expect(sums == (0..<1500).map { 3 * Int32($0) })
    }
}
