/// Parts of a drawing.
enum Shape {
    static func line(_ from: Point, _ to: Point, _ style: String) -> Markup {
        tag(
            "line",
            [
                ("class", style), ("x1", coordinate(from.x)), ("y1", coordinate(from.y)),
                ("x2", coordinate(to.x)), ("y2", coordinate(to.y)),
            ])
    }

    static func path(_ data: String, _ style: String, dashes: String = "") -> Markup {
        tag(
            "path",
            [("class", style), ("d", data)] + (dashes.isEmpty ? [] : [("stroke-dasharray", dashes)])
        )
    }

    static func polyline(_ points: [Point]) -> String {
        "M" + points.map { "\(coordinate($0.x)) \(coordinate($0.y))" }.joined(separator: "L")
    }

    static func rect(_ box: Box, _ style: String) -> Markup {
        tag(
            "rect",
            [
                ("class", style), ("x", coordinate(box.left)), ("y", coordinate(box.top)),
                ("width", coordinate(max(0, box.width))),
                ("height", coordinate(max(0, box.height))),
            ])
    }

    enum Anchor: String { case start, middle, end }

    static func text(
        _ text: String, at point: Point, _ anchor: Anchor = .start, _ style: String = "",
        size: Double? = nil
    ) -> Markup {
        var attributes = [("x", coordinate(point.x)), ("y", coordinate(point.y))]
        if anchor != .start { attributes.append(("text-anchor", anchor.rawValue)) }
        if !style.isEmpty { attributes.append(("class", style)) }
        if let size { attributes.append(("style", "font-size:\(coordinate(size))px")) }
        return tag("text", attributes, [Markup(text)])
    }

    /// What hover and focus say: the lines of its `title`, which browsers show by themselves too.
    static func point(_ style: String, tip: [String], _ content: [Markup]) -> Markup {
        tag(
            "g", [("class", "pt " + style)],
            [tag("title", [], [Markup(tip.joined(separator: "\n"))])] + content)
    }

    /// A bar from low to high with short ends.
    static func errorBar(x: Double, from low: Double, to high: Double) -> Markup {
        let x = coordinate(x)
        let (low, high) = (coordinate(low), coordinate(high))
        return path("M\(x) \(low)V\(high)m-3 0h6M\(x) \(low)m-3 0h6", "whisker")
    }

    static func errorBar(y: Double, from low: Double, to high: Double) -> Markup {
        let y = coordinate(y)
        let (low, high) = (coordinate(low), coordinate(high))
        return path("M\(low) \(y)H\(high)m0 -3v6M\(low) \(y)m0 -3v6", "whisker")
    }

    /// A small arrow: the value is beyond the axis.
    static func arrow(_ at: Point, up: Bool, _ style: String = "mark") -> Markup {
        let turn = up ? -1.0 : 1
        return path(
            "M\(coordinate(at.x - 4)) \(coordinate(at.y))h8l-4 \(coordinate(turn * 7))Z", style)
    }

    static func marker(_ style: SeriesStyle, at point: Point, radius: Double = 5) -> Markup {
        path(style.marker(point, radius: radius), style.isControl ? "cross" : "mark")
    }

    /// A drawing that says what it shows.
    static func drawing(
        id: String, title: String, description: String, width: Double, height: Double,
        _ content: [Markup]
    ) -> Markup {
        tag(
            "svg",
            [
                ("xmlns", "http://www.w3.org/2000/svg"),
                ("viewBox", "0 0 \(coordinate(width)) \(coordinate(height))"), ("role", "img"),
                ("aria-labelledby", "\(id)-t \(id)-d"),
            ],
            [
                tag("title", [("id", "\(id)-t")], [Markup(title)]),
                tag("desc", [("id", "\(id)-d")], [Markup(description)]),
            ] + content)
    }
}

/// A panel of a figure: one drawing.
struct Panel {
    static let width = 400.0

    var title: String
    var description: String
    var height: Double
    var content: [Markup]

    func drawing(id: String) -> Markup {
        Shape.drawing(
            id: id, title: title, description: description, width: Self.width, height: height,
            content)
    }

    /// The heading inside the drawing: what is shown, and its unit in a lighter line below.
    static func heading(_ title: String, _ unit: String) -> [Markup] {
        [
            Shape.text(title, at: Point(x: 0, y: 13), .start, "head"),
            Shape.text(unit, at: Point(x: 0, y: 28), .start, "unit"),
        ]
    }
}
