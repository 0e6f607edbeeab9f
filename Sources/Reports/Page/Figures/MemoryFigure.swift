/// Memory against context.
enum MemoryFigure {
    static func make(_ model: ModelSummary, _ styles: [SeriesStyle]) -> Figure? {
        guard model.caches.contains(where: { !$0.memory.isEmpty }) else { return nil }
        let reference = model.reference?.memory ?? []
        func times(_ record: MemoryRecord) -> Double? {
            guard record.bytes > 0,
                let other = reference.first(where: { $0.context == record.context })
            else { return nil }
            return Double(other.bytes) / Double(record.bytes)
        }
        func series(_ y: (MemoryRecord) -> Double?) -> [LineChart.Series] {
            zip(model.caches, styles).filter { !$0.0.isControl }.map { cache, style in
                LineChart.Series(
                    name: cache.cache, style: style, isReference: cache.isReference,
                    points: cache.memory.compactMap { record in
                        y(record).map { value in
                            LineChart.Value(
                                x: Double(record.context), y: value,
                                tip: tip(cache, record, times(record)))
                        }
                    })
            }
        }
        let bytes = LineChart(
            title: "Memory of a sequence", unit: "Bytes of keys and values (log scale)",
            xTitle: "Tokens in the cache (log scale)", xKind: .log, yKind: .log,
            hasBinaryTicks: true,
            yLabel: Numbers.bytesTick,
            xLabel: { Numbers.context(Int(clamping: $0)) },
            description: "Lines of bytes against tokens, one a cache; the table holds every value.",
            series: series { Double($0.bytes) })
        let share = LineChart(
            title: "Times smaller than float16", unit: "Bytes of float16 over bytes of the cache",
            xTitle: "Tokens in the cache (log scale)", xKind: .log, yKind: .linear, mark: 1,
            yLabel: { Numbers.tick($0) + " ×" }, xLabel: { Numbers.context(Int(clamping: $0)) },
            description:
                "Lines of the ratio against tokens, one a cache; the table holds every value.",
            series: series(times))
        let rows = model.caches.flatMap { cache in
            cache.memory.map { record in
                [
                    cache.cache, Numbers.count(record.context), Numbers.count(record.bytes),
                    Numbers.bytes(record.bytes), Numbers.fixed(record.bitsPerElement, 2),
                    times(record).map { Numbers.fixed($0, 2) } ?? Numbers.missing,
                ]
            }
        }
        return Figure(
            name: "memory", heading: "Memory against context",
            caption:
                "Counted bytes of one sequence, windows, scales and outliers included. Windows that stay in float16 weigh less the longer the sequence. Controls stand in the table alone.",
            panels: [bytes.panel(), reference.isEmpty ? nil : share.panel()].compactMap { $0 },
            tables: [
                DataTable(
                    caption: "memory against context",
                    columns: [
                        "Cache", "Tokens", "Bytes", "In short", "Bits an element",
                        "Times smaller than float16",
                    ], rows: rows)
            ])
    }

    private static func tip(_ cache: CacheSummary, _ record: MemoryRecord, _ times: Double?)
        -> [String]
    {
        var tip = [
            cache.cache, Numbers.count(record.context) + " tokens",
            "\(Numbers.exactBytes(record.bytes)) (\(Numbers.bytes(record.bytes)))",
            Numbers.fixed(record.bitsPerElement, 2) + " bits an element",
        ]
        if let times, !cache.isReference {
            tip.append(Numbers.fixed(times, 2) + " times smaller than float16")
        }
        return tip
    }
}
