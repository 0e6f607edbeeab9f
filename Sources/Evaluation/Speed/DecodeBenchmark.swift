import Generation
package import KVCache
import ModelFiles
import Reports
import Threading
package import Transformer

/// Measures prefill and decode speed at depths of one cache, with random tokens.
///
/// The cache grows from depth to depth as prompts; each measurement runs on a copy, so that none changes what the
/// next one sees.
package final class DecodeBenchmark {
    package struct Rates: Encodable, Sendable {
        /// Tokens a second of each repeat, in order.
        package var all: [Double]
        package var median: Double { Spread(all)?.median ?? 0 }
        package var slowest: Double { all.min() ?? 0 }
        package var fastest: Double { all.max() ?? 0 }

        private enum CodingKeys: String, CodingKey { case all, median }

        package func encode(to encoder: any Encoder) throws {
            var box = encoder.container(keyedBy: CodingKeys.self)
            try box.encode(all, forKey: .all)
            try box.encode(median, forKey: .median)
        }
    }

    package struct Row: Encodable, Sendable {
        package var cache: String
        package var depth: Int
        package var prefill: Rates?
        package var decode: Rates
        /// The cache at that depth.
        package var cacheBytes: Int
        package var bitsPerElement: Double
        /// What decoding a token reads: weights and cache.
        package var bytesPerToken: Int
    }

    private let model: TransformerModel
    private let tokens: Int
    private let prefill: Int
    private let repeats: Int
    private let isCancelled: @Sendable () -> Bool
    private let workspace: Workspace
    private let filled: SequenceCache
    private var numbers = SplitMix64(seed: 1)
    private let clock = ContinuousClock()

    package init(
        model: TransformerModel, policy: CachePolicy, calibration: CacheCalibration? = nil,
        tokens: Int, prefill: Int, repeats: Int,
        isCancelled: @escaping @Sendable () -> Bool
    ) throws(PolicyError) {
        self.model = model
        self.tokens = tokens
        self.prefill = prefill
        self.repeats = repeats
        self.isCancelled = isCancelled
        workspace = model.makeWorkspace()
        filled = try SequenceCache(
            shape: model.cacheShape, policy: policy,
            calibration: calibration ?? .sample(for: model.cacheShape, policy: policy),
            workers: model.workers)
    }

    private func random(_ count: Int) -> [Int32] {
        (0..<count).map { _ in
            Int32(numbers.next() % UInt64(model.configuration.vocabularySize))
        }
    }

    /// Fills the caches of several benchmarks of one model up to a depth in one pass, in much less time than one by one.
    ///
    /// - Parameter benchmarks: all at the same depth.
    package static func fill(_ benchmarks: [DecodeBenchmark], to depth: Int) throws {
        guard let first = benchmarks.first, depth > first.filled.tokenCount else { return }
        try first.model.run(
            tokens: first.random(depth - first.filled.tokenCount),
            attention: SharedPrompt(benchmarks.map(\.filled)), meaning: .prompt, logits: .none,
            workspace: first.workspace, isCancelled: first.isCancelled)
    }

    /// - Parameter depth: at least that of the call before.
    package func measure(depth: Int, progress: (String) -> Void) throws -> Row {
        try Self.measure([self], depth: depth, progress: progress)[0]
    }

    /// Measures several benchmarks of one model at a depth, in turns, so that what else the machine does in a while meets all
    /// of them.
    ///
    /// - Parameter depth: at least that of the call before.
    package static func measure(
        _ benchmarks: [DecodeBenchmark], depth: Int, progress: (String) -> Void
    ) throws -> [Row] {
        progress("filling up to \(depth)")
        try fill(benchmarks, to: depth)
        var rows = try benchmarks.map { try $0.start(depth: depth) }
        let repeats = benchmarks.map(\.repeats).max() ?? 0
        for number in 0..<repeats {
            progress("depth \(depth), repeat \(number + 1) of \(repeats)")
            for (index, bench) in benchmarks.enumerated() where number < bench.repeats {
                try bench.add(to: &rows[index])
            }
        }
        return rows
    }

    /// A row without rates, after one unmeasured run that warms memory and clocks.
    private func start(depth: Int) throws -> Row {
        try decode(2, filled.copy(workers: model.workers))
        return Row(
            cache: filled.policy.name, depth: depth, prefill: prefill > 0 ? Rates(all: []) : nil,
            decode: Rates(all: []), cacheBytes: filled.allocatedBytes,
            bitsPerElement: filled.byteCount.bitsPerElement,
            bytesPerToken: model.weightBytesPerToken + filled.allocatedBytes)
    }

    /// Adds the rates of one repeat.
    private func add(to row: inout Row) throws {
        if prefill > 0 {
            let cache = try filled.copy(workers: model.workers)
            let prompt = random(prefill)
            let start = clock.now
            try model.forward(
                tokens: prompt, cache: cache, meaning: .prompt, workspace: workspace,
                isCancelled: isCancelled)
            row.prefill?.all.append(Double(prefill) / (clock.now - start).seconds)
        }
        let cache = try filled.copy(workers: model.workers)
        let start = clock.now
        try decode(tokens, cache)
        row.decode.all.append(Double(tokens) / (clock.now - start).seconds)
    }

    private func decode(_ count: Int, _ cache: SequenceCache) throws {
        for token in random(count) {
            try model.forward(
                tokens: [token], cache: cache, meaning: .decode, workspace: workspace,
                isCancelled: isCancelled)
        }
    }
}
