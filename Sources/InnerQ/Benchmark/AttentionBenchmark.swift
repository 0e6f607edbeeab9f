package import KVCache
import Reports

/// Decode attention of one layer, measured alone: one token of each sequence over a cache of some length.
package enum AttentionBenchmark {
    /// What is attended.
    package struct Load: Sendable, Hashable {
        package var policy: CachePolicy
        package var shape: LayerShape
        /// Tokens of each sequence.
        package var tokens: Int
        /// Sequences.
        package var batch: Int

        package init(policy: CachePolicy, shape: LayerShape, tokens: Int, batch: Int) {
            self.policy = policy
            self.shape = shape
            self.tokens = tokens
            self.batch = batch
        }

        /// Bytes that attention must move: every tile that the query sees once, whole, queries and results.
        package var bytes: Int {
            let layer = policy.layer(0, of: 1)
            let schedule = WindowSchedule(layer, slidingWindow: shape.slidingWindow)
            let d = shape.headSize
            let tile =
                TileLayout.keys(headSize: d, format: layer.keys).byteCount
                + TileLayout.values(headSize: d, format: layer.values).byteCount
            let raw = 4 * TileLayout.tokens * d
            let body = schedule.sealedTiles(at: tokens) - schedule.droppedTiles(at: tokens)
            let windows =
                schedule.sinkPages(at: tokens) - schedule.droppedSinkPages(at: tokens)
                + schedule.recentPages(at: tokens)
            return batch
                * (shape.kvHeads * (body * tile + windows * raw) + 8 * shape.queryHeads * d)
        }
    }

    package struct Row: Encodable, Sendable {
        package var cache: String
        package var tokens: Int
        package var batch: Int
        package var heads: Int
        package var kvHeads: Int
        package var headSize: Int
        /// Of one step: all sequences of the batch. Median, least and most of the repeats.
        package var microseconds: Double
        package var fastest: Double
        package var slowest: Double
        /// On the GPU: median where each launch overlaps the end of the one before, as in a model's decoding; `nil` where
        /// launches of this size cannot.
        package var overlapped: Double?
        package var bytes: Int
        package var gigabytesPerSecond: Double
        /// Of the bandwidth that the probe read with in the same run.
        package var shareOfProbe: Double
        /// Of float16's time, if it was measured in the same run.
        package var speedUp: Double?
        /// Different caches that took turns, so that none is found in a processor's cache.
        package var copies: Int

        package init(_ load: Load, seconds: [Double], probe: Double, copies: Int) {
            let sorted = seconds.sorted()
            let median = Spread(seconds)?.median ?? .nan
            cache = load.policy.name
            tokens = load.tokens
            batch = load.batch
            heads = load.shape.queryHeads
            kvHeads = load.shape.kvHeads
            headSize = load.shape.headSize
            microseconds = median * 1e6
            fastest = (sorted.first ?? .nan) * 1e6
            slowest = (sorted.last ?? .nan) * 1e6
            bytes = load.bytes
            gigabytesPerSecond = Double(load.bytes) / median / 1e9
            shareOfProbe = gigabytesPerSecond / probe
            self.copies = copies
        }
    }

    /// Appending one token to each sequence of a batch, and sealing one tile of each.
    package struct WriteRow: Encodable, Sendable {
        package var cache: String
        package var batch: Int
        package var kvHeads: Int
        package var headSize: Int
        /// Microseconds of a launch; medians.
        package var append: Double
        package var seal: Double
        /// Of one token, on average.
        package var perToken: Double { append + seal / Double(TileLayout.tokens) }
    }

    package struct Report: Encodable, Sendable {
        package var device: String
        /// GB/s of plain reads, in the same run.
        package var probe: Double
        package var rows: [Row] = []
        /// Writing the cache, on the GPU.
        package var writes: [WriteRow] = []

        /// Fills in speed-ups over the rows of `float16`.
        package mutating func compare() {
            for index in rows.indices {
                let row = rows[index]
                rows[index].speedUp = rows.first {
                    $0.cache == CachePolicy.float16.name && $0.tokens == row.tokens
                        && $0.batch == row.batch && $0.heads == row.heads
                        && $0.kvHeads == row.kvHeads && $0.headSize == row.headSize
                }.map { $0.microseconds / row.microseconds }
            }
        }
    }
}
