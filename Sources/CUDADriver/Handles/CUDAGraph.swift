/// Work of a stream, recorded once to be launched many times with little work for the CPU.
///
/// Parameters of kernels are recorded by value: what changes between launches must be in the GPU's memory.
package struct CUDAGraph: ~Copyable, @unchecked Sendable {
    package let context: CUDAContext
    private let handle: DriverHandle

    /// Records what `work` puts into the stream; it does not run yet.
    ///
    /// `work` may launch, copy and fill (between pinned memory and the GPU), and nothing that waits or allocates.
    package init(
        recording stream: borrowing CUDAStream, _ work: () throws(CUDAError) -> Void
    ) throws(CUDAError) {
        let context = stream.context
        let source = stream.handle
        try context.call("cuStreamBeginCapture") {
            $0.cuStreamBeginCapture(source, DriverConstant.captureThreadLocal)
        }
        var template: DriverHandle = 0
        do throws(CUDAError) {
            try work()
        } catch {
            // The stream must leave the recording in any case.
            context.release { $0.cuStreamEndCapture(source, &template) }
            if template != 0 { context.release { $0.cuGraphDestroy(template) } }
            throw error
        }
        try context.call("cuStreamEndCapture") { $0.cuStreamEndCapture(source, &template) }
        defer { context.release { $0.cuGraphDestroy(template) } }
        var handle: DriverHandle = 0
        try context.call("cuGraphInstantiate") { $0.cuGraphInstantiate(&handle, template, 0) }
        self.context = context
        self.handle = handle
    }

    deinit { context.release { $0.cuGraphExecDestroy(handle) } }

    /// Puts what launching needs onto the GPU, so that the first launch is as quick as others.
    package func upload(on stream: borrowing CUDAStream) throws(CUDAError) {
        let stream = stream.handle
        try context.call("cuGraphUpload") { $0.cuGraphUpload(handle, stream) }
    }

    package func launch(on stream: borrowing CUDAStream) throws(CUDAError) {
        let stream = stream.handle
        try context.call("cuGraphLaunch") { $0.cuGraphLaunch(handle, stream) }
    }
}
