import Foundation

/// How positions turn queries and keys (RoPE): which channels form a pair, and how fast each pair turns.
///
/// Pair `i` of a head of size `d` turns by `position · frequency(i)`, with `frequency(i) = theta^(−2i/d)` before scaling.
public struct RotaryConfiguration: Sendable, Hashable, Codable {
    /// Which two channels of a head turn together.
    public enum Pairing: String, Sendable, Hashable, Codable {
        /// Channels 2i and 2i + 1. GGUF files of the `llama` architecture store W_Q and W_K permuted for this.
        case interleaved
        /// Channels i and i + d/2. Hugging Face checkpoints, and GGUF files of every other architecture.
        case halfSplit
    }

    /// How the frequencies are slowed for contexts beyond the trained one.
    public enum Scaling: Sendable, Hashable, Codable {
        case none
        /// All frequencies divided by `factor`.
        case linear(factor: Double)
        /// Llama 3: low frequencies divided by `factor`, high ones kept, a smooth transition between, where
        /// wavelength × factor = `originalContext`.
        case llama3(
            factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double,
            originalContext: Int)
        /// Frequency `i` divided by element `i` of the file's ``TensorName/ropeFactors``.
        case tensor
    }

    public var theta: Double
    public var pairing: Pairing
    public var scaling: Scaling

    public init(theta: Double, pairing: Pairing, scaling: Scaling = .none) {
        self.theta = theta
        self.pairing = pairing
        self.scaling = scaling
    }

    /// The angle per position of each of the `headSize / 2` pairs, in radians.
    ///
    /// - Parameter factors: the elements of ``TensorName/ropeFactors``, needed (one per pair) if and only if the
    ///   scaling is `tensor`.
    public func frequencies(headSize: Int, factors: [Float]? = nil) -> [Double] {
        (0..<headSize / 2).map { pair in
            let plain = pow(theta, -2 * Double(pair) / Double(headSize))
            switch scaling {
            case .none: return plain
            case .linear(let factor): return plain / factor
            case .llama3(let factor, let low, let high, let original):
                return Self.llama3(
                    plain, factor: factor, low: low, high: high, original: Double(original))
            case .tensor:
                guard let factors, pair < factors.count else { return plain }
                return plain / Double(factors[pair])
            }
        }
    }

    private static func llama3(
        _ plain: Double, factor: Double, low: Double, high: Double, original: Double
    ) -> Double {
        // Turns that the pair makes over the original context.
        let turns = original * plain / (2 * Double.pi)
        if turns < low { return plain / factor }
        if turns > high { return plain }
        let smooth = (turns - low) / (high - low)
        return (1 - smooth) * plain / factor + smooth * plain
    }
}
