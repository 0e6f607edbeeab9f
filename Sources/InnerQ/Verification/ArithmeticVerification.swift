import Evaluation
import Foundation
package import KVCache
package import Transformer

/// What integer attention costs: a text is decoded token by token with float32 products, and each token also with integer
/// ones, on a copy of the cache as it was. (Two caches that go on by themselves differ more after some hundred tokens: a
/// rounding error that moves one code at a seal counts for more than all products of a step.)
package struct ArithmeticVerification: Encodable, Sendable {
    package var cache: String
    /// Tokens of the prompt, which both caches take alike.
    package var prompt: Int
    /// Tokens decoded after it, each of whose logits were compared.
    package var decoded: Int
    /// Of any logit of any token, absolute, but for tokens that seal a tile.
    package var largestDifference = 0.0
    /// Of the tokens that seal a tile: a rounding error of their own key or value may move a code, which no arithmetic
    /// but the same can prevent.
    package var largestAtSeals = 0.0
    /// Root of the mean square over all logits.
    package var rootMeanSquare = 0.0
    /// Tokens whose likeliest successor is the same.
    package var sameChoice = 0
    /// Perplexity of the decoded tokens by float products, and by integer ones.
    package var floatPerplexity = 0.0
    package var integerPerplexity = 0.0

    /// Integer over float, less 1.
    package var perplexityChange: Double { integerPerplexity / floatPerplexity - 1 }

    private enum CodingKeys: String, CodingKey {
        case cache, prompt, decoded, largestDifference, largestAtSeals, rootMeanSquare, sameChoice,
            floatPerplexity,
            integerPerplexity
    }

    /// - Parameters:
    ///   - tokens: the prompt, then what is decoded.
    ///   - prompt: at least 1, fewer than `tokens`.
    ///   - progress: called after each token, with the number decoded.
    package static func run(
        model: TransformerModel, policy: CachePolicy, calibration: CacheCalibration?,
        tokens: [Int32], prompt: Int, progress: (Int) -> Void,
        isCancelled: @escaping @Sendable () -> Bool
    ) throws -> ArithmeticVerification {
        var result = ArithmeticVerification(
            cache: policy.name, prompt: prompt, decoded: tokens.count - prompt - 1)
        let cache = try SequenceCache(
            shape: model.cacheShape, policy: policy, calibration: calibration,
            workers: model.workers)
        cache.arithmetic = .float
        let (workspace, other) = (model.makeWorkspace(), model.makeWorkspace())
        workspace.arithmetic = .float
        try model.forward(
            tokens: Array(tokens[..<prompt]), cache: cache, meaning: .prompt, logits: .none,
            workspace: workspace, isCancelled: isCancelled)
        var (floatLoss, integerLoss, squares) = (0.0, 0.0, 0.0)
        for index in prompt..<tokens.count - 1 {
            let copy = try cache.copy(workers: model.workers)
            let sealed = cache.layers.map(\.sealedTiles)
            copy.arithmetic = .integer
            try model.forward(
                tokens: [tokens[index]], cache: copy, meaning: .decode, workspace: other,
                isCancelled: isCancelled)
            try model.forward(
                tokens: [tokens[index]], cache: cache, meaning: .decode, workspace: workspace,
                isCancelled: isCancelled)
            let (a, b) = (workspace.logits, other.logits)
            var largest = 0.0
            for i in a.indices {
                let difference = Double(a[i]) - Double(b[i])
                squares += difference * difference
                largest = max(largest, abs(difference))
            }
            if sealed == cache.layers.map(\.sealedTiles) {
                result.largestDifference = max(result.largestDifference, largest)
            } else {
                result.largestAtSeals = max(result.largestAtSeals, largest)
            }
            if argmax(a) == argmax(b) { result.sameChoice += 1 }
            floatLoss += LogitReference.loss(a, next: tokens[index + 1])
            integerLoss += LogitReference.loss(b, next: tokens[index + 1])
            progress(index - prompt + 1)
        }
        let count = Double(result.decoded)
        result.rootMeanSquare =
            (squares / count / Double(model.configuration.vocabularySize)).squareRoot()
        result.floatPerplexity = exp(floatLoss / count)
        result.integerPerplexity = exp(integerLoss / count)
        return result
    }

    private static func argmax(_ logits: UnsafeMutableBufferPointer<Float>) -> Int {
        logits.indices.max { logits[$0] < logits[$1] } ?? 0
    }
}
