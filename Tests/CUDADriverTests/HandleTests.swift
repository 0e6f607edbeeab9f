import CUDADriver
import CUDAStandIn
import Testing

@Suite("Handles release what they acquired")
struct HandleTests {
    @Test("Each kind, when its time is over")
    func each() throws {
        try StandIn.run { standIn in
            func check(_ kind: StandIn.Kind, _ use: (CUDAContext) throws -> Void) throws {
                do {
                    let context = try standIn.context()
                    try use(context)
                }
                #expect(standIn.live.isEmpty, "\(kind)")
            }
            try check(.stream) { _ = try CUDAStream($0) }
            try check(.event) { _ = try CUDAEvent($0) }
            try check(.memory) { _ = try DeviceBuffer($0, byteCount: 1000) }
            try check(.pinned) { _ = try PinnedBuffer($0, byteCount: 1000) }
            try check(.addresses) { _ = try VirtualRange($0, reserving: 1 << 30, purpose: "x") }
            try check(.executable) {
                let stream = try CUDAStream($0)
                let graph = try CUDAGraph(recording: stream) {}
                #expect(standIn.live[.graph] == nil)
                try graph.launch(on: stream)
            }
            #expect(standIn.mistakes.isEmpty)
            #expect(standIn.usedBytes == 0)
        }
    }

    @Test("A kernel keeps its module, and the module goes with the last kernel")
    func module() throws {
        try StandIn.run { standIn in
            do {
                var kernel: KernelFunction?
                do {
                    let module = try CUDAModule(
                        try standIn.context(), cubin: CubinBuilder().bytes, purpose: "kernels")
                    kernel = try module.function("one")
                }
                #expect(standIn.live[.module] == 1)
                #expect(kernel?.registers == 40)
                #expect(kernel?.localBytes == 0)
                #expect(kernel?.staticSharedBytes == 128)
                kernel = nil
                #expect(standIn.live[.module] == nil)
            }
            #expect(standIn.mistakes.isEmpty)
        }
    }

    @Test("Nothing is left when making a handle fails")
    func failures() throws {
        try StandIn.run { standIn in
            do {
                let context = try standIn.context()
                let stream = try CUDAStream(context)
                func fails(_ function: String, _ body: () throws -> Void) {
                    standIn.fail(function, with: 1)
                    #expect(throws: CUDAError.self, "\(function)") { try body() }
                    #expect(standIn.live == [.context: 1, .stream: 1], "\(function)")
                }
                fails("cuStreamCreateWithPriority") { _ = try CUDAStream(context) }
                fails("cuEventCreate") { _ = try CUDAEvent(context) }
                fails("cuMemAlloc") { _ = try DeviceBuffer(context, byteCount: 8) }
                fails("cuMemHostAlloc") { _ = try PinnedBuffer(context, byteCount: 8) }
                fails("cuModuleLoadData") {
                    _ = try CUDAModule(context, cubin: CubinBuilder().bytes, purpose: "kernels")
                }
                fails("cuStreamBeginCapture") { _ = try CUDAGraph(recording: stream) {} }
                fails("cuStreamEndCapture") { _ = try CUDAGraph(recording: stream) {} }
                // The recording that could not be ended is ended now, by the driver's own account.
                standIn.endCaptures()
                fails("cuGraphInstantiate") { _ = try CUDAGraph(recording: stream) {} }
                fails("cuMemAddressReserve") {
                    _ = try VirtualRange(context, reserving: 1, purpose: "x")
                }
            }
            #expect(standIn.live.isEmpty)
            #expect(standIn.mistakes.isEmpty)
        }
    }

    @Test("A stream whose recording throws can be used and recorded again")
    func recordingThrows() throws {
        try StandIn.run { standIn in
            let stream = try CUDAStream(try standIn.context())
            #expect(throws: CUDAError.invalidArgument("enough")) {
                _ = try CUDAGraph(recording: stream) { () throws(CUDAError) in
                    throw CUDAError.invalidArgument("enough")
                }
            }
            #expect(standIn.live[.graph] == nil)
            let graph = try CUDAGraph(recording: stream) {}
            try graph.launch(on: stream)
            #expect(standIn.calls.last == "cuGraphLaunch")
        }
    }

    @Test("Empty buffers ask the driver for nothing")
    func empty() throws {
        try StandIn.run { standIn in
            do {
                let context = try standIn.context()
                let stream = try CUDAStream(context)
                let buffer = try DeviceBuffer(context, byteCount: 0)
                let pinned = try PinnedBuffer(context, byteCount: 0)
                try buffer.fill(on: stream)
                try buffer.write([UInt8](), waitingOn: stream)
                let read = try buffer.read(UInt8.self, count: 0, waitingOn: stream)
                #expect(read.isEmpty)
                #expect(pinned.byteCount == 0)
                #expect(buffer.address == 0)
            }
            #expect(!standIn.calls.contains("cuMemAlloc"))
            #expect(!standIn.calls.contains("cuMemFree"))
            #expect(standIn.live.isEmpty)
        }
    }

    @Test("A thousand of each leave nothing")
    func thousand() throws {
        try StandIn.run { standIn in
            do {
                let context = try standIn.context()
                for _ in 0..<1000 {
                    let stream = try CUDAStream(context)
                    let buffer = try DeviceBuffer(context, byteCount: 64)
                    let event = try CUDAEvent(context, timing: false)
                    try buffer.fill(on: stream)
                    try event.record(on: stream)
                    try event.synchronize()
                }
            }
            #expect(standIn.live.isEmpty)
            #expect(standIn.usedBytes == 0)
            #expect(standIn.mistakes.isEmpty)
        }
    }

    @Test("The time between events is passed on")
    func time() throws {
        try StandIn.run { standIn in
            let stream = try CUDAStream(try standIn.context())
            var ran = false
            let time = try stream.milliseconds { ran = true }
            #expect(ran)
            #expect(time == 1.5)
            #expect(try stream.isIdle())
            standIn.fail("cuStreamQuery", with: 600)
            #expect(try !stream.isIdle())
            let event = try CUDAEvent(stream.context)
            #expect(try event.hasHappened())
            standIn.fail("cuEventQuery", with: 600)
            #expect(try !event.hasHappened())
        }
    }
}
