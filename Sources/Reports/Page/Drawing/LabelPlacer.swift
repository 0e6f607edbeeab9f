import Foundation

/// Finds room for labels next to points: for each the near places around its marker, and together those that
/// cost least, by annealing with fixed random numbers, so that the same points always get the same labels.
struct LabelPlacer {
    struct Label {
        var text: String
        var anchor: Point
        /// Of the marker.
        var radius: Double
    }

    struct Place: Equatable {
        var box: Box
        /// The line to the marker, if the label stands apart from it.
        var leader: Segment?
    }

    /// A place with what it costs whatever the other labels do.
    private struct Candidate {
        var place: Place
        var cost: Double
    }

    static let fontSize = 11.0
    static let height = 13.0
    /// An overlap must never pay.
    private static let overlapCost = 40.0
    private static let crossingCost = 60.0

    /// No label leaves it.
    let bounds: Box
    /// What labels must not cover.
    let taken: [Box]
    /// What they should not.
    let avoided: [Segment]

    func place(_ labels: [Label]) -> [Place] {
        let candidates = labels.map(candidates)
        var numbers = RandomNumbers(state: 0x1234_5678_9ABC_DEF1)
        var chosen = candidates.map { list in
            list.indices.min { list[$0].cost < list[$1].cost } ?? 0
        }
        func cost(_ index: Int, _ candidate: Int) -> Double {
            let own = candidates[index][candidate]
            var cost = own.cost
            for other in labels.indices where other != index {
                cost += Self.cost(own.place, candidates[other][chosen[other]].place)
            }
            return cost
        }
        let steps = labels.count * 500
        for step in 0..<steps {
            let heat = 40 * pow(0.002, Double(step) / Double(steps))
            let index = numbers.next(labels.count)
            let candidate = numbers.next(candidates[index].count)
            let change = cost(index, candidate) - cost(index, chosen[index])
            if change <= 0 || numbers.share() < exp(-change / heat) { chosen[index] = candidate }
        }
        // To the nearest lowest point.
        for _ in 0..<4 {
            for index in labels.indices {
                var best = (cost(index, chosen[index]), chosen[index])
                for candidate in candidates[index].indices {
                    let value = cost(index, candidate)
                    if value < best.0 { best = (value, candidate) }
                }
                chosen[index] = best.1
            }
        }
        return zip(candidates, chosen).map { $0[$1].place }
    }

    /// What two labels cost together.
    private static func cost(_ one: Place, _ other: Place) -> Double {
        var cost = one.box.overlap(other.box) * overlapCost
        if let leader = one.leader {
            if leader.meets(other.box) { cost += crossingCost }
            if let second = other.leader, leader.meets(second) { cost += crossingCost }
        }
        if let leader = other.leader, leader.meets(one.box) { cost += crossingCost }
        return cost
    }

    private func candidates(_ label: Label) -> [Candidate] {
        let width = TextSize.width(label.text, Self.fontSize)
        let own = Box(around: label.anchor, radius: label.radius)
        var result: [Candidate] = []
        for distance in [3.0, 9, 16, 24, 34, 46, 60, 78, 100, 130, 170] {
            for degrees in stride(from: 0.0, to: 360, by: distance < 9 ? 45 : 15) {
                let box = box(label, width: width, distance: distance, degrees: degrees)
                guard bounds.contains(box) else { continue }
                // To the right reads best, then to the left; straight above and below hide the error bars.
                let turn =
                    degrees == 0
                    ? 0 : degrees == 180 ? 2 : abs(cos(degrees * .pi / 180)) > 0.3 ? 4.0 : 7
                var cost = distance * 1.4 + turn
                for other in taken { cost += other.overlap(box) * Self.overlapCost }
                for line in avoided where line.meets(box) { cost += 14 }
                var leader: Segment?
                if distance >= 9 {
                    let line = Segment(from: label.anchor, to: box.nearest(label.anchor)).shortened(
                        by: label.radius)
                    cost += 12
                    for other in taken where other.overlap(own) == 0 && line.meets(other) {
                        cost += Self.crossingCost
                    }
                    leader = line
                }
                result.append(Candidate(place: Place(box: box, leader: leader), cost: cost))
            }
        }
        if result.isEmpty {
            result = [
                Candidate(place: Place(box: fallback(label, width: width), leader: nil), cost: 0)
            ]
        }
        return result
    }

    private func box(_ label: Label, width: Double, distance: Double, degrees: Double) -> Box {
        let angle = degrees * .pi / 180
        let reach = label.radius + distance
        // The side of the label that faces the marker touches the circle.
        let left = label.anchor.x + cos(angle) * reach - width * (1 - cos(angle)) / 2
        let top = label.anchor.y - sin(angle) * reach - Self.height * (1 + sin(angle)) / 2
        return Box(left: left, top: top, right: left + width, bottom: top + Self.height)
    }

    /// Inside the bounds at any rate.
    private func fallback(_ label: Label, width: Double) -> Box {
        let left = max(bounds.left, min(bounds.right - width, label.anchor.x - width / 2))
        let top = max(bounds.top, min(bounds.bottom - Self.height, label.anchor.y))
        return Box(left: left, top: top, right: left + width, bottom: top + Self.height)
    }

    /// Random numbers by xorshift, the same in every run.
    private struct RandomNumbers {
        var state: UInt64

        mutating func bits() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }

        mutating func next(_ limit: Int) -> Int { Int(bits() >> 33) % max(1, limit) }
        mutating func share() -> Double { Double(bits() >> 11) / 9_007_199_254_740_992 }
    }
}

/// Labels in a column.
package enum LabelColumn {
    /// Heights as near to `wanted` as they can be with `gap` between them: the least squares, by pooling neighbours.
    package static func spread(_ wanted: [Double], gap: Double, from top: Double, to bottom: Double)
        -> [Double]
    {
        let order = wanted.indices.sorted { (wanted[$0], $0) < (wanted[$1], $1) }
        let gap = wanted.count > 1 ? min(gap, (bottom - top) / Double(wanted.count - 1)) : gap
        var pools: [(sum: Double, count: Int)] = []
        for (rank, index) in order.enumerated() {
            pools.append((wanted[index] - Double(rank) * gap, 1))
            while pools.count > 1 {
                let last = pools[pools.count - 1]
                let before = pools[pools.count - 2]
                guard before.sum / Double(before.count) > last.sum / Double(last.count) else {
                    break
                }
                pools.removeLast()
                pools[pools.count - 1] = (before.sum + last.sum, before.count + last.count)
            }
        }
        let limit = bottom - Double(max(0, wanted.count - 1)) * gap
        let places = pools.flatMap { pool in
            Array(repeating: max(top, min(limit, pool.sum / Double(pool.count))), count: pool.count)
        }
        var result = wanted
        for (rank, index) in order.enumerated() {
            result[index] = places[rank] + Double(rank) * gap
        }
        return result
    }
}
