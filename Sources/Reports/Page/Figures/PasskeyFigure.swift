import Foundation

/// Passkeys found, by length and depth.
enum PasskeyFigure {
    static func make(_ model: ModelSummary) -> Figure? {
        let caches = model.caches.filter { !$0.passkey.isEmpty }
        let lengths = Set(caches.flatMap { $0.passkey.map(\.length) }).sorted()
        guard !lengths.isEmpty else { return nil }
        let panels = lengths.map { length in
            let depths = Set(
                caches.flatMap { $0.passkey.filter { $0.length == length }.map(\.depth) }
            ).sorted()
            return GridChart(
                title: "\(Numbers.count(length)) tokens", unit: "Passkeys found of those asked for",
                xTitle: "Place of the passkey in the text, %",
                description: description(caches, length), rows: caches.map(\.cache),
                columns: depths.map(Numbers.tick),
                cells: caches.map { cache in
                    depths.map { depth in
                        cache.passkey.first { $0.length == length && $0.depth == depth }.map {
                            cell($0, cache)
                        }
                    }
                }, rowHeight: 19
            ).panel()
        }
        let rows = caches.flatMap { cache in
            cache.passkey.map {
                [
                    cache.cache, Numbers.count($0.length), Numbers.tick($0.depth) + " %",
                    "\($0.found)",
                    "\($0.asked)", Numbers.percent($0.share, 0),
                ]
            }
        }
        return Figure(
            name: "passkey", heading: "Passkeys found",
            caption:
                "A number is hidden in a long text and asked for at its end. Cells fade into the page the larger the share that was found; those that stand out are losses. Narrow cells hold the number found alone.",
            panels: panels,
            tables: [
                DataTable(
                    caption: "passkeys found",
                    columns: ["Cache", "Tokens", "Depth", "Found", "Asked", "Share"], rows: rows)
            ])
    }

    private static func cell(_ cell: PasskeyCell, _ cache: CacheSummary) -> GridChart.Cell {
        let lost = 1 - min(1, max(0, cell.share))
        return GridChart.Cell(
            step: Int((lost * Double(Palette.steps - 1)).rounded(.up)),
            text: "\(cell.found)/\(cell.asked)", shortText: "\(cell.found)",
            tip: [
                cache.cache,
                "\(Numbers.count(cell.length)) tokens, passkey at \(Numbers.tick(cell.depth)) %",
                "\(cell.found) of \(cell.asked) found (\(Numbers.percent(cell.share, 0)))",
            ])
    }

    private static func description(_ caches: [CacheSummary], _ length: Int) -> String {
        "Shaded cells, a row a cache and a column a depth. Found in all: "
            + caches.map { cache in
                let cells = cache.passkey.filter { $0.length == length }
                return
                    "\(cache.cache) \(cells.reduce(0) { $0 + $1.found }) of \(cells.reduce(0) { $0 + $1.asked })"
            }.joined(separator: "; ") + "."
    }
}
