/// One line of a results file: JSON with a `kind`, written as soon as it was measured.
///
///     {"kind":"run", …}        what is measured: model, settings, machine; the first line
///     {"kind":"cache", …}      a cache that takes part
///     {"kind":"memory", …}     its bytes at one context length
///     {"kind":"text", …}       one window of text through it: loss, divergence from float16, agreement
///     {"kind":"layer", …}      errors of keys, values and attention in one layer
///     {"kind":"speed", …}      prefill and decode at one depth
///     {"kind":"sample", …}     one question of one task: answer and scores
///
/// Lines add up in any order; a run that was stopped goes on behind the last whole one.
public enum ResultRecord: Sendable, Hashable {
    case run(RunRecord)
    case cache(CacheRecord)
    case memory(MemoryRecord)
    case text(TextRecord)
    case layer(LayerRecord)
    case speed(SpeedRecord)
    case sample(SampleRecord)
}

extension ResultRecord: Codable {
    private enum Kind: String, Codable {
        case run, cache, memory, text, layer, speed, sample
    }
    private enum CodingKeys: String, CodingKey { case kind }

    public init(from decoder: any Decoder) throws {
        let kind = try decoder.container(keyedBy: CodingKeys.self).decode(Kind.self, forKey: .kind)
        switch kind {
        case .run: self = .run(try RunRecord(from: decoder))
        case .cache: self = .cache(try CacheRecord(from: decoder))
        case .memory: self = .memory(try MemoryRecord(from: decoder))
        case .text: self = .text(try TextRecord(from: decoder))
        case .layer: self = .layer(try LayerRecord(from: decoder))
        case .speed: self = .speed(try SpeedRecord(from: decoder))
        case .sample: self = .sample(try SampleRecord(from: decoder))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        let (kind, record): (Kind, any Encodable) =
            switch self {
            case .run(let record): (.run, record)
            case .cache(let record): (.cache, record)
            case .memory(let record): (.memory, record)
            case .text(let record): (.text, record)
            case .layer(let record): (.layer, record)
            case .speed(let record): (.speed, record)
            case .sample(let record): (.sample, record)
            }
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(kind, forKey: .kind)
        try record.encode(to: encoder)
    }
}
