import KVCache
import ModelFiles

/// One run: a prompt, then tokens until something ends it.
struct GenerationRun {
    let state: SequenceState
    let options: GenerationOptions
    let progress: PrefillProgress
    let isCancelled: @Sendable () -> Bool

    private var limit: Int { state.model.configuration.contextLength }

    /// - Throws: ``GenerationError`` before anything has changed.
    func run(
        _ prompt: [Int32], statistics publish: (GenerationStatistics) -> Void,
        emit: (GeneratedToken) -> Void
    ) throws {
        try check(prompt)
        var statistics = GenerationStatistics()
        let clock = ContinuousClock()
        let start = clock.now
        state.append(prompt)
        let cached = state.cache.tokenCount
        defer {
            count(&statistics)
            publish(statistics)
        }
        do {
            try state.advance(progress: progress, isCancelled: isCancelled)
        } catch GenerationError.cancelled {
            statistics.stopReason = .cancelled
            statistics.promptTokens = max(0, state.cache.tokenCount - cached)
            statistics.prefillSeconds = (clock.now - start).seconds
            return
        }
        let prefilled = clock.now
        statistics.promptTokens = state.cache.tokenCount - cached
        statistics.prefillSeconds = (prefilled - start).seconds
        defer { statistics.decodeSeconds = (clock.now - prefilled).seconds }
        statistics.stopReason = try generate(&statistics, emit)
    }

    private func check(_ prompt: [Int32]) throws(GenerationError) {
        try options.validate()
        let total = state.tokens.count + prompt.count
        guard total <= limit else { throw .contextTooLong(tokens: total, limit: limit) }
        // Without a prompt, a session goes on from a token that has not run or from logits that it still has.
        let hasMore = state.isCurrent || state.cache.tokenCount < state.tokens.count
        guard !prompt.isEmpty || hasMore else { throw .emptyPrompt }
        let size = state.model.configuration.vocabularySize
        if let token = prompt.first(where: { $0 < 0 || Int($0) >= size }) {
            throw .parameterOutOfRange(
                "token \(token) is not in the vocabulary of \(size); use the model's own tokenizer")
        }
    }

    private func generate(
        _ statistics: inout GenerationStatistics, _ emit: (GeneratedToken) -> Void
    ) throws -> StopReason {
        let tokenizer = state.model.tokenizer
        var sampler = Sampler(options.sampling, continuing: state.randomState)
        defer { state.randomState = sampler.randomState }
        var decoder = StreamDecoder(tokenizer, skipSpecial: true, continues: true)
        var stops = StopMatcher(options.stopStrings)
        while statistics.generatedTokens < options.maxTokens ?? .max {
            if state.tokens.count >= limit { return finish(.contextFull, &decoder, &stops, emit) }
            do {
                // The first time there is nothing to run.
                try state.advance(isCancelled: isCancelled)
            } catch GenerationError.cancelled {
                return finish(.cancelled, &decoder, &stops, emit)
            }
            if isCancelled() { return finish(.cancelled, &decoder, &stops, emit) }
            let id = state.withLogits { sampler.sample($0, history: state.tokens) }
            statistics.generatedTokens += 1
            state.append([id])
            let isEnd = tokenizer.endsGeneration(id) || options.stopTokens.contains(id)
            if isEnd, !options.ignoresEndOfGeneration {
                return finish(.endOfGeneration, &decoder, &stops, emit)
            }
            let text = stops.append(decoder.append(id))
            emit(GeneratedToken(id: id, text: text))
            if stops.isStopped { return .stopString }
        }
        return finish(.maxTokens, &decoder, &stops, emit)
    }

    /// Emits the text that was held back.
    private func finish(
        _ reason: StopReason, _ decoder: inout StreamDecoder, _ stops: inout StopMatcher,
        _ emit: (GeneratedToken) -> Void
    ) -> StopReason {
        let rest = stops.append(decoder.flush()) + stops.flush()
        if !rest.isEmpty { emit(GeneratedToken(id: nil, text: rest)) }
        return reason
    }

    private func count(_ statistics: inout GenerationStatistics) {
        let bytes = state.cache.byteCount
        statistics.cachedTokens = state.cache.tokenCount
        statistics.cacheBytes = state.cache.allocatedBytes
        statistics.float16Bytes = bytes.float16
        statistics.bitsPerElement = bytes.bitsPerElement
    }
}

extension Duration {
    /// The duration in seconds.
    package var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }
}
