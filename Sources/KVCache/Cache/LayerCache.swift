import CPUKernels
package import Threading

/// The keys and values of one layer of one sequence.
///
/// A page holds 32 tokens of all KV heads, K and V of a head side by side:
///
///     page = [KV head]{ K tile, V tile }
///
/// Sink and recent pages hold float16 tiles, body pages the policy's, with sides behind them (PageLayout). All three are lists of pages, so a cache
/// grows without copying, and a tile is quantized once, from the page that it was appended to.
package final class LayerCache {
    package let shape: LayerShape
    package let policy: LayerPolicy
    package let schedule: WindowSchedule
    package let keyLayout: TileLayout
    package let valueLayout: TileLayout
    package let rawKeyLayout: TileLayout
    package let rawValueLayout: TileLayout
    /// Of a body page.
    package let pageLayout: PageLayout
    package internal(set) var normalizer: KeyNormalizer?
    /// Ranges and levels of codebook formats.
    package internal(set) var codebooks: CodebookState?
    /// Angles of sealed keys that are stored as they are before RoPE.
    package let turns: RotaryTurns?
    /// Of rotated formats.
    package let keyRotation: RotatedQuantizer?
    package let valueRotation: RotatedQuantizer?
    /// Whether codebooks still wait for the first seal.
    private var needsStatistics: Bool {
        sealedTiles == 0 && policy.keys.statisticsTokens + policy.values.statisticsTokens > 0
    }

    /// Whether what is sealed is broken on purpose (CacheFault).
    var shufflesCodes = false

    /// What of the sealed elements lay beyond static ranges. Not saved with the cache.
    package internal(set) var rangeStatistics = RangeStatistics()

    /// Tokens appended.
    package private(set) var tokenCount = 0
    /// Tiles sealed, those given back included.
    package private(set) var sealedTiles = 0
    /// Pages of the sink; given back ones are `nil`.
    private(set) var sink: [UnsafeMutableRawPointer?] = []
    /// Sealed pages from tile `droppedTiles` on.
    private(set) var body: [UnsafeMutableRawPointer] = []
    private(set) var droppedTiles = 0
    /// Float16 pages from tile `rawFirst` on. Pages of tiles sealed by the current step stay until it ends.
    private(set) var raw: [UnsafeMutableRawPointer] = []
    private(set) var rawFirst = 0
    /// Bytes of all pages now held.
    package private(set) var allocatedBytes = 0

    /// - Parameters:
    ///   - codebooks: of a calibration, or of another cache; without, ranges are taken from the first tokens and levels
    ///     need no fit.
    ///   - turns: shared by layers with the same RoPE and sink; made here if it is needed and not given.
    package init(
        shape: LayerShape, policy: LayerPolicy, codebooks: CodebookState? = nil,
        turns: RotaryTurns? = nil
    ) {
        self.shape = shape
        self.policy = policy
        schedule = WindowSchedule(policy, slidingWindow: shape.slidingWindow)
        keyLayout = .keys(headSize: shape.headSize, format: policy.keys)
        valueLayout = .values(headSize: shape.headSize, format: policy.values)
        rawKeyLayout = .keys(headSize: shape.headSize, format: .float16)
        rawValueLayout = .values(headSize: shape.headSize, format: .float16)
        pageLayout = PageLayout(shape: shape, keys: policy.keys, values: policy.values)
        keyRotation = policy.keys.rotated.map {
            RotatedQuantizer($0, headSize: shape.headSize)
        }
        valueRotation = policy.values.rotated.map {
            RotatedQuantizer($0, headSize: shape.headSize)
        }
        if policy.keys.codebook?.preRotary == true, let rotary = shape.rotary {
            self.turns = turns ?? RotaryTurns(rotary, sink: policy.windows.sink)
        } else {
            self.turns = nil
        }
        self.codebooks =
            codebooks ?? CodebookState(policy: policy, shape: shape, tables: nil)
        allocatedBytes += CodebookState.byteCount(policy: policy, shape: shape)
        if let normalization = policy.keyNormalization {
            normalizer = KeyNormalizer(
                normalization, kvHeads: shape.kvHeads, headSize: shape.headSize)
            allocatedBytes += normalizer?.byteCount ?? 0
        }
    }

    deinit { freePages() }

    private func freePages() {
        for page in sink { page?.deallocate() }
        for page in body { page.deallocate() }
        for page in raw { page.deallocate() }
        sink = []
        body = []
        raw = []
    }

    // MARK: - Pages

    package var rawPageBytes: Int {
        (rawKeyLayout.byteCount + rawValueLayout.byteCount) * shape.kvHeads
    }
    package var bodyPageBytes: Int { pageLayout.byteCount }

    private func newPage(_ bytes: Int) -> UnsafeMutableRawPointer {
        // Zeros, since slots that hold no token yet are multiplied by weights of zero.
        let page = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        page.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        allocatedBytes += bytes
        return page
    }

    /// The page and slot that token `index` is written to; makes the page if it is the first in it.
    private func slot(forToken index: Int) -> (page: UnsafeMutableRawPointer, slot: Int) {
        if index < schedule.sink {
            let number = index / TileLayout.tokens
            if number == sink.count { sink.append(newPage(rawPageBytes)) }
            // A sink page is given back only after the whole sink was seen.
            return (sink[number]!, index % TileLayout.tokens)
        }
        let place = index - schedule.firstToken(ofTile: rawFirst)
        if place / TileLayout.tokens == raw.count { raw.append(newPage(rawPageBytes)) }
        return (raw[place / TileLayout.tokens], place % TileLayout.tokens)
    }

    // MARK: - Append, seal, release

    /// Appends `count` tokens as float16. Values beyond ±65504 are stored as that, NaN as 0.
    /// - Parameters: `keys` and `values`: `[count][KV heads][head size]`, keys after RoPE.
    package func append(
        keys: UnsafePointer<Float>, values: UnsafePointer<Float>, count: Int
    ) {
        let d = shape.headSize
        let headBytes = rawKeyLayout.byteCount + rawValueLayout.byteCount
        withUnsafeTemporaryAllocation(of: Float.self, capacity: d) { clean in
            withUnsafeTemporaryAllocation(of: UInt16.self, capacity: d) { halves in
                let halves = halves.baseAddress!
                for token in 0..<count {
                    let (page, slot) = slot(forToken: tokenCount)
                    for head in 0..<shape.kvHeads {
                        let source = (token * shape.kvHeads + head) * d
                        let keyTile = (page + head * headBytes).assumingMemoryBound(to: UInt16.self)
                        let valueTile = (page + head * headBytes + rawKeyLayout.byteCount)
                            .assumingMemoryBound(to: UInt16.self)
                        Self.halve(keys + source, d, clean.baseAddress!, halves)
                        for c in 0..<d { keyTile[c * TileLayout.tokens + slot] = halves[c] }
                        Self.halve(values + source, d, clean.baseAddress!, valueTile + slot * d)
                    }
                    tokenCount += 1
                }
            }
        }
    }

    private static func halve(
        _ source: UnsafePointer<Float>, _ count: Int, _ clean: UnsafeMutablePointer<Float>,
        _ destination: UnsafeMutablePointer<UInt16>
    ) {
        for i in 0..<count {
            let value = source[i]
            clean[i] = value == value ? min(max(value, -65504), 65504) : 0
        }
        iq_float_to_half(clean, destination, count)
    }

    /// Shows the normalizer the queries `[count][query heads][head size]` of tokens from `position` on, if it wants them.
    /// - Parameter workers: share the heads.
    package func watch(
        queries: UnsafePointer<Float>, position: Int, count: Int, workers: WorkerPool? = nil
    ) {
        guard normalizer?.watchesQueries == true else { return }
        normalizer?.watch(
            queries: queries, count: max(0, min(count, schedule.firstSeal - position)),
            ratio: shape.groupRatio, workers: workers)
    }

    /// Seals every tile that is due at `tokenCount`. Their float16 pages stay until ``release()``.
    /// - Parameter visible: first token that a query yet to come can see; tiles before it are not quantized at all.
    /// - Parameter workers: share pages and heads.
    package func seal(visibleFrom visible: Int, workers: WorkerPool? = nil) {
        let due = schedule.sealedTiles(at: tokenCount)
        guard due > sealedTiles else { return }
        turns?.reserve(tiles: due)
        if normalizer != nil, sealedTiles == 0 { fixNormalizer() }
        if needsStatistics { fixCodebooks() }
        var pages: [Sealing] = []
        while sealedTiles < due {
            if body.isEmpty, schedule.firstToken(ofTile: sealedTiles + 1) <= visible {
                droppedTiles = sealedTiles + 1
            } else {
                let page = newPage(bodyPageBytes)
                pages.append(
                    Sealing(raw: raw[sealedTiles - rawFirst], tile: sealedTiles, page: page))
                body.append(page)
            }
            sealedTiles += 1
        }
        quantize(pages, workers: workers)
        if shufflesCodes { for page in pages { shuffleCodes(in: page.page, tile: page.tile) } }
    }

    /// Lends the pages for reading.
    func withPages(_ action: (CachePages) -> Void) {
        sink.withUnsafeBufferPointer { sink in
            body.withUnsafeBufferPointer { body in
                raw.withUnsafeBufferPointer { raw in
                    action(
                        CachePages(
                            sink: sink, body: body, bodyFirst: droppedTiles, raw: raw,
                            rawFirst: rawFirst))
                }
            }
        }
    }

    /// Gives back the float16 pages of sealed tiles, and every page that no later query can see.
    package func release() {
        let sealedRaw = min(sealedTiles - rawFirst, raw.count)
        if sealedRaw > 0 {
            for page in raw[..<sealedRaw] { page.deallocate() }
            raw.removeFirst(sealedRaw)
            rawFirst += sealedRaw
            allocatedBytes -= sealedRaw * rawPageBytes
        }
        guard schedule.slidingWindow != nil else { return }
        let dropped = schedule.droppedTiles(at: tokenCount)
        if dropped > droppedTiles {
            let count = dropped - droppedTiles
            for page in body[..<count] { page.deallocate() }
            body.removeFirst(count)
            droppedTiles = dropped
            allocatedBytes -= count * bodyPageBytes
        }
        for index in 0..<min(schedule.droppedSinkPages(at: tokenCount), sink.count) {
            guard let page = sink[index] else { continue }
            page.deallocate()
            sink[index] = nil
            allocatedBytes -= rawPageBytes
        }
    }

    // MARK: - Restoring

    /// Puts back what a snapshot holds. `fill` is called for each page, in the order of ``forEachPage(_:)``.
    package func restore(
        tokenCount: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Void
    ) rethrows {
        freePages()
        allocatedBytes =
            (normalizer?.byteCount ?? 0) + CodebookState.byteCount(policy: policy, shape: shape)
        self.tokenCount = tokenCount
        sealedTiles = schedule.sealedTiles(at: tokenCount)
        droppedTiles = schedule.droppedTiles(at: tokenCount)
        rawFirst = sealedTiles
        let droppedSink = schedule.droppedSinkPages(at: tokenCount)
        for index in 0..<schedule.sinkPages(at: tokenCount) {
            sink.append(index < droppedSink ? nil : newPage(rawPageBytes))
        }
        for _ in droppedTiles..<sealedTiles { body.append(newPage(bodyPageBytes)) }
        for _ in 0..<schedule.recentPages(at: tokenCount) { raw.append(newPage(rawPageBytes)) }
        if var normalizer {
            try normalizer.withBytes(fill)
            normalizer.isFixed = sealedTiles > 0
            self.normalizer = normalizer
        }
        if var codebooks {
            try codebooks.withBytes(fill)
            self.codebooks = codebooks
        }
        turns?.reserve(tiles: sealedTiles)
        for page in sink {
            if let page { try fill(.init(start: page, count: rawPageBytes)) }
        }
        for page in body { try fill(.init(start: page, count: bodyPageBytes)) }
        for page in raw { try fill(.init(start: page, count: rawPageBytes)) }
    }

    /// Calls `body` with the normalizer's and codebooks' bytes and every page: sink, body, recent, in token order.
    package func forEachPage(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        if var normalizer { try normalizer.withBytes { try body(UnsafeRawBufferPointer($0)) } }
        if var codebooks { try codebooks.withBytes { try body(UnsafeRawBufferPointer($0)) } }
        for page in sink {
            if let page { try body(.init(start: page, count: rawPageBytes)) }
        }
        for page in self.body { try body(.init(start: page, count: bodyPageBytes)) }
        for page in raw { try body(.init(start: page, count: rawPageBytes)) }
    }
}
