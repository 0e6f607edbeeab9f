package import CUDAKernels
package import KVCache

/// Where one layer of one sequence lies, as kernels are told.
package typealias DeviceSequence = iq_sequence
/// Tiles of one sequence to be sealed, as the kernel is told.
package typealias DeviceSealRequest = iq_seal_sequence

/// The cache of one sequence on the GPU: the same segments, seal rules and bits as ``SequenceCache``.
///
/// It does its bookkeeping on the CPU and knows neither driver nor kernels: ``DeviceMemory`` and ``DeviceCacheKernels``
/// do the work, in order, in one stream. What one step appends and seals is:
///
///     append(layer:…)    piece by piece, as the ring has room:
///                            append kernel, which also keeps the queries if statistics want them →
///                            if tiles are due: fix the key normalizer once, grow the body, seal kernel
///
/// Launches for many sequences at once take the same step apart: ``room(layer:)``,
/// ``appendRequest(layer:firstRow:count:)``, ``didAppend(layer:count:)``, ``sealRequest(layer:)``, ``didSeal(_:layer:)``.
///
/// Tiles that slide out of a window stay where they are and are no longer seen. Not thread-safe.
package final class DeviceCache {
    package let shape: CacheShape
    package let policy: CachePolicy
    package let layout: DeviceLayout
    /// Tokens that addresses are reserved for.
    package let mostTokens: Int

    let memory: any DeviceMemory
    let kernels: any DeviceCacheKernels
    let body: any DeviceRange
    let fixed: any DeviceRange
    /// Until the last layer's normalizer is fixed, if any layer watches queries.
    var queries: (any DeviceRange)?
    var states: [State]
    /// Those that a sequence begins with: of a calibration, or of the cache that was loaded last.
    var codebooks: [CodebookState?]
    /// Whether those are the model's, or need not be.
    var hasCodebooks: Bool
    /// Angles of RoPE, of the layers that keep keys as they were before it: by sink, for those that are alike.
    var turns: [(sink: Int, turns: RotaryTurns)] = []

    /// Of one layer.
    struct State {
        var tokenCount = 0
        var sealedTiles = 0
        /// The CPU's copy; before it is fixed, sums over the queries read back so far.
        var normalizer: KeyNormalizer?
        /// The CPU's copy; ranges may be fixed by the first seal only.
        var codebooks: CodebookState?
        /// Queries on the device that are not yet in the sums.
        var keptQueries = 0

        /// Of a sequence without tokens.
        init(_ layer: DeviceLayout.Layer, _ codebooks: CodebookState?) {
            normalizer = layer.policy.keyNormalization.map {
                KeyNormalizer($0, kvHeads: layer.shape.kvHeads, headSize: layer.shape.headSize)
            }
            self.codebooks = codebooks
        }
    }

    /// Reserves addresses for `mostTokens` tokens and memory for the float16 windows.
    ///
    /// - Parameter calibration: of the model. A cache of a policy that needs one and has none can only be loaded from one
    ///   on the CPU.
    package init(
        shape: CacheShape, policy: CachePolicy, calibration: CacheCalibration? = nil,
        mostTokens: Int, memory: any DeviceMemory, kernels: any DeviceCacheKernels
    ) throws(CUDABackendError) {
        try DeviceCapability.check(policy: policy, shape: shape)
        if let calibration { try Self.check(calibration, policy, shape) }
        self.shape = shape
        self.policy = policy
        self.mostTokens = mostTokens
        self.memory = memory
        self.kernels = kernels
        let layout = DeviceLayout(shape: shape, policy: policy, granularity: memory.granularity)
        self.layout = layout
        hasCodebooks = calibration != nil || !policy.needsCalibration
        codebooks = layout.layers.enumerated().map { index, layer in
            CodebookState(
                policy: layer.policy, shape: layer.shape, tables: calibration?.layers[index])
        }
        states = zip(layout.layers, codebooks).map { State($0, $1) }
        body = try memory.reserve(layout.bodyBytes(pages: layout.pages(tokens: mostTokens)))
        fixed = try memory.reserve(layout.byteCount(tokens: 0).fixed)
        queries = nil
        try Self.grow(fixed, to: layout.fixedBytes, layout, mapped: 0)
        if layout.queriesBytes > 0 {
            let range = try memory.reserve(layout.byteCount(tokens: 0).queries)
            try Self.grow(range, to: layout.queriesBytes, layout, mapped: fixed.mappedBytes)
            queries = range
        }
    }

    /// Tokens that every layer has.
    package var tokenCount: Int { states.map(\.tokenCount).min() ?? 0 }

    package func tokenCount(layer: Int) -> Int { states[layer].tokenCount }
    package func sealedTiles(layer: Int) -> Int { states[layer].sealedTiles }

    /// Whether all layers have the same tokens; false after a pass that failed half-way, when the cache can only be
    /// thrown away.
    package var isConsistent: Bool { Set(states.map(\.tokenCount)).count <= 1 }

    /// Bytes of device memory now mapped.
    package var allocatedBytes: Int {
        body.mappedBytes + fixed.mappedBytes + (queries?.mappedBytes ?? 0)
    }

    // MARK: - Appending

    /// Appends the first `count` rows to one layer and seals what is due.
    package func append(
        layer: Int, rows: DeviceRows, count: Int
    ) throws(CUDABackendError) {
        var done = 0
        while done < count {
            let piece = min(count - done, try room(layer: layer))
            let request = try appendRequest(layer: layer, firstRow: done, count: piece)
            try kernels.append(rows, layer: layout.layers[layer], sequences: [request])
            didAppend(layer: layer, count: piece)
            if let seal = try sealRequest(layer: layer) {
                try kernels.seal(
                    layer: layout.layers[layer], pageStride: layout.pageStride, sequences: [seal])
                didSeal(seal, layer: layer)
            }
            done += piece
        }
    }

    /// Tokens that may be appended at once: what the ring has room for and, while statistics are taken, what the kept
    /// queries have. At least 1 whenever nothing is due to be sealed. Reads kept queries back if there is no room for more.
    package func room(layer: Int) throws(CUDABackendError) -> Int {
        let place = layout.layers[layer]
        let position = states[layer].tokenCount
        let ring =
            place.schedule.firstToken(ofTile: states[layer].sealedTiles + place.ringTiles)
            - position
        guard watchesQueries(layer: layer), position < place.schedule.firstSeal else { return ring }
        if states[layer].keptQueries == DeviceLayout.watchedTokens {
            try addKeptQueries(layer: layer)
        }
        let kept = DeviceLayout.watchedTokens - states[layer].keptQueries
        // Queries after the last that is wanted are not kept.
        return place.schedule.firstSeal - position <= kept ? ring : min(ring, kept)
    }

    /// What the append kernel is to do with `count` rows, at most ``room(layer:)``.
    package func appendRequest(
        layer: Int, firstRow: Int, count: Int
    ) throws(CUDABackendError) -> iq_append_sequence {
        let place = layout.layers[layer]
        let state = states[layer]
        guard state.tokenCount + count <= mostTokens else {
            throw .contextTooLong(tokens: state.tokenCount + count, reserved: mostTokens)
        }
        var request = iq_append_sequence()
        request.sink = sinkAddress(layer)
        request.recent = recentAddress(layer)
        if watchesQueries(layer: layer), let queries {
            // So that the query of position p is at p rows from here.
            let first = state.tokenCount - state.keptQueries
            request.statistics =
                queries.base &+ UInt64(place.queriesOffset) &- UInt64(first * place.queryBytes)
            request.statistics_end = Int32(place.schedule.firstSeal)
        }
        request.first_row = Int32(firstRow)
        request.count = Int32(count)
        request.position = Int32(state.tokenCount)
        request.body_position = Int32(place.schedule.sink)
        request.recent_position = Int32(place.schedule.firstToken(ofTile: state.sealedTiles))
        request.recent_first = Int32(place.ringSlot(tile: state.sealedTiles))
        return request
    }

    /// Counts tokens as appended.
    package func didAppend(layer: Int, count: Int) {
        if watchesQueries(layer: layer) {
            states[layer].keptQueries += min(
                count,
                max(0, layout.layers[layer].schedule.firstSeal - states[layer].tokenCount))
        }
        states[layer].tokenCount += count
    }

    /// What the seal kernels are to do now, if anything. Before the first seal, fixes the key normalizer and ranges that
    /// are taken from the sequence, which waits for the device, and uploads tables. Grows the body.
    package func sealRequest(layer: Int) throws(CUDABackendError) -> iq_seal_sequence? {
        let place = layout.layers[layer]
        let sealed = states[layer].sealedTiles
        let due = place.schedule.sealedTiles(at: states[layer].tokenCount)
        guard due > sealed else { return nil }
        if states[layer].normalizer?.isFixed == false { try fixNormalizer(layer: layer) }
        if sealed == 0 {
            guard hasCodebooks else { throw .policy(.needsCalibration(policy: policy.name)) }
            try fixCodebooks(layer: layer)
            try uploadTables(layer: layer)
        }
        let pages = (due + DeviceLayout.pageTiles - 1) / DeviceLayout.pageTiles
        try Self.grow(
            body, to: pages * layout.pageStride, layout,
            mapped: fixed.mappedBytes + (queries?.mappedBytes ?? 0))
        var request = iq_seal_sequence()
        request.recent = recentAddress(layer)
        request.body = bodyAddress(layer)
        request.normalizer = normalizerAddress(layer)
        request.recent_first = Int32(place.ringSlot(tile: sealed))
        request.first_tile = Int32(sealed)
        request.tiles = Int32(due - sealed)
        return request
    }

    /// Counts tiles as sealed.
    package func didSeal(_ request: iq_seal_sequence, layer: Int) {
        states[layer].sealedTiles += Int(request.tiles)
        releaseQueries()
    }

    /// Forgets all tokens and keeps the memory of the body.
    package func removeAll() throws(CUDABackendError) {
        states = zip(layout.layers, codebooks).map { State($0, $1) }
        try reserveQueries()
    }

    // MARK: - Reading

    /// Where one layer lies, for a query at position `position`: the last token appended, unless told.
    package func sequence(layer: Int, position: Int? = nil) -> iq_sequence {
        let schedule = layout.layers[layer].schedule
        let state = states[layer]
        let visible = schedule.firstVisible(at: position ?? max(0, state.tokenCount - 1))
        let sink = schedule.sinkTokens(at: state.tokenCount)
        var firstTile = state.sealedTiles
        var recent = max(0, state.tokenCount - schedule.firstToken(ofTile: firstTile))
        // Whole tiles of recent that the query does not see are left out, as is an unseen sink.
        let unseen =
            min(
                max(0, visible - schedule.firstToken(ofTile: firstTile)), recent)
            / TileLayout.tokens
        firstTile += unseen
        recent -= unseen * TileLayout.tokens
        var result = iq_sequence()
        result.sink = sinkAddress(layer)
        result.recent = recentAddress(layer)
        result.body = bodyAddress(layer)
        result.normalizer = normalizerAddress(layer)
        // From the beginning of a page on; tokens that are not seen are masked.
        let hidden = min(max(0, visible - schedule.sink) / TileLayout.tokens, state.sealedTiles)
        result.body_first = Int32(hidden / DeviceLayout.pageTiles * DeviceLayout.pageTiles)
        result.body_end = Int32(state.sealedTiles)
        result.sink_tokens = Int32(visible < schedule.sink ? sink : 0)
        result.body_position = Int32(schedule.sink)
        result.recent_first = Int32(layout.layers[layer].ringSlot(tile: firstTile))
        result.recent_tokens = Int32(recent)
        result.recent_position = Int32(schedule.firstToken(ofTile: firstTile))
        result.visible = Int32(visible)
        return result
    }
}

extension DecodePlan.Length {
    /// What the query of a sequence sees.
    package init(_ sequence: iq_sequence) {
        func tiles(_ tokens: Int32) -> Int {
            (Int(tokens) + TileLayout.tokens - 1) / TileLayout.tokens
        }
        self.init(
            bodyTiles: Int(sequence.body_end - sequence.body_first),
            rawTiles: tiles(sequence.sink_tokens) + tiles(sequence.recent_tokens))
    }
}
