import Foundation

/// Two perplexities over the same tokens, compared token by token: far more exact than either perplexity, since what
/// is hard for one cache is hard for the other.
public struct PairedComparison: Sendable, Codable, Hashable {
    /// The perplexity over that of the other, less 1.
    public var relativeIncrease: Double
    /// Standard error of `relativeIncrease`.
    public var standardError: Double

    /// - Returns: `nil` if the runs did not score equally many tokens.
    public init?(of result: PerplexityResult, with other: PerplexityResult) {
        self.init(of: result.negativeLogLikelihoods, with: other.negativeLogLikelihoods)
    }

    /// - Parameters:
    ///   - losses: −ln p of each token, in nats.
    ///   - others: of the same tokens in the other run.
    public init?(of losses: [Float], with others: [Float]) {
        guard losses.count == others.count, losses.count > 0 else { return nil }
        let differences = zip(losses, others).map { Double($0) - Double($1) }
        let count = Double(differences.count)
        let mean = differences.reduce(0, +) / count
        let squares = differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        let variance = squares / max(count - 1, 1)
        relativeIncrease = exp(mean) - 1
        standardError = exp(mean) * (variance / count).squareRoot()
    }
}
