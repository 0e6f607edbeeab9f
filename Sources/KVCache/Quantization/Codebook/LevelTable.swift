import Foundation

/// The levels of a codebook, ready to encode and to decode.
package struct LevelTable: Sendable {
    /// 2^bits levels, rising.
    package let levels: [Float]
    /// What each code stands for, in units of the range.
    package let decoded: [Float]
    /// Half-way between neighbouring levels: a number has as code how many of them it exceeds, so that one exactly between
    /// two levels takes the lower.
    package let boundaries: [Float]
    /// `decoded`, filled with zeros to the 16 entries that kernels read.
    package let table: [Float]

    package init(levels: [Float], decoded: [Float]) {
        self.levels = levels
        self.decoded = decoded
        boundaries = zip(levels, levels.dropFirst()).map { ($0 + $1) / 2 }
        table = decoded + [Float](repeating: 0, count: max(0, 16 - decoded.count))
    }

    @inline(__always)
    package func code(_ normalized: Float) -> UInt8 {
        var code: UInt8 = 0
        for boundary in boundaries where normalized > boundary { code += 1 }
        return code
    }

    /// The levels of formats that need no calibration.
    package static func levels(_ kind: CodebookLevels, bits: Int) -> [Float] {
        let count = 1 << bits
        switch kind {
        case .uniform:
            return (0..<count).map { 2 * Float($0) / Float(count - 1) - 1 }
        case .normalFloat, .fitted:
            return normalFloat(count)
        }
    }

    /// Normal-float levels (QLoRA, arXiv 2305.14314, section 3): quantiles of the unit normal, evenly spaced in
    /// probability on each side of an exact 0, scaled to [−1, 1]; one level more above 0 than below.
    private static func normalFloat(_ count: Int) -> [Float] {
        // The outermost quantile of the paper's construction, ½ (1/(2·15) + 1/(2·16)) from 1 for 16 levels.
        let half = Double(count) / 2
        let end = 1 - (1 / (4 * half) + 1 / (4 * half - 2)) / 2
        let above = (0...(count / 2)).map { quantile(0.5 + (end - 0.5) * Double($0) / half) }
        let below = (1..<(count / 2)).map {
            -quantile(0.5 + (end - 0.5) * Double($0) / (half - 1))
        }
        let all = (above + below).sorted()
        let largest = quantile(end)
        return all.map { Float($0 / largest) }
    }

    /// The inverse of the unit normal's distribution function, by Newton's method on erf.
    private static func quantile(_ probability: Double) -> Double {
        var x = 0.0
        for _ in 0..<60 {
            let error = 0.5 * erfc(-x / 2.0.squareRoot()) - probability
            let density = exp(-x * x / 2) / (2 * Double.pi).squareRoot()
            let step = error / density
            x -= min(max(step, -1), 1)
            if abs(step) < 1e-15 { break }
        }
        return x
    }
}

/// Zero and range of one vector, as float16 stores them: values are `zero + range · level`.
package struct VectorRange: Sendable, Hashable {
    package let zero: Float
    package let range: Float

    package init(low: Float, high: Float) {
        zero = ScalePrecision.float16.round((high + low) / 2)
        range = ScalePrecision.float16.round((high - low) / 2)
    }

    /// In units of the range; 0 where there is none.
    @inline(__always)
    package func normalize(_ value: Float) -> Float { range == 0 ? 0 : (value - zero) / range }
}
