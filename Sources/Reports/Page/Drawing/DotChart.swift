import Foundation

/// Dots with error bars on one axis: a row a cache.
struct DotChart {
    struct Row {
        var name: String
        var style: SeriesStyle
        var value: Double
        var error: Double
        /// Written behind the dot.
        var note: String
        var tip: [String]
    }

    var title: String
    var unit: String
    var description: String
    /// A line down the panel.
    var mark: Double?
    var rows: [Row]

    func panel() -> Panel {
        let names = rows.map { TextSize.fit($0.name, LabelPlacer.fontSize, width: 170) }
        let left = (names.map { TextSize.width($0, LabelPlacer.fontSize) }.max() ?? 0) + 14
        let right = Panel.width - 26
        let top = 42.0
        let rowHeight = 16.0
        let bottom = top + Double(rows.count) * rowHeight
        let ends = rows.flatMap { row in
            row.value.isFinite ? [row.value, row.value + (row.error.isFinite ? row.error : 0)] : []
        }
        // Scores are shares: nothing is beyond 1.
        let most = min(1, max(0.05, (ends.max() ?? 1) * 1.05))
        let x = Scale(.linear, 0, most, from: left, to: right)
        var content = Panel.heading(title, unit)
        for tick in x.ticks(5) {
            content.append(
                Shape.line(Point(x: x(tick), y: top - 4), Point(x: x(tick), y: bottom), "grid"))
            content.append(
                Shape.text(
                    Numbers.tick(100 * tick) + " %", at: Point(x: x(tick), y: bottom + 15), .middle,
                    "tick"))
        }
        if let mark, mark.isFinite {
            content.append(
                Shape.line(Point(x: x(mark), y: top - 4), Point(x: x(mark), y: bottom), "axis"))
        }
        for (index, row) in rows.enumerated() {
            let y = top + (Double(index) + 0.5) * rowHeight
            content.append(
                Shape.text(names[index], at: Point(x: left - 10, y: y + 4), .end, "label"))
            guard row.value.isFinite else { continue }
            var parts: [Markup] = []
            if row.error.isFinite, row.error > 0 {
                parts.append(
                    Shape.errorBar(
                        y: y, from: x(row.value - row.error), to: x(row.value + row.error)))
            }
            parts.append(Shape.marker(row.style, at: Point(x: x(row.value), y: y), radius: 4.2))
            parts.append(
                Shape.rect(
                    Box(
                        left: x(row.value) - 10, top: y - 8, right: x(row.value) + 10, bottom: y + 8
                    ), "hit"))
            content.append(Shape.point(row.style.colour, tip: row.tip, parts))
            if !row.note.isEmpty {
                let behind = x(row.value + (row.error.isFinite ? row.error : 0))
                content.append(
                    Shape.text(row.note, at: Point(x: max(behind, x(row.value) + 4) + 5, y: y + 4)))
            }
        }
        return Panel(title: title, description: description, height: bottom + 22, content: content)
    }
}
