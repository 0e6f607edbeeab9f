/// Normalized elements in 8192 bins over [−1, 1]: weights and weighted sums for k-means, counts and sums for Q-Norm.
///
/// A bin is 1/500 of the distance between 16 levels, and it is represented by the mean of what is in it, so that levels are
/// those of the elements themselves but for the few elements of bins that a border between two levels cuts.
package struct LevelHistogram {
    package static let bins = 8192

    package init() {}

    /// Σ w of each bin.
    private(set) var weights = [Double](repeating: 0, count: bins)
    /// Σ w·x.
    private(set) var weightedSums = [Double](repeating: 0, count: bins)
    private(set) var counts = [Double](repeating: 0, count: bins)
    /// Σ x.
    private(set) var sums = [Double](repeating: 0, count: bins)
    /// Σ x² of all elements.
    private(set) var squares = 0.0
    /// Σ w·x² of all elements.
    private(set) var weightedSquares = 0.0

    /// Where elements are added, one at a time.
    package struct Adder {
        fileprivate let weights: UnsafeMutablePointer<Double>
        fileprivate let weightedSums: UnsafeMutablePointer<Double>
        fileprivate let counts: UnsafeMutablePointer<Double>
        fileprivate let sums: UnsafeMutablePointer<Double>
        fileprivate var squares = 0.0
        fileprivate var weightedSquares = 0.0

        /// Adds an element; it is cut to [−1, 1].
        @inline(__always)
        package mutating func add(_ element: Float, weight: Double) {
            let x = min(max(element, -1), 1)
            let bin = min(bins - 1, Int((x + 1) * Float(bins / 2)))
            let value = Double(x)
            weights[bin] += weight
            weightedSums[bin] += weight * value
            counts[bin] += 1
            sums[bin] += value
            squares += value * value
            weightedSquares += weight * value * value
        }
    }

    package mutating func add(_ body: (inout Adder) -> Void) {
        let (squares, weightedSquares) = weights.withUnsafeMutableBufferPointer { weights in
            weightedSums.withUnsafeMutableBufferPointer { weightedSums in
                counts.withUnsafeMutableBufferPointer { counts in
                    sums.withUnsafeMutableBufferPointer { sums in
                        var adder = Adder(
                            weights: weights.baseAddress!, weightedSums: weightedSums.baseAddress!,
                            counts: counts.baseAddress!, sums: sums.baseAddress!)
                        body(&adder)
                        return (adder.squares, adder.weightedSquares)
                    }
                }
            }
        }
        self.squares += squares
        self.weightedSquares += weightedSquares
    }

    package mutating func add(_ other: LevelHistogram) {
        for bin in 0..<Self.bins where other.counts[bin] > 0 {
            weights[bin] += other.weights[bin]
            weightedSums[bin] += other.weightedSums[bin]
            counts[bin] += other.counts[bin]
            sums[bin] += other.sums[bin]
        }
        squares += other.squares
        weightedSquares += other.weightedSquares
    }

    package var count: Double { counts.reduce(0, +) }
    package var weight: Double { weights.reduce(0, +) }

    /// The bins' means and weights, rising, without bins that weigh nothing. Where no element weighs anything, all count
    /// the same.
    package var points: (values: [Double], weights: [Double]) {
        let isWeighted = weight > 0
        var points: (values: [Double], weights: [Double]) = ([], [])
        for bin in 0..<Self.bins {
            let weight = isWeighted ? weights[bin] : counts[bin]
            guard weight > 0 else { continue }
            points.values.append((isWeighted ? weightedSums[bin] : sums[bin]) / weight)
            points.weights.append(weight)
        }
        return points
    }

    /// Σ w (x − level)² / Σ w (x − mean)², each element with the nearest level; 0 where nothing varies.
    package func error(levels: [Float]) -> Double {
        let total = weight
        guard total > 0 else { return 0 }
        let mean = weightedSums.reduce(0, +) / total
        let variance = weightedSquares - total * mean * mean
        guard variance > 1e-12 * weightedSquares else { return 0 }
        var error = weightedSquares
        for bin in 0..<Self.bins where weights[bin] > 0 {
            let level = Double(
                levels[NearestLevel.index(of: weightedSums[bin] / weights[bin], in: levels)])
            error += level * (level * weights[bin] - 2 * weightedSums[bin])
        }
        return max(0, error / variance)
    }
}

/// Which level an element takes.
package enum NearestLevel {
    /// The first of the nearest.
    package static func index(of value: Double, in levels: [Float]) -> Int {
        var best = 0
        for index in levels.indices.dropFirst()
        where abs(value - Double(levels[index])) < abs(value - Double(levels[best])) {
            best = index
        }
        return best
    }
}
