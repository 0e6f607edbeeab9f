import Foundation

/// Shaded cells: a row a cache.
struct GridChart {
    struct Cell {
        /// From 0, the palest, to ``Palette/steps`` less 1; `nil` where nothing was measured.
        var step: Int?
        var text = ""
        /// Where there is no room for `text`.
        var shortText = ""
        var tip: [String]
    }

    var title: String
    var unit: String
    var xTitle: String
    var description: String
    var rows: [String]
    var columns: [String]
    /// Row by row; `nil` leaves a hole.
    var cells: [[Cell?]]
    var rowHeight = 17.0

    func panel() -> Panel {
        let names = rows.map { TextSize.fit($0, LabelPlacer.fontSize, width: 170) }
        let left = (names.map { TextSize.width($0, LabelPlacer.fontSize) }.max() ?? 0) + 8
        let width = (Panel.width - left - 2) / Double(max(1, columns.count))
        let top = 38.0
        let bottom = top + Double(rows.count) * rowHeight
        var content = Panel.heading(title, unit)
        for (row, name) in names.enumerated() {
            let middle = top + (Double(row) + 0.5) * rowHeight
            content.append(Shape.text(name, at: Point(x: left - 6, y: middle + 4), .end, "label"))
            for (column, cell) in cells[row].enumerated() {
                guard let cell else { continue }
                let box = Box(
                    left: left + Double(column) * width, top: top + Double(row) * rowHeight,
                    right: left + Double(column + 1) * width,
                    bottom: top + Double(row + 1) * rowHeight)
                content.append(draw(cell, in: box, row: row, column: column))
            }
        }
        // Names of columns, as far as there is room.
        let widest = (columns.map { TextSize.width($0, LabelPlacer.fontSize) }.max() ?? 0) + 5
        let every = max(1, Int((widest / width).rounded(.up)))
        for (column, name) in columns.enumerated() where column % Self.stride(every) == 0 {
            let x = left + (Double(column) + 0.5) * width
            // The last name may be wider than its column.
            let most = Panel.width - TextSize.width(name, LabelPlacer.fontSize) / 2
            content.append(
                Shape.text(name, at: Point(x: min(x, most), y: bottom + 14), .middle, "tick"))
        }
        content.append(Shape.text(xTitle, at: Point(x: left, y: bottom + 30), .start, "unit"))
        return Panel(title: title, description: description, height: bottom + 36, content: content)
    }

    /// A round one.
    private static func stride(_ least: Int) -> Int {
        [1, 2, 5, 10, 20, 50, 100].first { $0 >= least } ?? least
    }

    private func draw(_ cell: Cell, in box: Box, row: Int, column: Int) -> Markup {
        var parts = [Shape.rect(box, cell.step == nil ? "hit" : "")]
        if let (text, size) = words(of: cell, width: box.width - 2) {
            let middle = Point(
                x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2 + size * 0.36)
            parts.append(Shape.text(text, at: middle, .middle, "value", size: size))
        }
        let isDense = box.width < 6
        return tag(
            "g",
            [
                (
                    "class",
                    "pt cell" + (isDense ? " dense" : "") + (cell.step.map { " step-\($0)" } ?? "")
                ),
                ("data-row", "\(row)"), ("data-column", "\(column)"),
            ], [tag("title", [], [Markup(cell.tip.joined(separator: "\n"))])] + parts)
    }

    /// What fits into the cell, and its size.
    private func words(of cell: Cell, width: Double) -> (String, Double)? {
        for text in [cell.text, cell.shortText] where !text.isEmpty {
            let size = min(10.5, width / TextSize.width(text, 1))
            if size >= 7.5 { return (text, size) }
        }
        return nil
    }
}
