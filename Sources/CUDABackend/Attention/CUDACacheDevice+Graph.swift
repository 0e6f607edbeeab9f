package import CUDADriver

extension CUDACacheDevice {
    /// Records what `work` puts into the stream, to be launched again and again.
    package func record(
        _ work: () throws(CUDABackendError) -> Void
    ) throws(CUDABackendError) -> CUDAGraph {
        var failure: CUDABackendError?
        do throws(CUDAError) {
            return try CUDAGraph(recording: stream) { () throws(CUDAError) in
                do throws(CUDABackendError) { try work() } catch {
                    failure = error
                    throw .invalidArgument("\(error)")
                }
            }
        } catch { throw failure ?? CUDABackendError(error) }
    }
}
