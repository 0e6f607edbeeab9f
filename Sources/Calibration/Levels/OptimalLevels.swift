/// Weighted k-means in one dimension, solved exactly: the k levels with the least Σ w (x − nearest level)².
///
/// Clusters of an optimum are runs of the sorted points, so that the best partition of the first j points into m clusters
/// ends with a cluster [i, j) whose start i never falls as j grows:
///
///     cost[m][j] = min over i of cost[m − 1][i] + spread(i, j)
///
/// Each row is found by halving, O(n log n), and the rows for fewer clusters are on the way to those for more: one
/// computation serves all bits. (Wang and Song, "Ckmeans.1d.dp", The R Journal 3/2, 2011, do the same.) Ties go to the
/// smaller i, so that results are the same everywhere.
package struct OptimalLevels {
    private let values: [Double]
    private let weights: [Double]
    /// Sums of w, w·x and w·x² of the first points.
    private var weightSums: [Double] = [0]
    private var firstMoments: [Double] = [0]
    private var secondMoments: [Double] = [0]
    /// For each number of clusters, where the last of the first j + 1 points' clusters starts.
    private var starts: [[Int32]] = []
    private var costs: [[Double]] = []

    /// - Parameters:
    ///   - values: rising.
    ///   - weights: positive.
    ///   - most: the largest number of clusters that will be asked for.
    package init(values: [Double], weights: [Double], most: Int) {
        // The middle taken off, so that second moments of narrow data keep their digits.
        let middle = values.isEmpty ? 0 : (values[0] + values[values.count - 1]) / 2
        let total = weights.reduce(0, +)
        self.values = values
        self.weights = weights
        for (value, weight) in zip(values, weights) {
            let (value, weight) = (value - middle, weight / total)
            weightSums.append(weightSums[weightSums.count - 1] + weight)
            firstMoments.append(firstMoments[firstMoments.count - 1] + weight * value)
            secondMoments.append(secondMoments[secondMoments.count - 1] + weight * value * value)
        }
        let clusters = min(most, values.count)
        guard clusters > 0 else { return }
        costs.append(values.indices.map { spread(0, $0 + 1) })
        starts.append([Int32](repeating: 0, count: values.count))
        for _ in 1..<max(1, clusters) { addRow() }
    }

    /// Σ w (x − mean)² of the points [first, end), weights adding up to 1 over all points.
    private func spread(_ first: Int, _ end: Int) -> Double {
        let weight = weightSums[end] - weightSums[first]
        let moment = firstMoments[end] - firstMoments[first]
        guard weight > 0 else { return 0 }
        return max(0, secondMoments[end] - secondMoments[first] - moment * moment / weight)
    }

    /// The best partitions with one cluster more.
    private mutating func addRow() {
        let previous = costs[costs.count - 1]
        let count = costs.count
        var row = previous
        var start = starts[starts.count - 1]
        // Spans of j whose starts are known to lie in a range.
        var open = [(count, values.count - 1, count, values.count - 1)]
        while let (first, last, lowest, highest) = open.popLast() {
            guard first <= last else { continue }
            let middle = (first + last) / 2
            var best = Double.infinity
            var bestStart = lowest
            var candidate = lowest
            while candidate <= min(highest, middle) {
                let cost = previous[candidate - 1] + spread(candidate, middle + 1)
                if cost < best {
                    best = cost
                    bestStart = candidate
                }
                candidate += 1
            }
            row[middle] = best
            start[middle] = Int32(bestStart)
            open.append((first, middle - 1, lowest, bestStart))
            open.append((middle + 1, last, bestStart, highest))
        }
        costs.append(row)
        starts.append(start)
    }

    /// The levels for `count` clusters, rising and distinct, and inside the points' range where there are as many points.
    /// With fewer points than levels, each point is a level and the rest are put in the middle of the widest gaps of
    /// [−1, 1].
    package func levels(_ count: Int) -> [Float] {
        var levels: [Float] = []
        let clusters = min(count, costs.count)
        var end = values.count
        for cluster in stride(from: clusters - 1, through: 0, by: -1) {
            let first = Int(starts[cluster][end - 1])
            var weight = 0.0
            var moment = 0.0
            for index in first..<end {
                weight += weights[index]
                moment += weights[index] * values[index]
            }
            levels.append(min(max(Float(moment / weight), -1), 1))
            end = first
        }
        var distinct = Set(levels).sorted()
        while distinct.count < count {
            let ends = [-1 - Float.ulpOfOne] + distinct + [1 + Float.ulpOfOne]
            let widest = (1..<ends.count).max { a, b in
                let (left, right) = (ends[a] - ends[a - 1], ends[b] - ends[b - 1])
                return left < right
            }!
            distinct.insert((ends[widest - 1] + ends[widest]) / 2, at: widest - 1)
        }
        return distinct
    }

    /// Σ w (x − level)² of the partition into `count` clusters over Σ w.
    package func cost(_ count: Int) -> Double {
        guard let row = costs[..<min(count, costs.count)].last else { return 0 }
        return row[row.count - 1]
    }
}
