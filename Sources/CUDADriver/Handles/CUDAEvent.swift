/// A point in a stream, which has a time once the stream has come there.
package struct CUDAEvent: ~Copyable, @unchecked Sendable {
    package let context: CUDAContext
    package let handle: DriverHandle

    /// - Parameter timing: whether the event has a time; one without is cheaper to wait for.
    package init(_ context: CUDAContext, timing: Bool = true) throws(CUDAError) {
        var handle: DriverHandle = 0
        try context.call("cuEventCreate") {
            $0.cuEventCreate(&handle, timing ? 0 : DriverConstant.eventDisableTiming)
        }
        self.context = context
        self.handle = handle
    }

    deinit { context.release { $0.cuEventDestroy(handle) } }

    /// Puts the event behind the work that the stream has now.
    package func record(on stream: borrowing CUDAStream) throws(CUDAError) {
        let stream = stream.handle
        try context.call("cuEventRecord") { $0.cuEventRecord(handle, stream) }
    }

    /// Waits until it has happened. An event never recorded has.
    package func synchronize() throws(CUDAError) {
        try context.call("cuEventSynchronize") { $0.cuEventSynchronize(handle) }
    }

    /// Whether it has happened.
    package func hasHappened() throws(CUDAError) -> Bool {
        var status = DriverConstant.success
        try context.call("cuEventQuery") {
            status = $0.cuEventQuery(handle)
            return status == DriverConstant.notReady ? DriverConstant.success : status
        }
        return status == DriverConstant.success
    }

    /// Time from `start` to this event, in milliseconds, to about half a microsecond. Both must have happened.
    package func milliseconds(since start: borrowing CUDAEvent) throws(CUDAError) -> Double {
        var time: Float = 0
        let start = start.handle
        try context.call("cuEventElapsedTime") { $0.cuEventElapsedTime(&time, start, handle) }
        return Double(time)
    }
}

extension CUDAStream {
    /// Time that the GPU takes for what `work` puts into the stream, in milliseconds. Waits for its end.
    package func milliseconds(of work: () throws(CUDAError) -> Void) throws(CUDAError) -> Double {
        let start = try CUDAEvent(context)
        let end = try CUDAEvent(context)
        try start.record(on: self)
        try work()
        try end.record(on: self)
        try end.synchronize()
        return try end.milliseconds(since: start)
    }
}
