import Generation
import Reports

/// What makes a measurement the same, so that a run that goes on does not take it again.
enum MeasurementKey: Hashable {
    case cache(String)
    case memory(context: Int, cache: String)
    case text(String, PerplexityOptions, cache: String)
    case layer(Int, tokens: Int, cache: String)
    case speed(depth: Int, cache: String)
    case sample(task: String, id: String, cache: String)

    /// - Returns: `nil` for the record of a run, which measures nothing.
    init?(_ record: ResultRecord) {
        switch record {
        case .run: return nil
        case .cache(let record): self = .cache(record.cache)
        case .memory(let record): self = .memory(context: record.context, cache: record.cache)
        case .text(let record):
            self = .window(
                of: record.text, offset: record.offset, cache: record.cache,
                PerplexityOptions(
                    context: record.context, prefill: record.prefill,
                    scoredFrom: record.scoredFrom))
        case .layer(let record):
            self = .layer(record.layer, tokens: record.tokens, cache: record.cache)
        case .speed(let record): self = .speed(depth: record.depth, cache: record.cache)
        case .sample(let record):
            self = .sample(task: record.task, id: record.id, cache: record.cache)
        }
    }

    /// One window of a text, whatever other windows there are.
    static func window(
        of text: String, offset: Int, cache: String, _ options: PerplexityOptions
    ) -> MeasurementKey {
        var options = options
        options.offsets = [offset]
        options.scoredFrom = options.scoredFrom ?? options.prefill
        return .text(text, options, cache: cache)
    }
}
