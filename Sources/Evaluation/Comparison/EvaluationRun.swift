public import Generation
import KVCache
public import Reports
import Tasks
import Transformer

/// Measures several caches on one model, record by record, and goes on where an earlier run stopped.
public final class EvaluationRun {
    private let model: LanguageModel
    private let candidates: [CacheCandidate]
    private let plan: EvaluationPlan
    private let isCancelled: @Sendable () -> Bool
    private let progress: (EvaluationProgress) -> Void
    /// Takes every record as soon as it is there.
    private let keep: (ResultRecord) throws -> Void
    /// What earlier runs have measured already.
    private var done: Set<MeasurementKey>
    private var state = EvaluationProgress()

    /// - Parameters:
    ///   - candidates: that are compared; a float16 cache is added in front if there is none.
    ///   - earlier: records of a run that was stopped.
    ///   - keep: takes a record; what it throws ends the run.
    ///   - isCancelled: asked between layers.
    /// - Throws: `PolicyError` if a policy does not fit the model, before anything runs.
    public init(
        model: LanguageModel, candidates: [CacheCandidate], plan: EvaluationPlan,
        earlier: [ResultRecord] = [], progress: @escaping (EvaluationProgress) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false },
        keep: @escaping (ResultRecord) throws -> Void
    ) throws {
        self.model = model
        self.candidates = candidates.withReference
        self.plan = plan
        self.progress = progress
        self.isCancelled = isCancelled
        self.keep = keep
        done = Set(earlier.compactMap(MeasurementKey.init))
        for candidate in self.candidates { _ = try candidate.makeCache(for: model) }
    }

    /// Measures what is not there yet.
    ///
    /// - Throws: `GenerationError.cancelled` after what was measured until then has been kept; and what ``keep`` throws.
    public func run() throws {
        state.total = wholeCost
        for candidate in candidates {
            try add(.cache(candidate.record(for: model)))
        }
        try countMemory()
        try measureText()
        try measureLayers()
        try askQuestions()
        try measureSpeed()
    }

    /// Tokens that go through the model for a part, roughly: what its time is in proportion to.
    private var windowCost: Int { (plan.text?.options.context ?? 0) * candidates.count }
    private var layerCost: Int { plan.layerSample.count * 2 }
    private func cost(of sample: TaskSample) -> Int {
        switch sample.request {
        case .generation(let request):
            // About 4 bytes a token; a decoded one takes as long as several of a prompt.
            request.context.utf8.count / 4 + candidates.count * min(request.maxTokens, 64) * 4
        case .choice(let request):
            request.choices.reduce(0) {
                $0 + ($1.context.utf8.count + candidates.count * $1.continuation.utf8.count) / 4
            }
        }
    }
    private func cost(ofDepth depth: Int) -> Int {
        guard let speed = plan.speed else { return 0 }
        return depth + candidates.count * speed.repeats * (speed.prefill + 4 * speed.tokens)
    }

    private var wholeCost: Int {
        (plan.text?.options.offsets.count ?? 0) * windowCost + layerCost
            + plan.tasks.reduce(0) { $0 + $1.samples.reduce(0) { $0 + cost(of: $1) } }
            + (plan.speed?.depths.reduce(0) { $0 + cost(ofDepth: $1) } ?? 0)
    }

    private func begin(_ what: String) throws {
        if isCancelled() { throw GenerationError.cancelled }
        state.step = what
        progress(state)
    }

    private func end(_ cost: Int) {
        state.done += cost
        progress(state)
    }

    // MARK: - Records

    private func add(_ record: ResultRecord) throws {
        guard let key = MeasurementKey(record), done.insert(key).inserted else { return }
        try keep(record)
    }

    // MARK: - Parts

    private func countMemory() throws {
        let shape = model.transformer.cacheShape
        for candidate in candidates {
            for context in plan.contexts {
                let count = candidate.policy.byteCount(shape: shape, tokens: context)
                try add(
                    .memory(
                        MemoryRecord(
                            cache: candidate.name, context: context, bytes: count.total,
                            bitsPerElement: count.bitsPerElement)))
            }
        }
    }

    private func measureText() throws {
        guard let text = plan.text else { return }
        for (number, offset) in text.options.offsets.enumerated() {
            let missing = candidates.filter {
                !done.contains(
                    .window(of: text.name, offset: offset, cache: $0.name, text.options))
            }
            try begin("text, window \(number + 1) of \(text.options.offsets.count)")
            if !missing.isEmpty {
                for record in try text.measure(
                    offset: offset, candidates: missing, isCancelled: isCancelled)
                {
                    try add(.text(record))
                }
            }
            end(windowCost)
        }
    }

    private func measureLayers() throws {
        guard !plan.layerSample.isEmpty else { return }
        let missing = candidates.filter {
            !$0.isReference
                && !done.contains(.layer(0, tokens: plan.layerSample.count, cache: $0.name))
        }
        try begin("errors of layers")
        if !missing.isEmpty {
            let records = try LayerMeasurement(model: model).measure(
                tokens: plan.layerSample, candidates: missing, isCancelled: isCancelled)
            // Layer 0 goes last: its line says that a cache's are complete.
            for record in records.sorted(by: { $0.layer > $1.layer }) { try add(.layer(record)) }
        }
        end(layerCost)
    }

    private func askQuestions() throws {
        guard !plan.tasks.isEmpty else { return }
        let answers = try AnswerRun(model: model, options: plan.answers)
        for task in plan.tasks {
            for (number, sample) in task.samples.enumerated() {
                let missing = candidates.filter {
                    !done.contains(.sample(task: sample.task, id: sample.id, cache: $0.name))
                }
                try begin("\(sample.task), question \(number + 1) of \(task.samples.count)")
                if !missing.isEmpty {
                    for record in try answers.answer(
                        sample, candidates: missing, isCancelled: isCancelled)
                    {
                        try add(.sample(record))
                    }
                }
                end(cost(of: sample))
            }
        }
    }

    /// Depth by depth, and in each repeat cache by cache, so that what else the machine does meets all alike.
    private func measureSpeed() throws {
        guard let speed = plan.speed else { return }
        let measured = candidates.filter { !$0.isControl }
        func isDone(_ candidate: CacheCandidate, _ depth: Int) -> Bool {
            done.contains(.speed(depth: depth, cache: candidate.name))
        }
        let missing = measured.filter { candidate in
            speed.depths.contains { !isDone(candidate, $0) }
        }
        let benchmarks = try missing.map { candidate in
            try DecodeBenchmark(
                model: model.transformer, policy: candidate.policy,
                calibration: candidate.calibration, tokens: speed.tokens, prefill: speed.prefill,
                repeats: 1, isCancelled: isCancelled)
        }
        for depth in speed.depths.sorted() {
            guard !missing.isEmpty else {
                end(cost(ofDepth: depth))
                continue
            }
            try begin("filling caches up to \(depth)")
            try DecodeBenchmark.fill(benchmarks, to: depth)
            var records = missing.map {
                SpeedRecord(cache: $0.name, depth: depth, decode: [], prefill: [], cacheBytes: 0)
            }
            for round in 1...max(speed.repeats, 1) {
                for (index, candidate) in missing.enumerated() where !isDone(candidate, depth) {
                    try begin("speed at \(depth), round \(round) of \(speed.repeats)")
                    let row = try benchmarks[index].measure(depth: depth) { _ in }
                    records[index].decode += row.decode.all
                    records[index].prefill += row.prefill?.all ?? []
                    records[index].cacheBytes = row.cacheBytes
                }
            }
            for record in records where !record.decode.isEmpty { try add(.speed(record)) }
            end(cost(ofDepth: depth))
        }
    }
}

/// How far an evaluation is.
public struct EvaluationProgress: Sendable, Hashable {
    /// What is being measured.
    public var step = ""
    /// Of ``total``, in units of time of no fixed length.
    public var done = 0
    public var total = 0

    public init() {}
}
