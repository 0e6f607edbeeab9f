/// The axis of bits: logarithmic, and broken before the reference where that stands far off from all that is
/// compared, so that these have the room.
struct BitsAxis {
    private let scale: Scale
    /// Bits beyond the break, and where they stand.
    private let far: (bits: Double, place: Double)?

    init(_ dots: [(bits: Double, isReference: Bool)], from start: Double, to end: Double) {
        let near = dots.filter { !$0.isReference }.map(\.bits)
        let all = dots.map(\.bits)
        var bits = all
        if let reference = dots.first(where: \.isReference), let most = near.max(),
            reference.bits > 1.4 * most
        {
            far = (reference.bits, end - 10)
            bits = near
        } else {
            far = nil
        }
        scale = Scale(
            .log, (bits.min() ?? 1) / 1.08, (bits.max() ?? 16) * 1.08, from: start,
            to: far == nil ? end : end - 44)
    }

    func callAsFunction(_ bits: Double) -> Double {
        if let far, bits > scale.upper { return far.place }
        return scale(bits)
    }

    func markup(left: Double, right: Double, bottom: Double) -> [Markup] {
        var content: [Markup] = []
        func tick(_ bits: Double) {
            let x = self(bits)
            content.append(
                Shape.line(Point(x: x, y: bottom), Point(x: x, y: bottom + 4), "axis"))
            content.append(
                Shape.text(Numbers.tick(bits), at: Point(x: x, y: bottom + 17), .middle, "tick"))
        }
        var free = left
        let round = [1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8, 10, 12, 16, 24, 32].filter(scale.contains)
        for bits in round.count > 2 ? round : scale.ticks(4) {
            let half = TextSize.width(Numbers.tick(bits), LabelPlacer.fontSize) / 2
            guard scale(bits) - half > free else { continue }
            free = scale(bits) + half + 7
            tick(bits)
        }
        if let far {
            tick(far.bits.rounded(toSignificant: 3))
            let gap = scale.end + 8
            content.append(Shape.line(Point(x: left, y: bottom), Point(x: gap, y: bottom), "axis"))
            content.append(
                Shape.line(Point(x: gap + 6, y: bottom), Point(x: right, y: bottom), "axis"))
            for x in [gap, gap + 6] {
                content.append(
                    Shape.line(
                        Point(x: x - 2, y: bottom + 5), Point(x: x + 2, y: bottom - 5), "axis"))
            }
        } else {
            content.append(
                Shape.line(Point(x: left, y: bottom), Point(x: right, y: bottom), "axis"))
        }
        content.append(
            Shape.text(
                "Bits an element, windows included (log scale)",
                at: Point(x: left, y: bottom + 36), .start, "unit"))
        return content
    }
}
