import InnerQ

/// A model's summary as tables on the terminal.
enum SummaryTable {
    static func write(_ summary: ModelSummary) throws {
        try writeText(summary)
        try writeMemory(summary)
        try writePasskeys(summary)
        try writeTasks(summary)
        try writeSpeed(summary)
        try writeLayers(summary)
        let judged = summary.caches.filter {
            !$0.verdict.isEmpty && ($0.grade != nil || $0.isReference)
        }
        guard judged.contains(where: { $0.grade != nil }) else { return }
        try Output.line("")
        for cache in judged {
            try Output.line("\(cache.isPareto ? "*" : " ") \(cache.cache): \(cache.verdict)")
        }
        if judged.contains(where: \.isPareto) {
            try Output.line("* no other cache is both smaller and closer to float16")
        }
    }

    private static func writeText(_ summary: ModelSummary) throws {
        guard summary.caches.contains(where: { $0.text != nil }) else { return }
        var table = Table([
            "<cache", "bits", "perplexity", "±", "increase", "±", "KL mean", "99 %", "max",
            "same choice",
        ])
        for cache in summary.caches {
            guard let text = cache.text else { continue }
            func percent(_ value: Double?, _ digits: Int) -> String {
                value.map { Format.fixed(100 * $0, digits) + " %" } ?? ""
            }
            table.row([
                cache.cache, Format.fixed(text.bitsPerElement, 2),
                Format.fixed(text.perplexity.value, 3), Format.fixed(text.perplexity.error, 3),
                text.increase.map { Format.signed(100 * $0.value, 2) + " %" } ?? "",
                text.increase.map { Format.fixed(100 * $0.error, 2) } ?? "",
                text.divergence.map { Format.fixed($0.value, 4) } ?? "",
                text.divergence99.map { Format.fixed($0, 3) } ?? "",
                text.largestDivergence.map { Format.fixed($0, 2) } ?? "",
                percent(text.agreement?.value, 2),
            ])
        }
        try Output.write(table.text)
    }

    private static func writeMemory(_ summary: ModelSummary) throws {
        let contexts = Set(summary.caches.flatMap { $0.memory.map(\.context) }).sorted()
        guard !contexts.isEmpty else { return }
        try Output.line("")
        var table = Table(
            ["<cache", "sealed bits"] + contexts.flatMap { ["\(Format.count($0)) tokens", "bits"] })
        for cache in summary.caches where !cache.isControl {
            table.row(
                [cache.cache, Format.fixed(cache.sealedBits, 2)]
                    + contexts.flatMap { context -> [String] in
                        guard let record = cache.memory.first(where: { $0.context == context })
                        else { return ["", ""] }
                        return [Format.bytes(record.bytes), Format.fixed(record.bitsPerElement, 2)]
                    })
        }
        try Output.write(table.text)
    }

    private static func writePasskeys(_ summary: ModelSummary) throws {
        let depths = Set(summary.caches.flatMap { $0.passkey.map(\.depth) }).sorted()
        guard !depths.isEmpty else { return }
        try Output.line("")
        var table = Table(
            ["<passkeys found", "length"] + depths.map { "at \(Format.fixed($0, 0)) %" })
        for cache in summary.caches {
            for length in Set(cache.passkey.map(\.length)).sorted() {
                table.row(
                    [cache.cache, Format.count(length)]
                        + depths.map { depth in
                            cache.passkey.first { $0.length == length && $0.depth == depth }
                                .map { "\($0.found)/\($0.asked)" } ?? ""
                        })
            }
        }
        try Output.write(table.text)
    }

    private static func writeTasks(_ summary: ModelSummary) throws {
        guard summary.caches.contains(where: { $0.tasks.contains { $0.task != "passkey" } }) else {
            return
        }
        try Output.line("")
        var table = Table([
            "<task", "<metric", "<cache", "score", "±", "difference", "±", "p", "n", "sealed",
        ])
        // One question has no error.
        func error(_ value: Double) -> String {
            value.isFinite ? Format.fixed(100 * value, 1) : ""
        }
        let names = Set(summary.caches.flatMap { $0.tasks.map(\.task) }).sorted()
        for name in names where name != "passkey" {
            for cache in summary.caches {
                for task in cache.tasks where task.task == name {
                    table.row([
                        name, task.metric, cache.cache, Format.fixed(100 * task.score.value, 1),
                        error(task.score.error),
                        task.comparison.map {
                            Format.signed(100 * $0.difference.value, 1)
                        } ?? "",
                        task.comparison.map { error($0.difference.error) } ?? "",
                        task.comparison.map { Format.fixed($0.pValue, 3) } ?? "",
                        "\(task.score.count)", Format.fixed(100 * task.sealedShare, 0) + " %",
                    ])
                }
            }
        }
        try Output.write(table.text)
    }

    private static func writeSpeed(_ summary: ModelSummary) throws {
        guard summary.caches.contains(where: { !$0.speed.isEmpty }) else { return }
        try Output.line("")
        var table = Table([
            "<cache", "depth", "prefill tokens/s", "decode tokens/s", "from", "to", "× float16",
        ])
        for cache in summary.caches {
            for speed in cache.speed {
                table.row([
                    cache.cache, Format.count(speed.depth),
                    speed.prefill.map { Format.fixed($0.median, 1) } ?? "-",
                    Format.fixed(speed.decode.median, 1), Format.fixed(speed.decode.lowest, 1),
                    Format.fixed(speed.decode.highest, 1),
                    speed.decodeRatio.map { Format.fixed($0, 2) } ?? "",
                ])
            }
        }
        try Output.write(table.text)
    }

    private static func writeLayers(_ summary: ModelSummary) throws {
        guard summary.caches.contains(where: { !$0.layers.isEmpty }) else { return }
        try Output.line("")
        var table = Table([
            "<errors of layers, medians", "keys", "values", "attention", "worst", "<",
        ])
        for cache in summary.caches where !cache.layers.isEmpty {
            func median(_ values: [Double]) -> Double {
                Spread(values)?.median ?? .nan
            }
            let worst = cache.layers.max { $0.output < $1.output }
            table.row([
                cache.cache, Format.fixed(median(cache.layers.map(\.keys)), 4),
                Format.fixed(median(cache.layers.map(\.values)), 4),
                Format.fixed(median(cache.layers.map(\.output)), 4),
                worst.map { Format.fixed($0.output, 4) } ?? "",
                worst.map { "layer \($0.layer)" } ?? "",
            ])
        }
        try Output.write(table.text)
    }
}
