import CUDABackend
import CUDADriver
import KVCache
import Reports
import Threading

extension AttentionBenchmark {
    /// Times the kernels that write a cache: launches of one graph, each on caches of its own.
    static func writes(
        _ load: Load, repeats: Int, device: CUDACacheDevice, workers: WorkerPool
    ) throws -> WriteRow {
        let (turns, batch) = (24, load.batch)
        let schedule = WindowSchedule(
            load.policy.layer(0, of: 1), slidingWindow: load.shape.slidingWindow)
        // A token short of being due.
        let tokens = schedule.firstSeal + 4 * TileLayout.tokens - 1
        let filled = try FilledCache.make(
            load.shape, policy: load.policy, tokens: tokens, workers: workers)
        let first = try DeviceCache(
            shape: filled.shape, policy: load.policy, mostTokens: tokens + 1, memory: device,
            kernels: device)
        try first.load(filled)
        var caches = [first]
        while caches.count < turns * batch { caches.append(try first.copy()) }

        let shape = load.shape
        let (queryRow, keyRow) = (
            shape.queryHeads * shape.headSize, shape.kvHeads * shape.headSize
        )
        let memory = try DeviceBuffer(
            device.context, byteCount: 4 * batch * (queryRow + 2 * keyRow))
        try memory.fill(0, on: device.stream)
        let keys = memory.address + UInt64(4 * batch * queryRow)
        let rows = DeviceRows(
            queries: memory.address, keys: keys, values: keys + UInt64(4 * batch * keyRow),
            shape: shape)
        let layer = first.layout.layers[0]
        let appends = try (0..<turns).map { turn in
            try (0..<batch).map {
                try caches[turn * batch + $0].appendRequest(layer: 0, firstRow: $0, count: 1)
            }
        }
        let append = try device.record { () throws(CUDABackendError) in
            for requests in appends {
                try device.append(rows, layer: layer, sequences: requests)
            }
        }
        let appendSeconds = try device.seconds(of: append, repeats: repeats)
        // The token that makes a tile due.
        var seals = appends.map { _ in [DeviceSealRequest]() }
        for (index, cache) in caches.enumerated() {
            cache.didAppend(layer: 0, count: 1)
            if let request = try cache.sealRequest(layer: 0) {
                seals[index / batch].append(request)
            }
        }
        let seal = try device.record { () throws(CUDABackendError) in
            for requests in seals {
                try device.seal(
                    layer: layer, pageStride: first.layout.pageStride, sequences: requests)
            }
        }
        let sealSeconds = try device.seconds(of: seal, repeats: repeats)
        func microseconds(_ seconds: [Double]) -> Double {
            (Spread(seconds)?.median ?? 0) * 1e6 / Double(turns)
        }
        return WriteRow(
            cache: load.policy.name, batch: batch, kvHeads: shape.kvHeads,
            headSize: shape.headSize, append: microseconds(appendSeconds),
            seal: microseconds(sealSeconds))
    }
}
