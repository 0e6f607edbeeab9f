/// A figure of a model's section: drawings, what they show, and the same numbers as a table.
struct Figure {
    /// Of its links, such as `quality`.
    var name: String
    var heading: String
    var caption: String
    var panels: [Panel]
    /// A legend, where lines and points are not named themselves.
    var legend: Markup?
    var tables: [DataTable]

    func section(prefix: String) -> Markup {
        let id = "\(prefix)-\(name)"
        var drawings = panels.enumerated().map { index, panel in
            tag("div", [("class", "panel")], [panel.drawing(id: "\(id)-\(index + 1)")])
        }
        if let legend { drawings.append(tag("div", [("class", "panel legend")], [legend])) }
        let tables = tables.enumerated().map { $1.details(id: "\(id)-table-\($0 + 1)") }
        return tag(
            "section", [("id", id), ("aria-labelledby", id + "-h")],
            [
                tag("h3", [("id", id + "-h")], [Markup(heading)]),
                tag(
                    "figure", [],
                    [
                        tag("div", [("class", "panels")], drawings),
                        tag("figcaption", [], [Markup(caption)]),
                    ] + tables),
            ])
    }
}

/// Numbers in rows, the first cell naming each.
struct DataTable {
    var caption: String
    var columns: [String]
    var rows: [[String]]
    /// Columns of words, which are set to the left.
    var words: Set<Int> = [0]

    /// Behind a line that opens it.
    func details(id: String) -> Markup {
        tag("details", [], [tag("summary", [], [Markup("Table: \(caption)")]), scrolling(id: id)])
    }

    /// In a box of its own that scrolls where the page is narrow.
    func scrolling(id: String) -> Markup {
        tag(
            "div",
            [
                ("class", "scroll"), ("role", "region"), ("tabindex", "0"),
                ("aria-labelledby", id),
            ], [table(id: id)])
    }

    private func table(id: String) -> Markup {
        let head = columns.enumerated().map { index, column in
            tag("th", [("scope", "col")] + style(index), [Markup(column)])
        }
        let body = rows.map { row in
            tag(
                "tr", [],
                row.enumerated().map { index, cell in
                    index == 0
                        ? tag("th", [("scope", "row")] + style(index), [Markup(cell)])
                        : tag("td", style(index), [Markup(cell)])
                })
        }
        return tag(
            "table", [],
            [
                tag("caption", [("id", id)], [Markup(caption)]),
                tag("thead", [], [tag("tr", [], head)]), tag("tbody", [], body),
            ])
    }

    private func style(_ column: Int) -> [(String, String)] {
        words.contains(column) ? [("class", "word")] : []
    }
}
