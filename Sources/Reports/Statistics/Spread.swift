/// The middle and the ends of some values, such as rates of several rounds.
public struct Spread: Sendable, Codable, Hashable {
    public var median: Double
    public var lowest: Double
    public var highest: Double

    /// What is no number counts as infinitely large.
    ///
    /// - Returns: `nil` of no values.
    public init?(_ values: [Double]) {
        // NaN would leave the order undefined.
        let sorted = values.map { $0.isNaN ? .infinity : $0 }.sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        let middle = sorted.count / 2
        median =
            sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        lowest = first
        highest = last
    }
}
