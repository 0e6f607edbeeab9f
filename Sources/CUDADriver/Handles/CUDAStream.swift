/// Work for the GPU in order. Works beside other streams, the default one included.
package struct CUDAStream: ~Copyable, @unchecked Sendable {
    package let context: CUDAContext
    package let handle: DriverHandle

    /// - Parameter priority: less is more urgent; 0 is usual. The driver clamps it to what the GPU has.
    package init(_ context: CUDAContext, priority: Int32 = 0) throws(CUDAError) {
        var handle: DriverHandle = 0
        try context.call("cuStreamCreateWithPriority") {
            $0.cuStreamCreateWithPriority(&handle, DriverConstant.streamNonBlocking, priority)
        }
        self.context = context
        self.handle = handle
    }

    /// What is still under way goes on to its end; the driver frees the stream then.
    deinit { context.release { $0.cuStreamDestroy(handle) } }

    /// Waits until all work is done.
    package func synchronize() throws(CUDAError) {
        try context.call("cuStreamSynchronize") { $0.cuStreamSynchronize(handle) }
    }

    /// Whether all work is done.
    package func isIdle() throws(CUDAError) -> Bool {
        var status = DriverConstant.success
        try context.call("cuStreamQuery") {
            status = $0.cuStreamQuery(handle)
            return status == DriverConstant.notReady ? DriverConstant.success : status
        }
        return status == DriverConstant.success
    }

    /// Lets later work of this stream begin only after the event has happened.
    package func wait(for event: borrowing CUDAEvent) throws(CUDAError) {
        let event = event.handle
        try context.call("cuStreamWaitEvent") { $0.cuStreamWaitEvent(handle, event, 0) }
    }
}
