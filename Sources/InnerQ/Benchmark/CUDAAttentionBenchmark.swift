import CUDABackend
import CUDADriver
import KVCache
import Reports
import Threading

extension AttentionBenchmark {
    /// Measures on the GPU: launches of one CUDA graph, each over other caches.
    ///
    /// - Throws: ``CUDAError`` where there is no GPU, ``CUDABackendError`` for what its kernels cannot do.
    package static func cuda(
        _ loads: [Load], repeats: Int, progress: (String) -> Void,
        isCancelled: () -> Bool = { false }
    ) throws -> Report {
        for load in loads {
            let shape = CacheShape(layers: [load.shape]).withRotary(for: load.policy)
            try load.policy.validate(for: shape)
            try DeviceCapability.check(policy: load.policy, shape: shape)
        }
        let context = try CUDAContext()
        let device = try CUDACacheDevice(context, kernels: try KernelCache(context))
        let workers = WorkerPool(threads: WorkerPool.recommendedThreads)
        progress("read bandwidth")
        var report = Report(
            device: "\(context.device.name), \(context.device.multiprocessors) multiprocessors",
            probe: try ReadProbe.measure(device))
        for load in loads {
            guard !isCancelled() else { break }
            progress("\(load.policy.name), \(load.batch) × \(load.tokens) tokens")
            report.rows.append(
                try measure(
                    load, repeats: repeats, device: device, workers: workers, probe: report.probe))
        }
        report.compare()
        var seen: Set<Load> = []
        for load in loads {
            var key = load
            key.tokens = 0
            guard !isCancelled(), seen.insert(key).inserted else { continue }
            progress("\(load.policy.name), append and seal")
            report.writes.append(
                try writes(load, repeats: repeats, device: device, workers: workers))
        }
        return report
    }

    /// Bytes that launches in turn must read before one reads the same again: many times the second-level cache.
    private static let rotatedBytes = 640 << 20

    private static func measure(
        _ load: Load, repeats: Int, device: CUDACacheDevice, workers: WorkerPool, probe: Double
    ) throws -> Row {
        let turns = min(192, max(1, (rotatedBytes + load.bytes - 1) / max(load.bytes, 1)))
        let filled = try FilledCache.make(
            load.shape, policy: load.policy, tokens: load.tokens, workers: workers)
        let first = try DeviceCache(
            shape: filled.shape, policy: load.policy, mostTokens: max(load.tokens, 1),
            memory: device, kernels: device)
        try first.load(filled)
        var caches = [first]
        while caches.count < turns * load.batch { caches.append(try first.copy()) }

        let layer = first.layout.layers[0]
        let attention = try DecodeAttention(
            layer, pageStride: first.layout.pageStride, mostSequences: load.batch,
            kernels: device.kernels)
        let size = load.shape.queryHeads * load.shape.headSize
        var numbers = SplitMix64(seed: 3)
        let queries = try DeviceBuffer(device.context, byteCount: 4 * load.batch * size)
        try queries.write(
            (0..<load.batch * size).map { _ in numbers.normal() }, waitingOn: device.stream)
        let output = try DeviceBuffer(device.context, byteCount: 4 * load.batch * size)
        let plan = try attention.plan(
            Array(caches[0..<load.batch]), layer: 0, on: device.stream)
        let (from, to) = (queries.address, output.address)
        // At least 24 launches, and each cache as often as the others.
        let launches = turns * max(1, (24 + turns - 1) / turns)
        func time(overlapping: Bool) throws -> [Double] {
            let graph = try device.record { () throws(CUDABackendError) in
                for launch in 0..<launches {
                    let turn = launch % turns
                    try attention.launch(
                        queries: from, output: to,
                        caches: Array(caches[turn * load.batch..<(turn + 1) * load.batch]),
                        layer: 0, plan: plan, overlapsPrevious: overlapping && launch > 0,
                        on: device.stream)
                }
            }
            return try device.seconds(of: graph, repeats: repeats).map { $0 / Double(launches) }
        }
        let seconds = try time(overlapping: false)
        let overlapped = plan.canOverlap ? try time(overlapping: true) : nil
        guard try !attention.gaveUp(on: device.stream) else {
            throw CUDABackendError.device(
                .invalidArgument("a block of the attention kernel waited in vain for another"))
        }
        var row = Row(load, seconds: seconds, probe: probe, copies: turns)
        row.overlapped = overlapped.map { (Spread($0)?.median ?? 0) * 1e6 }
        return row
    }
}

extension CUDACacheDevice {
    /// Seconds of each launch of a graph, after a tenth of a second of launches that bring clocks up.
    func seconds(of graph: borrowing CUDAGraph, repeats: Int) throws -> [Double] {
        try graph.upload(on: stream)
        let clock = ContinuousClock()
        let start = clock.now
        repeat {
            try graph.launch(on: stream)
            try stream.synchronize()
        } while clock.now - start < .milliseconds(120)
        var seconds: [Double] = []
        for _ in 0..<repeats {
            let begin = try CUDAEvent(context)
            let end = try CUDAEvent(context)
            try begin.record(on: stream)
            try graph.launch(on: stream)
            try end.record(on: stream)
            try end.synchronize()
            seconds.append(try end.milliseconds(since: begin) / 1000)
        }
        return seconds
    }
}
