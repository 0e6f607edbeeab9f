package import CUDADriver
internal import Dispatch
internal import Synchronization

/// The kernels of one GPU: each is compiled (or read from the disk) and loaded when it is first asked for, and stays.
package final class KernelCache: Sendable {
    package let context: CUDAContext
    private let compiler: KernelCompiler
    private let loaded = Mutex<Loaded>(Loaded())

    private struct Loaded {
        var modules: [KernelVariant.Unit: CUDAModule] = [:]
        var functions: [KernelVariant: KernelFunction] = [:]
    }

    /// Finds NVRTC, and keeps compiled kernels in the user's cache folder.
    package convenience init(_ context: CUDAContext) throws(CUDAError) {
        self.init(
            context, compiler: try RuntimeCompiler(driver: context.device.driverVersion),
            folder: .default())
    }

    package init(_ context: CUDAContext, compiler: RuntimeCompiler, folder: KernelFolder?) {
        self.context = context
        self.compiler = KernelCompiler(
            compiler, architecture: context.device.capability.architecture,
            driver: context.device.driverVersion, folder: folder)
    }

    /// A kernel, ready to be launched. Takes a second where it must be compiled, and a look into a table later: callers
    /// on hot paths keep it.
    package func function(_ variant: KernelVariant) throws(CUDAError) -> KernelFunction {
        if let function = loaded.withLock({ $0.functions[variant] }) { return function }
        let function = try module(variant.unit).function(variant.entry)
        return loaded.withLock { loaded in
            // Two threads may have come here at a time; the first one's counts, so that attributes are set on one.
            if let first = loaded.functions[variant] { return first }
            loaded.functions[variant] = function
            return function
        }
    }

    /// Loads several kernels, compiling them on all processors.
    package func prepare(_ variants: [KernelVariant]) throws(CUDAError) {
        let units = Array(Set(variants.map(\.unit)))
        let failure = Mutex<CUDAError?>(nil)
        DispatchQueue.concurrentPerform(iterations: units.count) { index in
            guard failure.withLock({ $0 == nil }) else { return }
            do throws(CUDAError) {
                _ = try module(units[index])
            } catch {
                failure.withLock { $0 = $0 ?? error }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
        for variant in variants { _ = try function(variant) }
    }

    /// Compiling is not under the lock: others go on with what is there.
    private func module(_ unit: KernelVariant.Unit) throws(CUDAError) -> CUDAModule {
        if let module = loaded.withLock({ $0.modules[unit] }) { return module }
        let module = try CUDAModule(
            context, cubin: try compiler.cubin(unit), purpose: unit.description)
        return loaded.withLock { loaded in
            if let first = loaded.modules[unit] { return first }
            loaded.modules[unit] = module
            return module
        }
    }
}
