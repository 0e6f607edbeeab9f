/// Decode speed against depth.
enum SpeedFigure {
    static func make(_ model: ModelSummary, _ styles: [SeriesStyle]) -> Figure? {
        guard model.caches.contains(where: { !$0.speed.isEmpty }) else { return nil }
        func series(_ y: (SpeedSummary) -> Double?, whiskers: Bool) -> [LineChart.Series] {
            zip(model.caches, styles).filter { !$0.0.isControl }.map { cache, style in
                LineChart.Series(
                    name: cache.cache, style: style, isReference: cache.isReference,
                    points: cache.speed.compactMap { speed in
                        y(speed).map { value in
                            LineChart.Value(
                                x: Double(speed.depth), y: value,
                                range: whiskers ? range(speed.decode) : nil, tip: tip(cache, speed))
                        }
                    })
            }
        }
        let rate = LineChart(
            title: "Decode speed", unit: "Tokens a second", xTitle: "Tokens in the cache",
            xKind: .linear, yKind: .linear, yLabel: Numbers.tick,
            xLabel: { Numbers.count(Int(clamping: $0)) },
            description:
                "Lines of tokens a second against tokens in the cache; the table holds every value.",
            series: series({ $0.decode.median }, whiskers: true))
        let hasRatio = model.caches.contains {
            !$0.isReference && $0.speed.contains { $0.decodeRatio != nil }
        }
        let ratio = LineChart(
            title: "Decode speed over float16’s", unit: "Ratio of the medians; above 1 is faster",
            xTitle: "Tokens in the cache", xKind: .linear, yKind: .linear, mark: 1,
            yLabel: { Numbers.tick($0) + " ×" }, xLabel: { Numbers.count(Int(clamping: $0)) },
            description:
                "Lines of the ratio against tokens in the cache; the table holds every value.",
            series: series({ $0.decodeRatio }, whiskers: false))
        return Figure(
            name: "speed", heading: "Decode speed against depth",
            caption:
                "Medians of the repeats at each depth; whiskers reach from the slowest to the fastest. One sequence, on the machine named above. Controls stand in the table alone.",
            panels: [rate.panel(), hasRatio ? ratio.panel() : nil].compactMap { $0 },
            tables: [table(model)])
    }

    private static func table(_ model: ModelSummary) -> DataTable {
        let rows = model.caches.flatMap { cache in
            cache.speed.map { speed in
                [
                    cache.cache, Numbers.count(speed.depth), Numbers.fixed(speed.decode.median, 2),
                    Numbers.fixed(speed.decode.lowest, 2), Numbers.fixed(speed.decode.highest, 2),
                    speed.decodeRatio.map { Numbers.fixed($0, 2) } ?? Numbers.missing,
                    speed.prefill.map { Numbers.fixed($0.median, 1) } ?? Numbers.missing,
                ]
            }
        }
        return DataTable(
            caption: "decode and prefill speed, tokens a second",
            columns: [
                "Cache", "Tokens in the cache", "Decode, median", "Slowest", "Fastest",
                "Over float16’s", "Prefill, median",
            ], rows: rows)
    }

    private static func range(_ spread: Spread) -> ClosedRange<Double>? {
        spread.lowest <= spread.highest ? spread.lowest...spread.highest : nil
    }

    private static func tip(_ cache: CacheSummary, _ speed: SpeedSummary) -> [String] {
        var tip = [
            cache.cache, "at \(Numbers.count(speed.depth)) tokens",
            "\(Numbers.fixed(speed.decode.median, 2)) tokens a second (\(Numbers.fixed(speed.decode.lowest, 2)) to \(Numbers.fixed(speed.decode.highest, 2)))",
        ]
        if let ratio = speed.decodeRatio, !cache.isReference {
            tip.append(Numbers.fixed(ratio, 2) + " times float16’s")
        }
        return tip
    }
}
