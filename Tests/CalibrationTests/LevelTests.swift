import Calibration
import Foundation
import Testing

/// Σ w (x − nearest level)².
private func cost(_ values: [Double], _ weights: [Double], _ levels: [Double]) -> Double {
    zip(values, weights).reduce(0) { sum, pair in
        sum + pair.1 * (levels.map { ($0 - pair.0) * ($0 - pair.0) }.min() ?? 0)
    }
}

/// The least cost over all ways to cut sorted values into runs.
private func bruteForce(_ values: [Double], _ weights: [Double], clusters: Int) -> Double {
    if values.isEmpty { return 0 }
    if clusters == 1 {
        let total = weights.reduce(0, +)
        let mean = zip(values, weights).reduce(0) { $0 + $1.0 * $1.1 } / total
        return cost(values, weights, [mean])
    }
    var best = Double.infinity
    for end in 1...values.count {
        let head = bruteForce(Array(values[..<end]), Array(weights[..<end]), clusters: 1)
        let rest = bruteForce(
            Array(values[end...]), Array(weights[end...]), clusters: clusters - 1)
        best = min(best, head + rest)
    }
    return best
}

private func lloyd(_ values: [Double], _ weights: [Double], _ start: [Double]) -> [Double] {
    var levels = start
    for _ in 0..<200 {
        var sums = [Double](repeating: 0, count: levels.count)
        var totals = sums
        for (value, weight) in zip(values, weights) {
            let nearest = levels.indices.min {
                abs(levels[$0] - value) < abs(levels[$1] - value)
            }!
            sums[nearest] += weight * value
            totals[nearest] += weight
        }
        for index in levels.indices where totals[index] > 0 {
            levels[index] = sums[index] / totals[index]
        }
    }
    return levels
}

@Suite struct LevelTests {
    @Test func equalBruteForce() {
        var generator = SeededGenerator(seed: 1)
        for count in [1, 2, 3, 5, 9, 12] {
            for _ in 0..<20 {
                let values = (0..<count).map { _ in
                    // A coarse grid, so that values repeat.
                    (Double.random(in: -1...1, using: &generator) * 12).rounded() / 12
                }.sorted()
                let weights = values.map { _ in
                    pow(10, Double.random(in: -4...2, using: &generator))
                }
                let optimum = OptimalLevels(values: values, weights: weights, most: 4)
                for clusters in 1...4 {
                    let expected = bruteForce(values, weights, clusters: min(clusters, count))
                    let levels = optimum.levels(clusters)
                    #expect(levels.count == clusters)
                    let found = cost(values, weights, levels.map { Double($0) })
                    let total = weights.reduce(0, +)
                    #expect(found <= expected + 1e-10 * total)
                    #expect(abs(optimum.cost(clusters) * total - expected) < 1e-10 * total)
                }
            }
        }
    }

    /// Centroids for N(0, 1) as published by Lloyd and Max; normalized mean squared errors beside them.
    @Test(arguments: [
        (1, [0.7979], 0.3634), (2, [0.4528, 1.5104], 0.1175),
        (3, [0.2451, 0.7560, 1.3439, 2.1519], 0.0345),
        (4, [0.1284, 0.3880, 0.6568, 0.9423, 1.2562, 1.6180, 2.0690, 2.7326], 0.0095),
    ])
    func equalWeightsOnGaussianDataGiveLloydMax(
        bits: Int, positive: [Double], error: Double
    ) {
        // The middles of 200,000 equal shares of the distribution, scaled into [−1, 1].
        let count = 200_000
        let scale = 5.0
        var histogram = LevelHistogram()
        histogram.add { adder in
            for index in 0..<count / 2 {
                let x = normalQuantile((Double(index) + 0.5) / Double(count)) / scale
                adder.add(Float(x), weight: 1)
                adder.add(Float(-x), weight: 1)
            }
        }
        let points = histogram.points
        let levels = OptimalLevels(
            values: points.values, weights: points.weights, most: 16
        ).levels(1 << bits)
        let expected = positive.reversed().map { -$0 } + positive
        for (level, expected) in zip(levels, expected) {
            #expect(abs(Double(level) * scale - expected) < 3e-3, "\(level) \(expected)")
        }
        #expect(abs(histogram.error(levels: levels) - error) < 2e-4)
    }

    @Test func noWorseThanLloydFromManyStarts() {
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<5 {
            // Two humps of different weight, as sensitive and insensitive elements make them.
            let values = (0..<1500).map { index in
                let x = generator.normal() * 0.1 + (index % 3 == 0 ? 0.6 : -0.2)
                return min(max(x, -1), 1)
            }.sorted()
            let weights = values.map { _ in exp(2 * generator.normal()) }
            let optimum = OptimalLevels(values: values, weights: weights, most: 8)
            let best = cost(values, weights, optimum.levels(8).map { Double($0) })
            for _ in 0..<10 {
                let start = (0..<8).map { _ in values.randomElement(using: &generator)! }.sorted()
                let other = cost(values, weights, lloyd(values, weights, start))
                #expect(best <= other * (1 + 1e-6))
            }
        }
    }

    @Test func moreLevelsThanValuesFillTheGaps() {
        let optimum = OptimalLevels(values: [-0.5, 0.25], weights: [1, 3], most: 16)
        let levels = optimum.levels(8)
        #expect(levels.count == 8)
        #expect(levels.contains(-0.5) && levels.contains(0.25))
        #expect(zip(levels, levels.dropFirst()).allSatisfy { $0 < $1 })
        #expect(levels.allSatisfy { (-1...1).contains($0) })
        let none = OptimalLevels(values: [], weights: [], most: 16).levels(4)
        #expect(none.count == 4 && Set(none).count == 4)
        #expect(none.allSatisfy { (-1...1).contains($0) })
        for ends in [[-1.0], [1.0], [-1.0, 1.0]] {
            let levels = OptimalLevels(
                values: ends, weights: ends.map { _ in 1 }, most: 16
            ).levels(16)
            #expect(levels.count == 16 && Set(levels).count == 16 && levels == levels.sorted())
            #expect(levels.allSatisfy { (-1...1).contains($0) })
        }
    }

    @Test func weightlessElementsCountTheSame() {
        var histogram = LevelHistogram()
        histogram.add { adder in
            for value in [-0.75, -0.75, 0.5, 0.5] as [Float] { adder.add(value, weight: 0) }
        }
        let points = histogram.points
        #expect(points.values == [-0.75, 0.5])
        #expect(points.weights == [2, 2])
        #expect(histogram.error(levels: [-1, 1]) == 0)
        #expect(LevelHistogram().points.values.isEmpty)
    }

    /// Equation 7 weighs by F · range², the official code by F: elements of wide vectors pull levels only with the former.
    @Test func rangesPullLevels() {
        func levels(narrow: Double, wide: Double) -> [Float] {
            var histogram = LevelHistogram()
            histogram.add { adder in
                for index in 0..<1000 {
                    let x = Float(index) / 1000
                    // Narrow vectors have normalized elements below 0, wide ones above; F is the same.
                    adder.add(-x, weight: narrow * narrow)
                    adder.add(x, weight: wide * wide)
                }
            }
            let points = histogram.points
            return OptimalLevels(
                values: points.values, weights: points.weights, most: 4
            ).levels(4)
        }
        let fisher = levels(narrow: 1, wide: 1)
        let fisherRange = levels(narrow: 0.1, wide: 10)
        #expect(fisher.filter { $0 > 0 }.count == 2)
        #expect(fisherRange.filter { $0 > 0 }.count >= 3)
    }

    @Test func normalizationRestoresMeanAndDeviation() {
        var generator = SeededGenerator(seed: 3)
        let values = (0..<40_000).map { _ in
            Float(min(max(generator.normal() * 0.15 + 0.2, -1), 1))
        }
        var histogram = LevelHistogram()
        histogram.add { adder in
            // Weights that make levels lopsided.
            for value in values { adder.add(value, weight: value > 0.2 ? 5 : 0.1) }
        }
        let points = histogram.points
        let levels = OptimalLevels(
            values: points.values, weights: points.weights, most: 4
        ).levels(4)
        let decoded = LevelNormalization.decoded(levels, histogram)
        #expect(decoded != levels)
        func moments(_ values: [Float]) -> (mean: Double, deviation: Double) {
            let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
            let squares = values.reduce(0) { $0 + pow(Double($1) - mean, 2) }
            return (mean, (squares / Double(values.count)).squareRoot())
        }
        let quantized = values.map { decoded[NearestLevel.index(of: Double($0), in: levels)] }
        let (plain, restored) = (moments(values), moments(quantized))
        #expect(abs(plain.mean - restored.mean) < 1e-4)
        #expect(abs(plain.deviation - restored.deviation) < 1e-4)
        let coarse = moments(
            values.map { levels[NearestLevel.index(of: Double($0), in: levels)] })
        #expect(abs(plain.deviation - coarse.deviation) > 1e-3)
        // Nothing to restore.
        var constant = LevelHistogram()
        constant.add { $0.add(0.5, weight: 1) }
        #expect(LevelNormalization.decoded([-1, 0, 0.5, 1], constant) == [-1, 0, 0.5, 1])
        #expect(LevelNormalization.decoded(levels, LevelHistogram()) == levels)
    }
}
