import Foundation

struct Point: Sendable, Hashable {
    var x: Double
    var y: Double
}

/// A rectangle; y grows downwards, as in SVG.
struct Box: Sendable, Hashable {
    var left: Double
    var top: Double
    var right: Double
    var bottom: Double

    var width: Double { right - left }
    var height: Double { bottom - top }

    init(left: Double, top: Double, right: Double, bottom: Double) {
        (self.left, self.top, self.right, self.bottom) = (left, top, right, bottom)
    }

    init(around center: Point, radius: Double) {
        self.init(
            left: center.x - radius, top: center.y - radius, right: center.x + radius,
            bottom: center.y + radius)
    }

    func overlap(_ other: Box) -> Double {
        max(0, min(right, other.right) - max(left, other.left))
            * max(0, min(bottom, other.bottom) - max(top, other.top))
    }

    func contains(_ other: Box) -> Bool {
        other.left >= left && other.right <= right && other.top >= top && other.bottom <= bottom
    }

    /// Its point nearest to another.
    func nearest(_ point: Point) -> Point {
        Point(x: min(right, max(left, point.x)), y: min(bottom, max(top, point.y)))
    }
}

struct Segment: Sendable, Hashable {
    var from: Point
    var to: Point

    var length: Double { hypot(to.x - from.x, to.y - from.y) }

    /// Without its beginning.
    func shortened(by length: Double) -> Segment {
        let share = min(1, length / max(1e-9, self.length))
        return Segment(
            from: Point(x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share),
            to: to)
    }

    /// Whether it touches a rectangle (Liang and Barsky's clipping).
    func meets(_ box: Box) -> Bool {
        var enter = 0.0
        var leave = 1.0
        let steps = [
            (to.x - from.x, box.left - from.x, box.right - from.x),
            (to.y - from.y, box.top - from.y, box.bottom - from.y),
        ]
        for (step, low, high) in steps {
            if abs(step) < 1e-9 {
                if low > 0 || high < 0 { return false }
            } else {
                enter = max(enter, min(low / step, high / step))
                leave = min(leave, max(low / step, high / step))
            }
        }
        return enter <= leave
    }

    /// Whether both cross.
    func meets(_ other: Segment) -> Bool {
        func side(_ a: Point, _ b: Point, _ c: Point) -> Double {
            (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
        }
        return side(from, to, other.from) * side(from, to, other.to) < 0
            && side(other.from, other.to, from) * side(other.from, other.to, to) < 0
    }
}

/// A coordinate, to a hundredth. What is no number would break the whole picture, so that it becomes 0.
func coordinate(_ value: Double) -> String {
    guard value.isFinite else { return "0" }
    let hundredths = (min(1e6, max(-1e6, value)) * 100).rounded()
    let whole = Int(hundredths)
    let sign = whole < 0 ? "-" : ""
    let (units, rest) = whole.magnitude.quotientAndRemainder(dividingBy: 100)
    if rest == 0 { return sign + "\(units)" }
    return sign + "\(units)."
        + (rest < 10 ? "0\(rest)" : rest % 10 == 0 ? "\(rest / 10)" : "\(rest)")
}

/// How wide text is: no font is known here, so that the widest of the usual ones counts.
enum TextSize {
    static func width(_ text: String, _ size: Double) -> Double {
        var units = 0.0
        for scalar in text.unicodeScalars {
            switch scalar {
            case "i", "j", "l", "I", "|", "'", ".", ",", ":", ";", " ": units += 0.33
            case "f", "t", "r", "-", "(", ")", "/": units += 0.41
            case "m", "w", "M", "W", "%", "@", "×", "→": units += 0.97
            case "A"..."Z", "−", "+", "±", "≤", "<", ">", "=", "∞": units += 0.78
            case "a"..."z", "0"..."9", "–", "_": units += 0.64
            case "\u{80}"..."\u{2FF}": units += 0.7
            default: units += 1.05
            }
        }
        return units * size
    }

    /// The text, its end left out where it is wider.
    static func fit(_ text: String, _ size: Double, width limit: Double) -> String {
        guard width(text, size) > limit else { return text }
        var result = text
        while !result.isEmpty, width(result + "…", size) > limit { result.removeLast() }
        return result + "…"
    }
}
