import CPUKernels
package import Threading

/// Which keys and values the queries of one call see.
public enum AttentionMeaning: Sendable, Hashable {
    /// The tokens of this call see each other as float16, however many they are, and what was sealed before it as
    /// sealed: a prompt, as the papers run it.
    case prompt
    /// Each token sees what it would see if it had been decoded alone: float16 inside its own windows, sealed tiles
    /// elsewhere. The same results as token by token, at prefill speed.
    case decode
}

/// CPU attention over one layer's cache.
///
/// Work is cut into units of (KV head, block of queries, run of tiles); each unit gives a ``Partial``. The cut depends
/// only on lengths, not on the number of threads, so that results do not either.
package final class LayerAttention {
    /// Most tiles of one unit when few queries are asked.
    static let tilesPerUnit = 32
    /// Tiles whose scores are held at once.
    static let tilesPerStep = 8
    /// Tiles ahead of the one that is multiplied for which memory is asked.
    static let tilesAhead = 4
    /// Softmax weights, relative to the largest seen, of which 8 bits are enough: the largest of a tile. An error of its
    /// 254th part is then an error of the 16,256th part of all weights.
    static let coarseWeight: Float = 1.0 / 1024
    /// Queries of a block, of one head.
    static let queryBlock = 32
    /// Up to this many rows a packed tile is multiplied as it is; above, it is decoded once for all rows.
    static let directRows = 8

    private let kernels: UnsafePointer<iq_attention_kernels>
    private let workers: WorkerPool
    /// Of products with codes.
    package var arithmetic = ProductArithmetic.integer
    private var memory: UnsafeMutablePointer<Float>
    private var memoryCount = 0

    package init(workers: WorkerPool, kernels: AttentionKernels = .best) {
        self.workers = workers
        self.kernels = kernels.table
        memory = .allocate(capacity: 1)
    }

    deinit { memory.deallocate() }

    private func reserve(_ count: Int) {
        guard count > memoryCount else { return }
        memory.deallocate()
        memory = .allocate(capacity: count)
        memoryCount = count
    }

    /// Appends `count` tokens to the layer and writes their attention.
    ///
    /// - Parameters:
    ///   - queries: `[count][query heads][head size]`, after RoPE, not scaled.
    ///   - keys: `[count][KV heads][head size]`, after RoPE.
    ///   - values: `[count][KV heads][head size]`.
    ///   - output: `[count][query heads][head size]`.
    package func attend(
        _ cache: LayerCache, queries: UnsafePointer<Float>, keys: UnsafePointer<Float>,
        values: UnsafePointer<Float>, count: Int, meaning: AttentionMeaning,
        output: UnsafeMutablePointer<Float>
    ) {
        let before = cache.tokenCount
        let sealedBefore = cache.sealedTiles
        cache.append(keys: keys, values: values, count: count)
        cache.watch(queries: queries, position: before, count: count, workers: workers)
        if meaning == .decode {
            cache.seal(visibleFrom: cache.schedule.firstVisible(at: before), workers: workers)
        }
        cache.withPages { pages in
            let pass = Pass(
                cache: cache, kernels: kernels, arithmetic: arithmetic,
                splits: meaning == .prompt && arithmetic == .integer, pages: pages,
                queries: queries, output: output, firstPosition: before)
            if count == 1 {
                let sealed = meaning == .prompt ? sealedBefore : cache.sealedTiles
                one(pass, QueryBlock(first: 0, count: 1, sealed: sealed))
            } else {
                many(
                    pass,
                    blocks: Self.blocks(
                        count, before, meaning == .prompt ? sealedBefore : nil, cache.schedule))
            }
        }
        if meaning == .prompt {
            cache.seal(
                visibleFrom: cache.schedule.firstVisible(at: cache.tokenCount), workers: workers)
        }
        cache.release()
    }

    /// Queries of a call that see the same sealed tiles, at most ``queryBlock`` of them.
    struct QueryBlock {
        var first: Int
        var count: Int
        var sealed: Int
    }

    private static func blocks(
        _ count: Int, _ before: Int, _ fixedSealed: Int?, _ schedule: WindowSchedule
    ) -> [QueryBlock] {
        var blocks: [QueryBlock] = []
        for query in 0..<count {
            let sealed = fixedSealed ?? schedule.sealedTiles(at: before + query + 1)
            if let last = blocks.last, last.sealed == sealed, last.count < queryBlock {
                blocks[blocks.count - 1].count += 1
            } else {
                blocks.append(QueryBlock(first: query, count: 1, sealed: sealed))
            }
        }
        return blocks
    }

    /// One query: units are runs of tiles, merged at the end.
    private func one(_ pass: Pass, _ block: QueryBlock) {
        let heads = pass.cache.shape.kvHeads
        let tiles = pass.tiles(block)
        let most = Self.tilesPerUnit
        // In fours, as even as they go: a unit more than the threads share out leaves all but one waiting.
        let wanted = (tiles.count + most - 1) / most
        let runs = wanted <= 2 ? max(1, wanted) : (wanted + 3) / 4 * 4
        let length = (tiles.count + runs - 1) / runs
        let rows = pass.ratio
        let partialCount = Partial.count(rows: rows, width: pass.width)
        let scratchCount = pass.scratchCount(rows: rows)
        let queryCount = Queries.count(rows: rows, pass)
        reserve(heads * (runs * partialCount + queryCount) + workers.threads * scratchCount)
        let partials = memory
        let queries = partials + heads * runs * partialCount
        let scratch = queries + heads * queryCount
        for head in 0..<heads {
            pass.prepare(
                head, block, into: Queries(queries + head * queryCount, rows: rows, pass),
                scratch: scratch)
        }
        let threads = workers.threads
        workers.run(count: heads * runs) { task, worker in
            let (head, run) = (task / runs, task % runs)
            let later = task + threads
            let following = (
                head: later / runs, tile: tiles.lowerBound + later % runs * length
            )
            let partial = Partial(
                partials + task * partialCount, rows: rows, width: pass.width)
            partial.reset(rows: rows)
            let first = min(tiles.lowerBound + run * length, tiles.upperBound)
            pass.accumulate(
                head, block, Queries(queries + head * queryCount, rows: rows, pass),
                first..<min(first + length, tiles.upperBound), partial,
                following: later < heads * runs ? following : nil,
                scratch + worker * scratchCount)
        }
        for head in 0..<heads {
            let total = Partial(
                partials + head * runs * partialCount, rows: rows, width: pass.width)
            for run in 1..<max(runs, 1) {
                total.merge(
                    Partial(
                        partials + (head * runs + run) * partialCount, rows: rows,
                        width: pass.width), rows: rows)
            }
            // The workers are done with their scratch.
            pass.finish(head, block, total, scratch)
        }
    }

    /// Many queries: units are blocks of queries, each over all its tiles.
    private func many(_ pass: Pass, blocks: [QueryBlock]) {
        let heads = pass.cache.shape.kvHeads
        let rows = pass.ratio * Self.queryBlock
        let partialCount = Partial.count(rows: rows, width: pass.width)
        let scratchCount = pass.scratchCount(rows: rows)
        let each = scratchCount + partialCount + Queries.count(rows: rows, pass)
        reserve(workers.threads * each)
        let memory = memory
        // Later blocks see more tokens; taking them first keeps the threads busy to the end.
        workers.run(count: heads * blocks.count) { task, worker in
            let block = blocks[blocks.count - 1 - task / heads]
            let head = task % heads
            let scratch = memory + worker * each
            let blockRows = block.count * pass.ratio
            let partial = Partial(scratch + scratchCount, rows: blockRows, width: pass.width)
            let queries = Queries(
                scratch + scratchCount + partialCount, rows: blockRows, pass)
            partial.reset(rows: blockRows)
            pass.prepare(head, block, into: queries, scratch: scratch)
            pass.accumulate(head, block, queries, pass.tiles(block), partial, scratch)
            pass.finish(head, block, partial, scratch)
        }
    }
}
