import Foundation

/// What a cache costs against its bits: a point a cache, on two logarithmic axes.
///
/// Values of 0 or less have no place on such an axis: they stand on a floor below it. Controls do not stretch
/// the axis: those far off stand at its end with an arrow and their value; so do values that are no numbers.
struct ScatterChart {
    struct Dot {
        var name: String
        var style: SeriesStyle
        var bits: Double
        var value: Double
        var error: Double
        var isReference: Bool
        var isPareto: Bool
        var tip: [String]
    }

    var title: String
    var unit: String
    var description: String
    /// Of the floor's tick.
    var floorLabel: String
    var yLabel: (Double) -> String
    /// Of a value beyond the axis.
    var valueLabel: (Double) -> String
    var dots: [Dot]
    var height = 420.0

    func panel() -> Panel? {
        let dots = dots.filter { $0.bits.isFinite && $0.bits > 0 }
        guard !dots.isEmpty else { return nil }
        let hasFloor = dots.contains { $0.value <= 0 }
        let bottom = height - 44
        let (low, high) = domain(dots)
        // Values beyond the axis have a lane above it, with room for their names.
        let hasLane = dots.contains { !$0.value.isFinite || $0.value > high }
        let y = Scale(
            .log, low, high, from: hasFloor ? bottom - 30 : bottom - 4, to: hasLane ? 80 : 56)
        let ticks = y.ticks(5)
        let tickWidth = ticks.map { TextSize.width(yLabel($0), LabelPlacer.fontSize) }.max() ?? 0
        let left = max(28, min(90, tickWidth + 8))
        let right = Panel.width - 6
        let x = BitsAxis(dots.map { ($0.bits, $0.isReference) }, from: left + 4, to: right - 8)
        var content = Panel.heading(title, unit)
        for tick in ticks {
            content.append(
                Shape.line(Point(x: left, y: y(tick)), Point(x: right, y: y(tick)), "grid"))
            content.append(
                Shape.text(yLabel(tick), at: Point(x: left - 6, y: y(tick) + 4), .end, "tick"))
        }
        let floor = bottom - 10
        if hasFloor {
            content.append(
                Shape.line(Point(x: left, y: floor - 12), Point(x: right, y: floor - 12), "floor"))
            content.append(
                Shape.text(floorLabel, at: Point(x: left - 6, y: floor + 4), .end, "tick"))
        }
        content += x.markup(left: left, right: right, bottom: bottom)
        let places = dots.map { dot in
            Point(x: x(dot.bits), y: dot.value <= 0 ? floor : isOff(dot, y) ? 54 : y(dot.value))
        }
        let front = dots.indices.filter { dots[$0].isPareto && !isOff(dots[$0], y) }.sorted {
            places[$0].x < places[$1].x
        }
        if front.count > 1 {
            content.append(Shape.path(Shape.polyline(front.map { places[$0] }), "front"))
        }
        for (dot, place) in zip(dots, places) { content.append(draw(dot, at: place, y)) }
        content += labels(
            dots, places, front: front.map { places[$0] }, y,
            bounds: Box(left: left + 3, top: 40, right: right, bottom: bottom - 2))
        return Panel(title: title, description: description, height: height, content: content)
    }

    /// Of the axis: all that are compared, and controls that are not far off.
    private func domain(_ dots: [Dot]) -> (Double, Double) {
        func isShown(_ value: Double) -> Bool { value.isFinite && value > 0 }
        let own = dots.filter { !$0.style.isControl && isShown($0.value) }
        let base = own.isEmpty ? dots.filter { isShown($0.value) } : own
        var values = base.map(\.value) + base.map { $0.value + $0.error }.filter(isShown)
        // Errors stretch the axis downwards by half at most.
        values += base.map { max($0.value - $0.error, $0.value / 2) }.filter(isShown)
        guard let low = values.min(), let high = values.max() else { return (1e-3, 1) }
        let controls = dots.filter { $0.style.isControl && isShown($0.value) }.map(\.value)
        let upper = max(high, controls.filter { $0 < high * 4 }.max() ?? high)
        let lower = min(low, controls.filter { $0 > low / 4 }.min() ?? low)
        return (lower / 1.2, upper * 1.2)
    }

    private func isOff(_ dot: Dot, _ y: Scale) -> Bool {
        !dot.value.isFinite || dot.value > y.upper
    }

    private func draw(_ dot: Dot, at place: Point, _ y: Scale) -> Markup {
        var parts: [Markup] = []
        if let range = bar(dot, y), range.upperBound - range.lowerBound > 1 {
            parts.append(Shape.errorBar(x: place.x, from: range.upperBound, to: range.lowerBound))
        }
        if dot.isPareto {
            parts.append(
                tag(
                    "circle",
                    [
                        ("class", "ring"), ("cx", coordinate(place.x)), ("cy", coordinate(place.y)),
                        ("r", "8.5"),
                    ]))
        }
        if isOff(dot, y) { parts.append(Shape.arrow(Point(x: place.x, y: place.y - 7), up: true)) }
        if !isOff(dot, y), dot.value > 0, dot.value < y.lower {
            parts.append(Shape.arrow(Point(x: place.x, y: place.y + 7), up: false))
        }
        parts.append(Shape.marker(dot.style, at: place))
        parts.append(Shape.rect(Box(around: place, radius: 10), "hit"))
        return Shape.point(dot.style.colour, tip: dot.tip, parts)
    }

    /// Places of the error bar's ends, the upper one first.
    private func bar(_ dot: Dot, _ y: Scale) -> ClosedRange<Double>? {
        guard dot.value > 0, dot.error > 0, dot.error.isFinite, !isOff(dot, y) else { return nil }
        return y(dot.value + dot.error)...max(y(dot.value + dot.error), y(dot.value - dot.error))
    }

    private func labels(
        _ dots: [Dot], _ places: [Point], front: [Point], _ y: Scale, bounds: Box
    ) -> [Markup] {
        var taken = zip(dots, places).map { Box(around: $1, radius: $0.isPareto ? 9 : 6) }
        for (dot, place) in zip(dots, places) {
            guard let range = bar(dot, y) else { continue }
            taken.append(
                Box(
                    left: place.x - 3, top: range.lowerBound, right: place.x + 3,
                    bottom: range.upperBound))
        }
        let line = zip(front, front.dropFirst()).map { Segment(from: $0, to: $1) }
        let placer = LabelPlacer(bounds: bounds, taken: taken, avoided: line)
        let labels = zip(dots, places).map { dot, place in
            var text = TextSize.fit(dot.name, LabelPlacer.fontSize, width: 200)
            if isOff(dot, y) {
                text += dot.value.isFinite ? ", " + valueLabel(dot.value) : " (not finite)"
            }
            return LabelPlacer.Label(text: text, anchor: place, radius: dot.isPareto ? 9 : 6)
        }
        return zip(labels, placer.place(labels)).flatMap { label, place in
            var content: [Markup] = []
            if let leader = place.leader {
                content.append(Shape.line(leader.from, leader.to, "leader"))
            }
            content.append(
                Shape.text(
                    label.text, at: Point(x: place.box.left, y: place.box.bottom - 3), .start,
                    "label"))
            return content
        }
    }
}
