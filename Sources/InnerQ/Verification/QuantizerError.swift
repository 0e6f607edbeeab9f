import KVCache

/// Errors of a grouped format on random numbers: what a level set costs before any model is asked.
public struct QuantizerError: Sendable, Codable {
    /// Numbers that groups are drawn from.
    public enum Distribution: String, Sendable, Codable, CaseIterable {
        case normal = "N(0,1)"
        case oneSided = "|N(0,1)|"
    }

    public var bits: Int
    public var mode: QuantizationMode
    public var levels: LevelSet
    public var scaleFit: ScaleFit
    public var distribution: Distribution
    /// Root of the mean square error.
    public var rmse: Double
    /// Σ x·x̂ / Σ x²: 1 keeps the size of products with the vector itself, less shrinks them.
    public var gain: Double
    /// Share of hybrid groups that chose asymmetric.
    public var asymmetricShare: Double

    /// Measures a format over `groups` seeded groups of 32.
    public static func measure(
        _ format: GroupedFormat, _ distribution: Distribution, groups: Int = 4096
    ) -> QuantizerError {
        var numbers = SplitMix64(seed: 42)
        var codes = [UInt8](repeating: 0, count: 32)
        let quantizer = GroupQuantizer(format)
        var (square, product, energy, asymmetric) = (0.0, 0.0, 0.0, 0)
        for _ in 0..<groups {
            let x = (0..<32).map { _ in
                distribution == .normal ? numbers.normal() : abs(numbers.normal())
            }
            let scale = quantizer.encode(x, count: 32, codes: &codes)
            if scale.isAsymmetric { asymmetric += 1 }
            for i in 0..<32 {
                let value = Double(scale.value(of: codes[i], bias: format.bias))
                square += (value - Double(x[i])) * (value - Double(x[i]))
                product += value * Double(x[i])
                energy += Double(x[i]) * Double(x[i])
            }
        }
        return QuantizerError(
            bits: format.bits, mode: format.mode, levels: format.levels, scaleFit: format.scaleFit,
            distribution: distribution, rmse: (square / Double(32 * groups)).squareRoot(),
            gain: product / energy, asymmetricShare: Double(asymmetric) / Double(groups))
    }

    /// Every level set and fit of the symmetric and hybrid formats of 2 and 3 bits.
    public static func all() -> [QuantizerError] {
        var results: [QuantizerError] = []
        for distribution in Distribution.allCases {
            for mode in [QuantizationMode.symmetric, .hybrid] {
                for bits in [2, 3] {
                    for levels in LevelSet.allCases {
                        let fits = levels == .fullRange ? ScaleFit.allCases : [.extreme]
                        for fit in fits {
                            results.append(
                                measure(
                                    GroupedFormat(
                                        bits: bits, axis: .channel, mode: mode, levels: levels,
                                        scaleFit: fit), distribution))
                        }
                    }
                }
            }
        }
        return results
    }
}
