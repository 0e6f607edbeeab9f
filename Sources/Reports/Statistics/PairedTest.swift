import Foundation

/// Scores of two caches on the same questions, compared question by question.
public struct PairedTest: Sendable, Hashable, Codable {
    /// Mean difference, and its standard error.
    public var difference: Estimate
    /// Mean of the scores that are compared with; `nil` where only differences are known.
    public var reference: Double?
    /// Probability of a difference at least as large if there were none, two-sided: the exact sign test (McNemar's) where
    /// all scores are 0 or 1, Student's t otherwise. 1 where nothing differs.
    public var pValue: Double

    /// Whether chance is an unlikely reason.
    public var isSignificant: Bool { pValue < 0.05 }

    /// - Returns: `nil` without questions in common.
    public init?(of scores: [Double], with others: [Double]) {
        guard scores.count == others.count, !scores.isEmpty else { return nil }
        let differences = zip(scores, others).map { $0 - $1 }
        let isBinary = (scores + others).allSatisfy { $0 == 0 || $0 == 1 }
        difference = Estimate(Moments(differences))
        reference = Moments(others).mean
        if isBinary {
            pValue = Self.signTest(
                better: differences.count { $0 > 0 }, worse: differences.count { $0 < 0 })
        } else {
            pValue = Self.studentTest(Moments(differences))
        }
    }

    /// Of differences whose moments are known.
    public init(_ differences: Moments) {
        difference = Estimate(differences)
        reference = nil
        pValue = Self.studentTest(differences)
    }

    /// Exact two-sided binomial test of a fair coin.
    static func signTest(better: Int, worse: Int) -> Double {
        let n = better + worse
        guard n > 0 else { return 1 }
        // Σ_{i ≤ k} C(n, i) / 2ⁿ by logarithms, so that no n overflows.
        let k = min(better, worse)
        var sum = 0.0
        for i in 0...k {
            let choose =
                SpecialFunctions.logFactorial(n) - SpecialFunctions.logFactorial(i)
                - SpecialFunctions.logFactorial(n - i)
            sum += exp(choose - Double(n) * log(2.0))
        }
        return min(1, 2 * sum)
    }

    static func studentTest(_ differences: Moments) -> Double {
        guard differences.count > 1 else { return 1 }
        // An infinite difference is no accident.
        guard differences.mean.isFinite else { return 0 }
        guard differences.variance > 0 else { return differences.mean == 0 ? 1 : 0 }
        let t = differences.mean / differences.standardError
        return SpecialFunctions.studentTail(t, degrees: Double(differences.count - 1))
    }
}

/// What tests need beyond the C library.
enum SpecialFunctions {
    static func logGamma(_ x: Double) -> Double { lgamma(x).0 }

    static func logFactorial(_ n: Int) -> Double { logGamma(Double(n + 1)) }

    /// P(|T| ≥ |t|) of Student's distribution: the regularized incomplete beta function I_{ν/(ν+t²)}(ν/2, 1/2).
    static func studentTail(_ t: Double, degrees: Double) -> Double {
        guard t.isFinite else { return t.isNaN ? 1 : 0 }
        return incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5)
    }

    /// I_x(a, b) by its continued fraction (Abramowitz and Stegun 26.5.8), evaluated by Lentz's method.
    static func incompleteBeta(_ x: Double, _ a: Double, _ b: Double) -> Double {
        guard x > 0 else { return 0 }
        guard x < 1 else { return 1 }
        // The fraction converges fast on this side only.
        if x > (a + 1) / (a + b + 2) { return 1 - incompleteBeta(1 - x, b, a) }
        let beta = logGamma(a) + logGamma(b) - logGamma(a + b)
        let front = exp(a * log(x) + b * log(1 - x) - beta) / a
        let tiny = 1e-300
        var c = 1.0
        var d = 1 - (a + b) * x / (a + 1)
        d = 1 / (abs(d) < tiny ? tiny : d)
        var value = d
        for step in 1...500 {
            let m = Double(step)
            let even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
            let odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
            for term in [even, odd] {
                d = 1 + term * d
                d = 1 / (abs(d) < tiny ? tiny : d)
                c = 1 + term / c
                if abs(c) < tiny { c = tiny }
                value *= c * d
            }
            if abs(c * d - 1) < 1e-14 { break }
        }
        return front * value
    }
}
