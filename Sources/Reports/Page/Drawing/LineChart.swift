import Foundation

/// Lines over an axis of token counts, each named at its end.
struct LineChart {
    struct Series {
        var name: String
        var style: SeriesStyle
        var isReference = false
        var points: [Value]
    }

    struct Value {
        var x: Double
        var y: Double
        /// Of a whisker.
        var range: ClosedRange<Double>?
        var tip: [String]
    }

    var title: String
    var unit: String
    var xTitle: String
    var xKind: Scale.Kind
    var yKind: Scale.Kind
    /// Whether ticks stand at powers of two, as bytes are read.
    var hasBinaryTicks = false
    /// A value that a line across the panel marks.
    var mark: Double?
    var yLabel: (Double) -> String
    var xLabel: (Double) -> String
    var description: String
    var series: [Series]

    func panel() -> Panel? {
        // What is no number, or cannot stand on the axis, is in the table alone.
        let series = series.compactMap { series -> Series? in
            var series = series
            series.points = series.points.filter {
                $0.x.isFinite && $0.y.isFinite && (yKind == .linear || $0.y > 0)
                    && (xKind == .linear || $0.x > 0)
            }
            return series.points.isEmpty ? nil : series
        }
        guard !series.isEmpty else { return nil }
        let names = series.map { TextSize.fit($0.name, LabelPlacer.fontSize, width: 132) }
        let labels = names.map { TextSize.width($0, LabelPlacer.fontSize) }.max() ?? 0
        let height = max(330, Double(series.count) * 13.5 + 92)
        let values =
            series.flatMap {
                $0.points.flatMap {
                    [$0.y, $0.range?.lowerBound, $0.range?.upperBound].compactMap { $0 }
                }
            }
            .filter { $0.isFinite && (yKind == .linear || $0 > 0) } + (mark.map { [$0] } ?? [])
        let (y, yTicks) = yScale(values, from: height - 44, to: 46)
        let tickWidth = yTicks.map { TextSize.width(yLabel($0), LabelPlacer.fontSize) }.max() ?? 0
        let left = min(90, tickWidth + 8)
        let right = Panel.width - labels - 26
        let xs = Set(series.flatMap { $0.points.map(\.x) }).sorted()
        let x = Scale(xKind, xs.first ?? 0, xs.last ?? 1, from: left + 8, to: right)
        var content = Panel.heading(title, unit)
        for tick in yTicks {
            content.append(
                Shape.line(Point(x: left, y: y(tick)), Point(x: right + 4, y: y(tick)), "grid"))
            content.append(
                Shape.text(yLabel(tick), at: Point(x: left - 6, y: y(tick) + 4), .end, "tick"))
        }
        content += xAxis(xs, x, left: left, right: right, bottom: height - 44, height: height)
        if let mark {
            content.append(
                Shape.line(Point(x: left, y: y(mark)), Point(x: right + 4, y: y(mark)), "axis"))
        }
        content += series.map { lines($0, x, y) }
        content += ends(series, names: names, x: x, y: y, right: right, bottom: height - 44)
        return Panel(title: title, description: description, height: height, content: content)
    }

    private func yScale(_ values: [Double], from bottom: Double, to top: Double) -> (
        Scale, [Double]
    ) {
        let low = values.min() ?? 0
        let high = values.max() ?? 1
        if yKind == .log {
            let scale = Scale(.log, low / 1.15, high * 1.15, from: bottom, to: top)
            return (scale, hasBinaryTicks ? scale.binaryTicks(6) : scale.ticks(5))
        }
        let room = (high - low) * 0.06
        let scale = Scale(.linear, low - room, high + room, from: bottom, to: top)
        return (scale, scale.ticks(5))
    }

    private func xAxis(
        _ xs: [Double], _ x: Scale, left: Double, right: Double, bottom: Double, height: Double
    ) -> [Markup] {
        var content = [
            Shape.line(Point(x: left, y: bottom), Point(x: right + 4, y: bottom), "axis")
        ]
        // The places that were measured, as far as their names have room; the last one always.
        var free = right + 1e3
        for value in xs.reversed() {
            let label = xLabel(value)
            let half = TextSize.width(label, LabelPlacer.fontSize) / 2
            content.append(
                Shape.line(Point(x: x(value), y: bottom), Point(x: x(value), y: bottom + 4), "axis")
            )
            guard x(value) + half < free else { continue }
            content.append(
                Shape.text(label, at: Point(x: x(value), y: bottom + 17), .middle, "tick"))
            free = x(value) - half - 6
        }
        content.append(
            Shape.text(xTitle, at: Point(x: left, y: height - 6), .start, "unit"))
        return content
    }

    private func lines(_ series: Series, _ x: Scale, _ y: Scale) -> Markup {
        var content: [Markup] = []
        let points = series.points.map { Point(x: x($0.x), y: y($0.y)) }
        if points.count > 1 {
            content.append(Shape.path(Shape.polyline(points), "line", dashes: series.style.dashes))
        }
        for (value, point) in zip(series.points, points) {
            var parts: [Markup] = []
            if let range = value.range, range.upperBound > range.lowerBound {
                parts.append(
                    Shape.errorBar(x: point.x, from: y(range.lowerBound), to: y(range.upperBound)))
            }
            parts.append(Shape.marker(series.style, at: point, radius: 3.6))
            parts.append(Shape.rect(Box(around: point, radius: 9), "hit"))
            content.append(Shape.point("", tip: value.tip, parts))
        }
        return tag("g", [("class", series.style.colour)], content)
    }

    private func ends(
        _ series: [Series], names: [String], x: Scale, y: Scale, right: Double, bottom: Double
    ) -> [Markup] {
        let ends = series.map { series in
            series.points.last.map { Point(x: x($0.x), y: y($0.y)) } ?? Point(x: right, y: bottom)
        }
        let heights = LabelColumn.spread(
            ends.map(\.y), gap: LabelPlacer.height, from: 48, to: bottom - 2)
        return series.indices.flatMap { index in
            let end = ends[index]
            let place = Point(x: right + 22, y: heights[index])
            return [
                Shape.path(
                    "M\(coordinate(end.x + 6)) \(coordinate(end.y))L\(coordinate(right + 8)) \(coordinate(end.y))L\(coordinate(right + 19)) \(coordinate(place.y))",
                    "leader"),
                Shape.text(names[index], at: Point(x: place.x, y: place.y + 4), .start, "label"),
            ]
        }
    }
}
