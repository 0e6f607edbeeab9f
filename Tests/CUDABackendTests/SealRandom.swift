/// Groups of every kind that a quantizer may meet.
struct SealRandom: RandomNumberGenerator {
    enum Kind: CaseIterable {
        case normal, zero, subnormal, huge, positive, negative, constant, ties, outlier, nan,
            infinite
    }

    private var numbers: Random

    init(_ seed: UInt64) { numbers = Random(seed) }

    mutating func next() -> UInt64 { numbers.next() }

    /// Roughly normal.
    private mutating func normal() -> Float {
        (0..<4).reduce(into: -2) { sum, _ in sum += Float(next() >> 40) / Float(1 << 24) }
    }

    mutating func group(_ kind: Kind) -> [Float] {
        let size = Float(1 << (next() % 8))
        let constant = normal()
        var x = (0..<32).map { _ in normal() * size }
        switch kind {
        case .normal: break
        case .zero: x = x.map { $0 < 0 ? -0.0 : 0 }
        case .subnormal: x = x.map { $0 * (size > 8 ? Float.leastNormalMagnitude / 100 : 1e-8) }
        case .huge: x = x.map { $0 * (size > 8 ? 1e36 : 6e4) }
        case .positive: x = x.map { abs($0) + 1 }
        case .negative: x = x.map { -abs($0) }
        case .constant: x = x.map { _ in constant }
        case .ties: x = x.map { ($0 * 8).rounded() / 8 }
        case .outlier: x[Int(next() % 32)] *= 100
        case .nan: for _ in 0..<3 { x[Int(next() % 32)] = .nan }
        case .infinite: x[Int(next() % 32)] = next() % 2 == 0 ? .infinity : -.infinity
        }
        return x
    }
}
