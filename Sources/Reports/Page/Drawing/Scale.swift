import Foundation

/// Values to places along an axis.
package struct Scale: Sendable {
    package enum Kind: Sendable { case linear, log }

    package let kind: Kind
    package let lower: Double
    package let upper: Double
    /// Places of `lower` and `upper`.
    package let start: Double
    package let end: Double

    /// Any domain will do: an empty, reversed, or infinite one is made into one that can be drawn.
    package init(_ kind: Kind, _ lower: Double, _ upper: Double, from start: Double, to end: Double)
    {
        self.kind = kind
        self.start = start
        self.end = end
        var low = lower.isFinite ? lower : 0
        var high = upper.isFinite ? upper : 1
        if kind == .log {
            low = max(low, 1e-12)
            high = max(high, 1e-12)
        }
        if low > high { swap(&low, &high) }
        if high - low <= abs(high) * 1e-9 {
            let half = low == 0 ? 0.5 : abs(low) / 2
            (low, high) = (low - half, high + half)
        }
        self.lower = low
        self.upper = high
    }

    /// The place of a value, held within the axis; NaN stands at its end.
    package func callAsFunction(_ value: Double) -> Double {
        let share: Double
        switch kind {
        case .linear: share = (value - lower) / (upper - lower)
        case .log: share = value > 0 ? log(value / lower) / log(upper / lower) : 0
        }
        return start + (end - start) * (share.isNaN ? 1 : min(1, max(0, share)))
    }

    package func contains(_ value: Double) -> Bool {
        value >= lower * (1 - 1e-9) && value <= upper * (1 + 1e-9)
    }

    /// Round values within the domain, about as many as `wanted`.
    package func ticks(_ wanted: Int = 5) -> [Double] {
        switch kind {
        case .linear: linearTicks(wanted)
        case .log: logTicks(wanted)
        }
    }

    private func linearTicks(_ wanted: Int) -> [Double] {
        let step = Self.niceStep((upper - lower) / Double(max(1, wanted)))
        var ticks: [Double] = []
        var index = (lower / step - 1e-9).rounded(.up)
        while index * step <= upper + step * 1e-9, ticks.count < 50 {
            ticks.append(index * step)
            index += 1
        }
        return ticks
    }

    /// 1, 2 or 5 times a power of ten, at least `value`.
    static func niceStep(_ value: Double) -> Double {
        let power = pow(10, log10(value).rounded(.down))
        for step in [1.0, 2, 5] where step * power >= value * (1 - 1e-9) { return step * power }
        return 10 * power
    }

    /// Powers of ten, with their 2- and 5-folds or 3-folds where the domain is short.
    private func logTicks(_ wanted: Int) -> [Double] {
        let first = Int(log10(lower).rounded(.down))
        let last = Int(log10(upper).rounded(.up))
        let candidates: [[Double]] = [[1], [1, 3], [1, 2, 5], [1, 2, 3, 4, 5, 6, 8]]
        var best: [Double] = []
        for folds in candidates {
            let ticks = (first...last).flatMap { power in
                folds.map { $0 * pow(10, Double(power)) }
            }.filter(contains)
            if ticks.count > wanted + 2, !best.isEmpty { break }
            best = ticks
        }
        // Less than a decade: between a few near values the logarithm is as good as a line.
        if best.count < 3 { return linearTicks(wanted).filter { $0 > 0 } }
        // Many decades: every second, third, … one.
        let stride = max(1, (best.count + wanted) / (wanted + 1))
        return best.count > wanted + 2
            ? best.enumerated().filter { $0.offset % stride == 0 }.map(\.element) : best
    }

    /// Powers of two, or of four, … so that they are about as many as `wanted`.
    package func binaryTicks(_ wanted: Int) -> [Double] {
        let first = Int(log2(lower).rounded(.up))
        let last = Int(log2(upper).rounded(.down))
        guard first <= last else { return ticks(wanted) }
        let stride = (last - first) / max(1, wanted) + 1
        return (first...last).filter { $0 % stride == 0 }.map { exp2(Double($0)) }
    }
}
