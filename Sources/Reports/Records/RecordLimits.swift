/// Numbers that a damaged file may hold and no run writes: sums of them would overflow, pages of them make no sense.
extension ResultRecord {
    /// What is wrong, naming the field; `nil` where nothing is.
    var fault: String? {
        switch self {
        case .run(let run):
            Limits.fault([
                ("layers", run.model.layers), ("queryHeads", run.model.queryHeads),
                ("kvHeads", run.model.kvHeads), ("headSize", run.model.headSize),
                ("contextLength", run.model.contextLength), ("threads", run.machine.threads),
            ]) ?? Limits.fault([("weightBytes", run.model.weightBytes)], bytes: true)
        case .cache: nil
        case .memory(let record):
            Limits.fault([("context", record.context)])
                ?? Limits.fault([("bytes", record.bytes)], bytes: true)
        case .text(let record): Self.fault(record)
        case .layer(let record):
            Limits.fault([("layer", record.layer), ("tokens", record.tokens)])
        case .speed(let record):
            Limits.fault([("depth", record.depth)])
                ?? Limits.fault([("cacheBytes", record.cacheBytes)], bytes: true)
        case .sample(let record):
            Limits.fault([
                ("promptTokens", record.promptTokens), ("answerTokens", record.answerTokens),
                ("sealedTokens", record.sealedTokens),
            ])
        }
    }

    private static func fault(_ record: TextRecord) -> String? {
        if let agreements = record.agreements, agreements > record.loss.count {
            return "the field 'agreements' is more than the tokens (\(agreements))"
        }
        return Limits.fault([
            ("offset", record.offset), ("context", record.context), ("prefill", record.prefill),
            ("agreements", record.agreements ?? 0),
        ]) ?? Limits.fault([("cacheBytes", record.cacheBytes)], bytes: true)
    }
}

private enum Limits {
    static func fault(_ fields: [(name: String, value: Int)], bytes: Bool = false) -> String? {
        let limit = bytes ? 1 << 56 : 1 << 40
        for (name, value) in fields where !(0...limit).contains(value) {
            return "the field '\(name)' is out of range (\(value))"
        }
        return nil
    }
}
