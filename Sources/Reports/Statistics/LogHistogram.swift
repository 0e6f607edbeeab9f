import Foundation

/// Counts of values of 0 or more in bins whose edges grow by 2^(1/8), for quantiles of what is too much to keep.
///
///     bin b > 0 holds (2^((b − 1)/8), 2^(b/8)] · 1e-9; bin 0 what is at most 1e-9
///
/// A quantile is the upper edge of its bin: at most 9 % above the true one.
public struct LogHistogram: Sendable, Hashable, Codable {
    private static let smallest = 1e-9
    private static let perOctave = 8.0
    /// Up to 2^48 · 1e-9.
    private static let bins = 48 * 8 + 1

    /// Occupied bins.
    public private(set) var counts: [Int: Int] = [:]

    public init() {}

    public mutating func add(_ value: Double) {
        var bin = 0
        if value.isNaN {
            bin = Self.bins
        } else if value > Self.smallest {
            // Held within the bins before it becomes a whole number: infinity has none.
            let place = ((log2(value) - log2(Self.smallest)) * Self.perOctave).rounded(.up)
            bin = Int(min(Double(Self.bins), max(1, place)))
        }
        counts[bin, default: 0] += 1
    }

    public static func += (left: inout LogHistogram, right: LogHistogram) {
        left.counts.merge(right.counts, uniquingKeysWith: +)
    }

    public var count: Int { counts.values.reduce(0, +) }

    /// The value that `share` of all are at or below; `nil` without any.
    public func quantile(_ share: Double) -> Double? {
        let total = count
        guard total > 0 else { return nil }
        // Held within the values: NaN asks for the first.
        let wanted = max(0, min(1, share.isNaN ? 0 : share))
        let rank = max(1, min(total, Int((wanted * Double(total)).rounded(.up))))
        var seen = 0
        for bin in counts.keys.sorted() {
            seen += counts[bin] ?? 0
            if seen >= rank { return Self.smallest * exp2(Double(bin) / Self.perOctave) }
        }
        return nil
    }

    /// As `[bin, count, bin, count, …]`, in order.
    public init(from decoder: any Decoder) throws {
        let pairs = try decoder.singleValueContainer().decode([Int].self)
        guard pairs.count % 2 == 0 else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "an odd number of numbers"))
        }
        for index in stride(from: 0, to: pairs.count, by: 2) {
            guard (0...Self.bins).contains(pairs[index]), (0...1 << 40).contains(pairs[index + 1])
            else {
                throw DecodingError.dataCorrupted(
                    .init(codingPath: decoder.codingPath, debugDescription: "no such bin or count"))
            }
            counts[pairs[index], default: 0] += pairs[index + 1]
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(counts.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] })
    }
}
