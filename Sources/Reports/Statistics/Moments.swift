/// Count, sum and sum of squares: enough for a mean and its error, and they add.
public struct Moments: Sendable, Hashable, Codable {
    public var count: Int
    public var sum: Double
    public var squares: Double
    /// Largest value; 0 of none.
    public var largest: Double

    public init(count: Int = 0, sum: Double = 0, squares: Double = 0, largest: Double = 0) {
        self.count = count
        self.sum = sum
        self.squares = squares
        self.largest = largest
    }

    public init(_ values: some Sequence<Double>) {
        self.init()
        for value in values { add(value) }
    }

    /// Counts from a file are checked, so that adding them up cannot overflow.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        count = try container.decode(Int.self, forKey: .count)
        sum = try container.decode(Double.self, forKey: .sum)
        squares = try container.decode(Double.self, forKey: .squares)
        largest = try container.decode(Double.self, forKey: .largest)
        guard (0...1 << 40).contains(count) else {
            throw DecodingError.dataCorruptedError(
                forKey: .count, in: container, debugDescription: "\(count) is out of range")
        }
    }

    public mutating func add(_ value: Double) {
        largest = count == 0 ? value : max(largest, value)
        count += 1
        sum += value
        squares += value * value
    }

    public static func += (left: inout Moments, right: Moments) {
        guard right.count > 0 else { return }
        left.largest = left.count == 0 ? right.largest : max(left.largest, right.largest)
        left.count += right.count
        left.sum += right.sum
        left.squares += right.squares
    }

    public var mean: Double { count == 0 ? .nan : sum / Double(count) }

    /// Of the values, with n − 1.
    public var variance: Double {
        guard count > 1 else { return .nan }
        return max(0, (squares - sum * sum / Double(count)) / Double(count - 1))
    }

    /// Of the mean, values being independent.
    public var standardError: Double {
        count > 1 ? (variance / Double(count)).squareRoot() : .nan
    }
}

/// A mean and its standard error.
public struct Estimate: Sendable, Hashable, Codable {
    public var value: Double
    public var error: Double
    public var count: Int

    public init(value: Double, error: Double, count: Int) {
        self.value = value
        self.error = error
        self.count = count
    }

    public init(_ moments: Moments) {
        self.init(value: moments.mean, error: moments.standardError, count: moments.count)
    }
}
