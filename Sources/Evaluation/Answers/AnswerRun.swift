public import Generation
import KVCache
import ModelFiles
public import Reports
public import Tasks
import Transformer

/// How questions are put to a model.
public struct AnswerOptions: Sendable, Hashable {
    /// Whether the prompt is wrapped in the model's chat template, as a user's message.
    public var usesChatTemplate: Bool

    public init(usesChatTemplate: Bool = false) { self.usesChatTemplate = usesChatTemplate }
}

/// Answers questions through several caches, reading each prompt once for all of them.
public struct AnswerRun {
    let model: LanguageModel
    let options: AnswerOptions
    private let stopTokens: [Int32]
    private let workspace: Workspace

    /// - Throws: `GenerationError.noChatTemplate` if one is asked for and there is none.
    public init(
        model: LanguageModel, options: AnswerOptions = AnswerOptions()
    ) throws(GenerationError) {
        self.model = model
        self.options = options
        if options.usesChatTemplate {
            guard let template = model.chatTemplate else { throw .noChatTemplate }
            stopTokens = template.stopTokens(model.tokenizer)
        } else {
            stopTokens = []
        }
        workspace = model.transformer.makeWorkspace()
    }

    /// Answers one question.
    ///
    /// - Parameter isCancelled: asked between layers.
    /// - Returns: a record a candidate.
    /// - Throws: `GenerationError`, `PolicyError`, ``EvaluationError``, or `TaskError` of the judge.
    public func answer(
        _ sample: TaskSample, candidates: [CacheCandidate],
        isCancelled: @escaping @Sendable () -> Bool
    ) throws -> [SampleRecord] {
        do {
            switch sample.request {
            case .generation(let request):
                return try generate(sample, request, candidates, isCancelled)
            case .choice(let request):
                return try choose(sample, request, candidates, isCancelled)
            }
        } catch TransformerError.cancelled {
            throw GenerationError.cancelled
        } catch GenerationError.contextTooLong(let tokens, let limit) {
            throw EvaluationError.questionTooLong(
                task: sample.task, id: sample.id, tokens: tokens, limit: limit)
        }
    }

    // MARK: - Generation

    private func generate(
        _ sample: TaskSample, _ request: GenerationRequest, _ candidates: [CacheCandidate],
        _ isCancelled: @escaping @Sendable () -> Bool
    ) throws -> [SampleRecord] {
        let prompt = try self.prompt(sample, request)
        let clock = ContinuousClock()
        let caches = try read(prompt.prefix(prompt.split), candidates, isCancelled)
        let question = Array(prompt.tokens[prompt.split...])
        return try zip(candidates, caches).map { candidate, cache in
            let start = clock.now
            var decoder = StreamDecoder(model.tokenizer, skipSpecial: true, continues: true)
            var stops = StopMatcher(request.stops)
            var answer = ""
            var count = 0
            var pending = question
            while count < request.maxTokens, !stops.isStopped {
                try model.transformer.forward(
                    tokens: pending, cache: cache, meaning: .decode, workspace: workspace,
                    isCancelled: isCancelled)
                let token = Sampler.argmax(workspace.logits)
                if model.tokenizer.endsGeneration(token) || stopTokens.contains(token) { break }
                count += 1
                answer += stops.append(decoder.append(token))
                pending = [token]
            }
            if !stops.isStopped { answer += stops.append(decoder.flush()) + stops.flush() }
            let scores = try request.judge(answer)
            return record(
                sample, candidate, scores: scores, answer: answer,
                promptTokens: prompt.tokens.count, answerTokens: count,
                sealedTokens: cache.quantizedTokens, seconds: (clock.now - start).seconds)
        }
    }

    private struct Prompt {
        var tokens: [Int32]
        /// Tokens that are read as a prompt; the others, at least one, are decoded.
        var split: Int

        func prefix(_ count: Int) -> [Int32] { Array(tokens.prefix(count)) }
    }

    private func prompt(
        _ sample: TaskSample, _ request: GenerationRequest
    ) throws(GenerationError) -> Prompt {
        var tokens = try encode(request.context + request.question)
        guard !tokens.isEmpty else { throw .emptyPrompt }
        let context = try encode(request.context)
        var split = zip(tokens, context).prefix { $0 == $1 }.count
        let limit = model.configuration.contextLength - request.maxTokens
        if tokens.count > limit {
            guard request.mayBeShortened, limit > 2 else {
                throw .contextTooLong(
                    tokens: tokens.count + request.maxTokens,
                    limit: model.configuration.contextLength)
            }
            // The middle goes, as LongBench does it.
            let tail = tokens.count - split
            tokens = Array(tokens.prefix(limit / 2) + tokens.suffix(limit - limit / 2))
            split = max(0, tokens.count - tail)
        }
        return Prompt(tokens: tokens, split: min(split, tokens.count - 1))
    }

    private func encode(_ text: String) throws(GenerationError) -> [Int32] {
        guard options.usesChatTemplate else { return model.tokenizer.encode(text) }
        guard let template = model.chatTemplate else { throw .noChatTemplate }
        do {
            return model.tokenizer.encode(
                try template.segments([.user(text)], addGenerationPrompt: true))
        } catch {
            throw .noChatTemplate
        }
    }

    // MARK: - Choice

    private func choose(
        _ sample: TaskSample, _ request: ChoiceRequest, _ candidates: [CacheCandidate],
        _ isCancelled: @escaping @Sendable () -> Bool
    ) throws -> [SampleRecord] {
        let clock = ContinuousClock()
        let start = clock.now
        var sums = [[Double]](repeating: [], count: candidates.count)
        var sealed = [Int](repeating: 0, count: candidates.count)
        var context: [Int32] = []
        var caches: [SequenceCache] = []
        var longest = 0
        for choice in request.choices {
            let tokens = model.tokenizer.encode(choice.context + choice.continuation)
            let whole = model.tokenizer.encode(choice.context)
            let limit = model.configuration.contextLength
            guard tokens.count <= limit else {
                throw GenerationError.contextTooLong(tokens: tokens.count, limit: limit)
            }
            guard tokens.count > 1 else { throw GenerationError.emptyPrompt }
            let split = min(max(1, zip(tokens, whole).prefix { $0 == $1 }.count), tokens.count - 1)
            // The last token of the context is decoded, so that all scores depend on the cache.
            let prefix = Array(tokens[..<(split - 1)])
            if prefix != context || caches.isEmpty {
                caches = try read(prefix, candidates, isCancelled)
                context = prefix
            }
            longest = max(longest, tokens.count)
            let rest = Array(tokens[(split - 1)...])
            for (index, cache) in caches.enumerated() {
                let copy = try cache.copy(workers: model.transformer.workers)
                var sum = 0.0
                try model.transformer.forward(
                    tokens: Array(rest.dropLast()), cache: copy, meaning: .decode, logits: .all,
                    workspace: workspace,
                    receive: { sum -= LogitReference.loss($1, next: rest[$0 + 1]) },
                    isCancelled: isCancelled)
                sums[index].append(sum)
                sealed[index] = max(sealed[index], copy.quantizedTokens)
            }
        }
        let lengths = request.choices.map(\.continuation.utf8.count)
        let seconds = (clock.now - start).seconds / Double(max(candidates.count, 1))
        return zip(candidates, sums).enumerated().map { index, pair in
            let scores = ChoiceScoring.scores(
                logLikelihoods: pair.1, lengths: lengths, gold: request.gold,
                mainMetric: request.mainMetric)
            let best = pair.1.indices.max { pair.1[$0] < pair.1[$1] } ?? 0
            return record(
                sample, pair.0, scores: scores, answer: String(best), promptTokens: longest,
                answerTokens: 0, sealedTokens: sealed[index], seconds: seconds)
        }
    }

    // MARK: - Parts

    private func read(
        _ tokens: [Int32], _ candidates: [CacheCandidate],
        _ isCancelled: @escaping @Sendable () -> Bool
    ) throws -> [SequenceCache] {
        try SharedPrompt.read(
            tokens, candidates, model: model, workspace: workspace, isCancelled: isCancelled)
    }

    private func record(
        _ sample: TaskSample, _ candidate: CacheCandidate, scores: [TaskScore], answer: String,
        promptTokens: Int, answerTokens: Int, sealedTokens: Int, seconds: Double
    ) -> SampleRecord {
        SampleRecord(
            cache: candidate.name, task: sample.task, id: sample.id, tags: sample.tags,
            scores: Dictionary(
                scores.map { ($0.metric, $0.value) }, uniquingKeysWith: { first, _ in first }),
            mainMetric: scores.first?.metric ?? "", answer: answer, promptTokens: promptTokens,
            answerTokens: answerTokens, sealedTokens: sealedTokens, seconds: seconds)
    }
}
