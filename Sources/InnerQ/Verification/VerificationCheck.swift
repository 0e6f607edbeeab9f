/// One comparison of a kernel or a quantizer with its oracle or with stored vectors, over many cases.
public struct VerificationCheck: Sendable, Codable {
    /// What was compared, e.g. `avx2 dot 3 bits` or `quantizers-gauss… channel.sym3`.
    public var name: String
    /// Comparisons made.
    public var cases = 0
    /// Numbers compared.
    public var elements = 0
    /// Largest error, in the check's own measure.
    public var worstError = 0.0
    /// Errors above this are failures; 0 means equal to the last bit.
    public var tolerance: Double
    /// Numbers that missed the tolerance.
    public var failures = 0
    /// What else is worth knowing.
    public var note: String?

    public init(name: String, tolerance: Double) {
        self.name = name
        self.tolerance = tolerance
    }

    public var passed: Bool { failures == 0 && elements > 0 }

    /// Counts one number's error.
    @inline(__always)
    mutating func record(_ error: Double) {
        elements += 1
        if !(error <= worstError) { worstError = error }
        if !(error <= tolerance) { failures += 1 }
    }

    /// Counts the errors of a whole array relative to the largest expected magnitude.
    mutating func record(_ actual: some Sequence<Float>, expected: [Double], floor: Double = 1e-30)
    {
        cases += 1
        let scale = expected.reduce(floor) { max($0, abs($1)) }
        for (x, y) in zip(actual, expected) { record(abs(Double(x) - y) / scale) }
    }
}
