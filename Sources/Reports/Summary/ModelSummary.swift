import Foundation

/// What results files say about one model, cache by cache.
public struct ModelSummary: Sendable, Codable {
    public var runs: [RunRecord]
    /// The reference first, then in the order in which they were named.
    public var caches: [CacheSummary]

    public var model: ModelRecord { runs[0].model }
    public var reference: CacheSummary? { caches.first(where: \.isReference) }

    /// One summary a model, in the order of the files. Records of one model in several files add up; where two files measured the
    /// same window, question, layer or depth of a cache, the first counts.
    public static func make(of files: [[ResultRecord]]) -> [ModelSummary] {
        var builders: [SummaryBuilder] = []
        for records in files {
            guard
                case .run(let run)? = records.first(where: {
                    if case .run = $0 { true } else { false }
                })
            else { continue }
            let known = builders.firstIndex { $0.fingerprint == run.model.fingerprint }
            if known == nil { builders.append(SummaryBuilder(run.model.fingerprint)) }
            builders[known ?? builders.count - 1].add(records)
        }
        return builders.map { $0.summary() }
    }
}

/// Gathers the records of one model.
struct SummaryBuilder {
    let fingerprint: String
    private var runs: [RunRecord] = []
    private var order: [String] = []
    private var caches: [String: CacheRecord] = [:]
    private var memory: [String: [Int: MemoryRecord]] = [:]
    private var texts: [String: [String: TextRecord]] = [:]
    private var layers: [String: [Int: LayerRecord]] = [:]
    private var speed: [String: [Int: SpeedRecord]] = [:]
    private var samples: [String: [String: SampleRecord]] = [:]

    init(_ fingerprint: String) { self.fingerprint = fingerprint }

    mutating func add(_ records: [ResultRecord]) {
        for record in records {
            switch record {
            case .run(let run): runs.append(run)
            case .cache(let cache):
                if caches[cache.cache] == nil { order.append(cache.cache) }
                caches[cache.cache] = caches[cache.cache] ?? cache
            case .memory(let record):
                memory[record.cache, default: [:]].keep(record, for: record.context)
            case .text(let record):
                texts[record.cache, default: [:]].keep(
                    record,
                    for: "\(record.offset) \(record.context) \(record.prefill) \(record.text)")
            case .layer(let record):
                layers[record.cache, default: [:]].keep(record, for: record.layer)
            case .speed(let record):
                speed[record.cache, default: [:]].keep(record, for: record.depth)
            case .sample(let record):
                samples[record.cache, default: [:]].keep(
                    record, for: "\(record.task)\n\(record.id)")
            }
        }
    }

    func summary() -> ModelSummary {
        var result: [CacheSummary] = order.compactMap { caches[$0] }.map { cache in
            CacheSummary(
                cache: cache.cache, keys: cache.keys, values: cache.values,
                sealedBits: cache.sealedBits, isReference: cache.isReference,
                isControl: cache.isControl)
        }
        result.sort { $0.isReference && !$1.isReference }
        let reference = result.first(where: \.isReference)?.cache
        for index in result.indices {
            let name = result[index].cache
            result[index].memory = (memory[name] ?? [:]).values.sorted { $0.context < $1.context }
            result[index].layers = (layers[name] ?? [:]).values.sorted { $0.layer < $1.layer }
            result[index].text = TextSummary(texts[name].map { Array($0.values) } ?? [])
            let answers = samples[name] ?? [:]
            let others = reference == name ? nil : reference.flatMap { samples[$0] }
            result[index].passkey = PasskeyCell.cells(Array(answers.values))
            result[index].tasks = TaskSummary.make(of: answers, reference: others)
            let base = reference.flatMap { speed[$0] } ?? [:]
            result[index].speed = (speed[name] ?? [:]).values.sorted { $0.depth < $1.depth }
                .compactMap { SpeedSummary($0, reference: base[$0.depth]) }
        }
        for index in result.indices { result[index].judge(by: result.first(where: \.isReference)) }
        result.markPareto()
        return ModelSummary(runs: runs, caches: result)
    }
}

extension Dictionary {
    /// The first value of a key stays.
    fileprivate mutating func keep(_ value: Value, for key: Key) {
        if self[key] == nil { self[key] = value }
    }
}
