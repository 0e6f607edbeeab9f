/// Scores of a multiple-choice question by log-likelihood.
public enum ChoiceScoring {
    /// `accuracy`, whether the right continuation is the likeliest, and `accuracy-norm`, whether it is the likeliest per
    /// byte, which does not favour short ones. Of equally likely ones the first is chosen; a likelihood that is no
    /// number is never chosen.
    ///
    /// - Parameters:
    ///   - logLikelihoods: For each choice, the sum of the log-probabilities of its continuation's tokens.
    ///   - lengths: For each choice, the bytes of its continuation: `lengths(of:)`.
    ///   - gold: Index of the right choice.
    ///   - mainMetric: The metric that comes first: `ChoiceRequest.mainMetric`.
    public static func scores(
        logLikelihoods: [Double], lengths: [Int], gold: Int, mainMetric: String = "accuracy-norm"
    ) -> [TaskScore] {
        let perByte = zip(logLikelihoods, lengths).map { $0 / Double(max(1, $1)) }
        let scores = [
            TaskScore("accuracy-norm", likeliest(perByte) == gold ? 1 : 0),
            TaskScore("accuracy", likeliest(logLikelihoods) == gold ? 1 : 0),
        ]
        return scores.filter { $0.metric == mainMetric } + scores.filter { $0.metric != mainMetric }
    }

    /// The bytes of each continuation without the space before it, as lm-eval counts characters.
    public static func lengths(of request: ChoiceRequest) -> [Int] {
        request.choices.map { choice in
            choice.continuation.utf8.count - (choice.continuation.utf8.first == 0x20 ? 1 : 0)
        }
    }

    private static func likeliest(_ values: [Double]) -> Int? {
        var best: Int?
        for (index, value) in values.enumerated() where !value.isNaN {
            if best.map({ value > values[$0] }) ?? true { best = index }
        }
        return best
    }
}
