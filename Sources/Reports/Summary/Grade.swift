import Foundation

/// How far a cache is from float16. Each measure gives one, and the worst counts.
public enum Grade: Int, Sendable, Codable, Comparable, CaseIterable {
    /// Not to be told from float16.
    case lossless
    case nearLossless
    case good
    case noticeable
    case poor
    /// The model does not work any more.
    case broken

    public static func < (left: Grade, right: Grade) -> Bool { left.rawValue < right.rawValue }

    public var words: String {
        switch self {
        case .lossless: "not to be told from float16"
        case .nearLossless: "nearly lossless"
        case .good: "good"
        case .noticeable: "noticeable loss"
        case .poor: "poor"
        case .broken: "broken"
        }
    }

    /// Smallest losses of `nearLossless` … `broken`, ascending, measure by measure.
    static let limits: [(name: String, isShare: Bool, limits: [Double])] = [
        ("Increase of perplexity", true, perplexityLimits),
        ("Mean KL divergence, nats", false, divergenceLimits),
        ("Tokens with another first choice", true, agreementLimits),
        ("Share of a task’s score that is lost", true, taskLimits),
        ("Error of attention’s output, median layer", false, attentionLimits),
    ]

    private static let perplexityLimits = [0.002, 0.01, 0.03, 0.10, 0.50]
    private static let divergenceLimits = [0.002, 0.01, 0.05, 0.15, 0.60]
    private static let agreementLimits = [0.02, 0.05, 0.12, 0.25, 0.40]
    private static let taskLimits = [0, 0.02, 0.05, 0.15, 0.50]
    private static let attentionLimits = [0.01, 0.05, 0.20, 0.35, 0.50]

    /// The last limit that a value is not below decides.
    private static func grade(_ value: Double, _ limits: [Double]) -> Grade {
        guard value.isFinite else { return .broken }
        return Grade(rawValue: limits.count { value >= $0 }) ?? .broken
    }

    /// Of the relative increase of perplexity. Less than two standard errors is nothing that was seen.
    public static func perplexity(_ increase: Estimate) -> Grade {
        guard increase.value.isFinite else { return .broken }
        // Compared as differences of the mean loss: there a large increase has no larger error than a small one, while in the
        // perplexity itself both grow alike and would hide it.
        let difference = log1p(max(-0.999_999, increase.value))
        let error = increase.error / (1 + increase.value)
        let isSeen = error.isFinite ? difference > 2 * error : difference > 0
        return grade(isSeen ? increase.value : 0, perplexityLimits)
    }

    /// Of the mean KL divergence from float16, nats.
    public static func divergence(_ mean: Double) -> Grade { grade(mean, divergenceLimits) }

    /// Of the share of tokens with the same first choice.
    public static func agreement(_ share: Double) -> Grade { grade(1 - share, agreementLimits) }

    /// Of a task's score and the reference's on the same questions. What chance explains is no loss.
    public static func task(_ score: Double, reference: Double, _ test: PairedTest) -> Grade {
        guard score.isFinite, reference.isFinite else { return .broken }
        guard test.isSignificant, score < reference, reference > 0 else { return .lossless }
        return grade(1 - score / reference, taskLimits)
    }

    /// Of the relative error of attention's output: the median over layers counts.
    public static func attention(_ error: Double) -> Grade { grade(error, attentionLimits) }
}
