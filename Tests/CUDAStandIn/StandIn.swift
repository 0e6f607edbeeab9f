package import CUDADriver
internal import Synchronization

/// A machine with GPUs that only exist here: a table of driver functions that keep account of what is acquired and released, and
/// note each call and launch. Nothing is computed, but memory is memory: what is copied to the GPU can be copied back, and
/// addresses that nothing is mapped to cannot be touched.
///
/// C functions cannot capture anything, so they find the stand-in of the running test in a task-local value: tests can run
/// side by side. Everything that is made inside `run` must end there.
package final class StandIn: Sendable {
    package struct Machine: Sendable {
        /// As the driver numbers it: 1000 · major + 10 · minor.
        package var driverVersion: Int32 = 13000
        package var devices: Int32 = 1
        package var name = "Stand-in"
        package var attributes: [DeviceAttribute: Int32] = [
            .clockRate: 1_980_000, .multiprocessorCount: 132, .memoryClockRate: 3_201_000,
            .memoryBusWidth: 6144, .l2CacheSize: 60 << 20, .threadsPerMultiprocessor: 2048,
            .computeCapabilityMajor: 9, .computeCapabilityMinor: 0,
            .sharedMemoryPerMultiprocessor: 233_472, .sharedMemoryPerBlockOptIn: 232_448,
            .virtualMemoryManagement: 1,
        ]
        package var functionAttributes: [FunctionAttribute: Int32] = [
            .registers: 40, .localBytes: 0, .sharedBytes: 128, .maximumThreadsPerBlock: 1024,
        ]
        package var memoryBytes = 1 << 30
        package var granularity = 1 << 21
        package var blocksPerMultiprocessor: Int32 = 4

        package init() {}
    }

    package struct Launch: Sendable {
        package let kernel: String
        package let grid: LaunchSize
        package let block: LaunchSize
        package let sharedBytes: Int
        package let stream: DriverHandle
        /// Whether it may begin before the one before it has ended.
        package let overlapsPrevious: Bool
        /// The first bytes of the parameter, as many as ``StandIn/setParameterSize(_:of:)`` says.
        package let parameters: [UInt8]

        /// The parameter as the struct that was passed.
        package func parameters<Value: BitwiseCopyable>(as type: Value.Type) -> Value? {
            guard parameters.count >= MemoryLayout<Value>.size else { return nil }
            return parameters.withUnsafeBytes { $0.loadUnaligned(as: type) }
        }
    }

    /// Things that are acquired and released.
    package enum Kind: String, Sendable, Hashable {
        case context, memory, pinned, addresses, physical, mapping
        case stream, event, graph, executable, module
    }

    let state: Mutex<State>

    struct State: Sendable {
        var machine: Machine
        var calls: [String] = []
        var launches: [Launch] = []
        var parameterSizes: [String: Int] = [:]
        var failures: [String: (after: Int, status: DriverStatus)] = [:]
        var live: [Kind: [UInt64: Int]] = [:]
        var mistakes: [String] = []
        var functions: [DriverHandle: String] = [:]
        var nextHandle: UInt64 = 0x1000
        var usedBytes = 0
        var dynamicShared: [String: Int] = [:]
        var sets: [(DeviceAddress, Int)] = []
        /// Addresses that physical memory with a live handle is mapped to.
        var mapped: [UInt64: DeviceAddress] = [:]
        var capturing: Set<DriverHandle> = []
    }

    init(_ machine: Machine) { state = Mutex(State(machine: machine)) }

    @TaskLocal package static var current: StandIn?

    /// Runs a test with a machine of its own.
    package static func run<Result>(
        _ machine: Machine = Machine(), _ body: (StandIn) throws -> Result
    ) rethrows -> Result {
        let standIn = StandIn(machine)
        return try $current.withValue(standIn) { try body(standIn) }
    }

    /// GPU 0 of the machine.
    package func context() throws(CUDAError) -> CUDAContext {
        try CUDAContext(device: 0, driver: Self.table)
    }

    // MARK: What happened

    /// Names of the driver's functions in the order of their calls, less those that only make a context current.
    package var calls: [String] { state.withLock { $0.calls } }
    package var launches: [Launch] { state.withLock { $0.launches } }
    /// Releases of what was not there, uses of what is gone, and the like.
    package var mistakes: [String] { state.withLock { $0.mistakes } }
    /// Things that have not been released, by kind.
    package var live: [Kind: Int] {
        state.withLock { $0.live.mapValues(\.count).filter { $0.value > 0 } }
    }
    /// Bytes of the GPU that are taken.
    package var usedBytes: Int { state.withLock { $0.usedBytes } }
    /// Ranges that were filled, in order.
    package var fills: [(address: DeviceAddress, byteCount: Int)] {
        state.withLock { $0.sets.map { (address: $0.0, byteCount: $0.1) } }
    }
    /// What a kernel's dynamic shared memory was limited to.
    package func maximumDynamicShared(of kernel: String) -> Int? {
        state.withLock { $0.dynamicShared[kernel] }
    }

    package func forgetCalls() {
        state.withLock {
            $0.calls = []
            $0.launches = []
            $0.sets = []
        }
    }

    // MARK: What shall happen

    /// Lets a function fail once, after it has succeeded `count` times more.
    package func fail(
        _ function: String, with status: DriverStatus, afterSuccesses count: Int = 0
    ) {
        state.withLock { $0.failures[function] = (count, status) }
    }

    /// Says how large a kernel's parameter is; a launch does not.
    package func setParameterSize(_ size: Int, of kernel: String) {
        state.withLock { $0.parameterSizes[kernel] = size }
    }

    /// Ends recordings that the driver was not asked to end, or that it failed to.
    package func endCaptures() { state.withLock { $0.capturing = [] } }

    package func setMemory(_ byteCount: Int) {
        state.withLock { $0.machine.memoryBytes = byteCount }
    }
}
