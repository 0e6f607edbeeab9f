public import Generation
package import KVCache
import ModelFiles
import Transformer

/// What a layer's keys and values look like on a sample: what makes some formats fit and others break.
public struct KeyValueProfile: Sendable, Codable, Hashable {
    public var layer: Int
    /// Largest magnitudes.
    public var keyRange: Double
    public var valueRange: Double
    /// Key channels whose root mean square is over 4 times the median of their head's channels: a scale shared with them leaves
    /// the others few levels.
    public var keyOutlierChannels: Int
    public var valueOutlierChannels: Int
    /// Key channels that lie further from 0 than they vary, by 3 times and more, and are larger than the median: biases, which
    /// cost a symmetric format its levels.
    public var keyBiasedChannels: Int
    /// Channels of all KV heads.
    public var channels: Int
    /// The largest share of a head's key energy that one channel has.
    public var largestKeyShare: Double
}

extension LanguageModel {
    /// Runs a sample through the model and looks at what it caches.
    ///
    /// - Parameters:
    ///   - tokens: at most the model's context.
    ///   - isCancelled: asked between layers.
    /// - Returns: a profile a layer.
    /// - Throws: `GenerationError`.
    public func keyValueProfiles(
        tokens: [Int32], isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws -> [KeyValueProfile] {
        let cache = try CacheCandidate.reference.makeCache(for: self)
        do {
            try transformer.forward(
                tokens: tokens, cache: cache, meaning: .decode, logits: .none,
                workspace: transformer.makeWorkspace(), isCancelled: isCancelled)
        } catch TransformerError.cancelled {
            throw GenerationError.cancelled
        }
        return cache.layers.enumerated().map { index, layer in
            let (keys, values) = layer.dequantized()
            let keyChannels = ChannelStatistics.all(keys, layer)
            let valueChannels = ChannelStatistics.all(values, layer)
            return KeyValueProfile(
                layer: index, keyRange: keyChannels.joined().map(\.largest).max() ?? 0,
                valueRange: valueChannels.joined().map(\.largest).max() ?? 0,
                keyOutlierChannels: keyChannels.reduce(0) { $0 + ChannelStatistics.outliers($1) },
                valueOutlierChannels: valueChannels.reduce(0) {
                    $0 + ChannelStatistics.outliers($1)
                },
                keyBiasedChannels: keyChannels.reduce(0) { $0 + ChannelStatistics.biased($1) },
                channels: layer.shape.kvHeads * layer.shape.headSize,
                largestKeyShare: keyChannels.map(ChannelStatistics.largestShare).max() ?? 0)
        }
    }
}

/// One channel of one head over the tokens of a sample.
package struct ChannelStatistics {
    package var mean: Double
    package var deviation: Double
    package var largest: Double

    var power: Double { mean * mean + deviation * deviation }

    /// First tokens are left out: attention sinks have keys and values unlike all others.
    private static let skipped = 4

    /// `[KV head][channel]` of `[KV head][token][channel]`.
    package static func all(_ numbers: [Double], _ layer: LayerCache) -> [[ChannelStatistics]] {
        let size = layer.shape.headSize
        let tokens = layer.tokenCount
        return (0..<layer.shape.kvHeads).map { head in
            (0..<size).map { channel in
                var count = 0.0
                var sum = 0.0
                var squares = 0.0
                var largest = 0.0
                for token in min(skipped, tokens)..<tokens {
                    let x = numbers[(head * tokens + token) * size + channel]
                    // No longer held, behind a sliding window.
                    guard !x.isNaN else { continue }
                    count += 1
                    sum += x
                    squares += x * x
                    largest = max(largest, abs(x))
                }
                let mean = count > 0 ? sum / count : 0
                let variance = count > 0 ? max(0, squares / count - mean * mean) : 0
                return ChannelStatistics(
                    mean: mean, deviation: variance.squareRoot(), largest: largest)
            }
        }
    }

    private static func medianPower(_ channels: [ChannelStatistics]) -> Double {
        let sorted = channels.map(\.power).sorted()
        return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }

    package static func outliers(_ channels: [ChannelStatistics]) -> Int {
        let median = medianPower(channels)
        return channels.count { $0.power > 16 * median }
    }

    package static func biased(_ channels: [ChannelStatistics]) -> Int {
        let median = medianPower(channels)
        return channels.count { abs($0.mean) > 3 * $0.deviation && $0.power > median }
    }

    package static func largestShare(_ channels: [ChannelStatistics]) -> Double {
        let total = channels.reduce(0) { $0 + $1.power }
        return total > 0 ? (channels.map(\.power).max() ?? 0) / total : 0
    }
}
