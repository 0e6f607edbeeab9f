/// Quality against bits.
enum QualityFigure {
    static func make(_ model: ModelSummary, _ styles: [SeriesStyle]) -> Figure? {
        let panels = [divergence(model, styles), increase(model, styles)].compactMap { $0?.panel() }
        guard !panels.isEmpty else { return nil }
        let columns = [
            "Cache", "Bits an element", "Mean KL divergence (nats)", "± standard error",
            "Perplexity increase", "± standard error", "Pareto",
        ]
        let rows = model.caches.filter { $0.text != nil }.map { cache in
            let text = cache.text
            return [
                cache.cache, Numbers.fixed(cache.bits, 2),
                cache.isReference
                    ? "0"
                    : text?.divergence.map { Numbers.significant($0.value) } ?? Numbers.missing,
                text?.divergence.map { Numbers.significant($0.error, 2) } ?? Numbers.missing,
                cache.isReference
                    ? "0 %" : text?.increase.map { Numbers.change($0.value) } ?? Numbers.missing,
                text?.increase.map { Numbers.percent($0.error, 2) } ?? Numbers.missing,
                cache.isPareto ? "yes" : "no",
            ]
        }
        return Figure(
            name: "quality", heading: "Quality against size",
            caption:
                "Lower and farther left is better. Bars are one standard error. Ringed points, joined by the line, are the Pareto set: no other cache is both smaller and closer to float16. Crosses are controls, broken on purpose. An arrow marks a value beyond the axis.",
            panels: panels,
            tables: [DataTable(caption: "quality against size", columns: columns, rows: rows)])
    }

    /// The first panel; `nil` where no divergence was measured.
    static func divergence(_ model: ModelSummary, _ styles: [SeriesStyle]) -> ScatterChart? {
        let dots = zip(model.caches, styles).compactMap { cache, style in
            dot(cache, style, cache.text?.divergence) {
                "KL divergence \(Numbers.significant($0.value))\(plusMinus($0.error)) nats"
            }
        }
        guard dots.contains(where: { $0.value != 0 }) else { return nil }
        return ScatterChart(
            title: "Divergence from float16", unit: "Mean KL divergence, nats a token (log scale)",
            description: description("mean KL divergence from float16", dots) {
                Numbers.significant($0)
            },
            floorLabel: "0", yLabel: Numbers.tick, valueLabel: { Numbers.significant($0) },
            dots: dots)
    }

    static func increase(_ model: ModelSummary, _ styles: [SeriesStyle]) -> ScatterChart? {
        let dots = zip(model.caches, styles).compactMap { cache, style in
            dot(cache, style, cache.text?.increase) {
                "perplexity \(Numbers.change($0))"
            }
        }
        guard dots.contains(where: { $0.value != 0 }) else { return nil }
        return ScatterChart(
            title: "Increase of perplexity", unit: "Over float16’s (log scale)",
            description: description("increase of perplexity over float16's", dots) {
                Numbers.change($0)
            },
            floorLabel: "≤ 0", yLabel: { Numbers.tick(100 * $0.rounded(toSignificant: 4)) + " %" },
            valueLabel: { Numbers.change($0) }, dots: dots)
    }

    private static func dot(
        _ cache: CacheSummary, _ style: SeriesStyle, _ estimate: Estimate?,
        _ words: (Estimate) -> String
    ) -> ScatterChart.Dot? {
        guard cache.text != nil, let value = cache.isReference ? 0 : estimate?.value else {
            return nil
        }
        var tip = [cache.cache, Numbers.fixed(cache.bits, 2) + " bits an element"]
        if cache.isReference {
            tip.append("the reference")
        } else if let estimate {
            tip.append(words(estimate))
        }
        if cache.isPareto { tip.append("in the Pareto set") }
        if cache.isControl { tip.append("a control, broken on purpose") }
        return ScatterChart.Dot(
            name: cache.cache, style: style, bits: cache.bits, value: value,
            error: estimate?.error ?? 0, isReference: cache.isReference, isPareto: cache.isPareto,
            tip: tip)
    }

    private static func plusMinus(_ error: Double) -> String {
        error.isFinite ? " ± " + Numbers.significant(error, 2) : ""
    }

    private static func description(
        _ what: String, _ dots: [ScatterChart.Dot], _ number: (Double) -> String
    ) -> String {
        "Points of \(what) against bits an element. "
            + dots.map { "\($0.name): \(Numbers.fixed($0.bits, 2)) bits, \(number($0.value))" }
            .joined(separator: "; ") + "."
    }
}
