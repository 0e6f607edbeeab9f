import Foundation

/// Errors of every layer, as heat maps.
enum LayerFigure {
    private struct Part: Sendable {
        var name: String
        var words: String
        var value: @Sendable (LayerRecord) -> Double
    }

    private static let parts = [
        Part(name: "Keys", words: "keys", value: \.keys),
        Part(name: "Values", words: "values", value: \.values),
        Part(name: "Attention output", words: "attention output", value: \.output),
    ]

    static func make(_ model: ModelSummary) -> Figure? {
        let caches = model.caches.filter { !$0.layers.isEmpty }
        let layers = Set(caches.flatMap { $0.layers.map(\.layer) }).sorted()
        guard !layers.isEmpty else { return nil }
        // One scale for all panels, so that they can be compared; controls do not stretch it.
        let compared = caches.contains { !$0.isControl } ? caches.filter { !$0.isControl } : caches
        let all = compared.flatMap { cache in
            cache.layers.flatMap { layer in parts.map { $0.value(layer) } }
        }
        .filter { $0.isFinite && $0 > 0 }
        let scale = StepScale(all)
        let panels = parts.map { part in
            GridChart(
                title: "Error of \(part.words)", unit: "Relative, root mean square",
                xTitle: "Layer",
                description: description(part, caches), rows: caches.map(\.cache),
                columns: layers.map { "\($0)" },
                cells: caches.map { cache in
                    layers.map { layer in
                        cache.layers.first { $0.layer == layer }.map { record in
                            let value = part.value(record)
                            return GridChart.Cell(
                                step: scale.step(value),
                                tip: [
                                    cache.cache, "layer \(layer)",
                                    "error of \(part.words) \(Numbers.significant(value))",
                                ])
                        }
                    }
                }
            ).panel()
        }
        return Figure(
            name: "layers", heading: "Errors by layer",
            caption:
                "How far keys, values and attention’s output are from float16’s in each layer, when the layer is given what the float16 model gives it: 0 is exact, 1 as bad as zeros. Errors do not add up over layers.",
            panels: panels, legend: scale.legend, tables: tables(caches, layers))
    }

    private static func description(_ part: Part, _ caches: [CacheSummary]) -> String {
        "Shaded cells, a row a cache and a column a layer. Median error of \(part.words): "
            + caches.map { cache in
                let median = Spread(cache.layers.map(part.value))?.median
                return "\(cache.cache) \(Numbers.significant(median ?? .nan))"
            }.joined(separator: "; ") + "."
    }

    private static func tables(_ caches: [CacheSummary], _ layers: [Int]) -> [DataTable] {
        parts.map { part in
            DataTable(
                caption: "relative error of \(part.words) by layer",
                columns: ["Cache"] + layers.map { "\($0)" },
                rows: caches.map { cache in
                    [cache.cache]
                        + layers.map { layer in
                            cache.layers.first { $0.layer == layer }
                                .map { Numbers.significant(part.value($0), 2) } ?? Numbers.missing
                        }
                })
        }
    }
}

/// Steps of about equal ratios between round limits.
struct StepScale {
    /// Upper limits of all steps but the last.
    let limits: [Double]

    init(_ values: [Double]) {
        let low = values.min() ?? 0.01
        let high = max(low, values.max() ?? 1)
        func limits(_ folds: [Double]) -> [Double] {
            (-6...3).flatMap { power in folds.map { $0 * pow(10, Double(power)) } }
                .filter { $0 > low && $0 < high }
        }
        // The finest that there are steps for; where even the coarsest has too many, its upper ones, where
        // differences matter.
        let choices = [
            [1, 1.5, 2, 3, 4, 5, 6, 8], [1, 1.5, 2, 3, 5, 7], [1, 2, 3, 5, 7], [1, 2, 3, 5],
            [1, 2, 5], [1],
        ].map(limits)
        let fitting = choices.first { $0.count < Palette.steps } ?? choices[choices.count - 1]
        self.limits = Array(fitting.suffix(Palette.steps - 1))
    }

    func step(_ value: Double) -> Int {
        guard !value.isNaN else { return Palette.steps - 1 }
        let rank = limits.count { value >= $0 }
        return shade(rank)
    }

    /// Few steps spread over the whole scale.
    private func shade(_ rank: Int) -> Int {
        guard !limits.isEmpty else { return 0 }
        let place = Double(rank) / Double(limits.count) * Double(Palette.steps - 1)
        return Int(place.rounded())
    }

    /// A bar of all steps with the limits between them.
    var legend: Markup {
        let count = limits.count + 1
        var items: [Markup] = []
        for rank in 0..<count {
            let words =
                limits.isEmpty
                ? "all"
                : rank == 0
                    ? "below \(Numbers.tick(limits[0]))"
                    : rank == limits.count
                        ? "\(Numbers.tick(limits[rank - 1])) and more"
                        : "\(Numbers.tick(limits[rank - 1])) to \(Numbers.tick(limits[rank]))"
            let step = shade(rank)
            items.append(
                tag(
                    "li", [],
                    [
                        tag("span", [("class", "swatch s\(step)"), ("aria-hidden", "true")]),
                        Markup(words),
                    ]))
        }
        return Markup([
            tag("p", [("class", "legend-title")], ["Relative error"]),
            tag("ul", [("class", "steps")], items),
        ])
    }
}
