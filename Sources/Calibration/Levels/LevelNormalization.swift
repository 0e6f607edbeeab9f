/// Q-Norm (section 3.5 of the paper): what codes stand for is stretched and moved so that decoded elements have the mean
/// and the deviation of the elements, which coarse levels lose. Elements still take the code of the nearest level.
///
///     decoded = u · σ₁/σ₂ + (μ₁ − μ₂ · σ₁/σ₂)       1: elements, 2: their nearest levels; unweighted
package enum LevelNormalization {
    package static func decoded(_ levels: [Float], _ histogram: LevelHistogram) -> [Float] {
        let count = histogram.count
        guard count > 0 else { return levels }
        var sum = 0.0
        var quantizedSum = 0.0
        var quantizedSquares = 0.0
        for bin in 0..<LevelHistogram.bins where histogram.counts[bin] > 0 {
            let number = histogram.counts[bin]
            let nearest = NearestLevel.index(of: histogram.sums[bin] / number, in: levels)
            let level = Double(levels[nearest])
            sum += histogram.sums[bin]
            quantizedSum += number * level
            quantizedSquares += number * level * level
        }
        let mean = sum / count
        let quantizedMean = quantizedSum / count
        let variance = histogram.squares / count - mean * mean
        let quantizedVariance = quantizedSquares / count - quantizedMean * quantizedMean
        // Nothing to stretch: a constant, or a single level for all.
        guard variance > 1e-12, quantizedVariance > 1e-12 else { return levels }
        let factor = (variance / quantizedVariance).squareRoot()
        return levels.map { Float(factor * (Double($0) - quantizedMean) + mean) }
    }
}
