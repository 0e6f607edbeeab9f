import KVCache

/// Errors of formats on random vectors of a head: rotated ones, and groups of 32 channels beside them.
public struct VectorError: Sendable, Codable {
    /// Numbers that vectors are made of.
    public enum Distribution: String, Sendable, Codable, CaseIterable {
        /// Every direction with equal chance.
        case normal = "N(0,1)"
        /// Four channels have a mean of ±10, as keys with biases have.
        case outliers = "N(0,1), 4 at ±10"
        /// One channel is not 0: the worst case of a Hadamard rotation, whose numbers are then all equal in magnitude.
        case spike = "1 of d"
    }

    public var format: TensorFormat
    public var headSize: Int
    public var distribution: Distribution
    /// All that is stored, codes and what is beside them.
    public var bitsPerElement: Double
    /// Σ ‖x − x̂‖² / Σ ‖x‖².
    public var distortion: Double
    /// Mean square error of products with random directions, d · E (q·x − q·x̂)² for unit vectors q and x.
    public var productError: Double
    /// Σ x·x̂ / Σ x²: 1 keeps the size of products with the vector itself, less shrinks them.
    public var gain: Double

    /// "rotated 3", "rotated 3, 1 of residual", "groups 3, symmetric".
    public var name: String {
        switch format {
        case .rotated(let rotated):
            "rotated \(rotated.bits)" + (rotated.hasResidual ? ", 1 of residual" : "")
        case .grouped(let grouped): "groups \(grouped.bits), \(grouped.mode.rawValue)"
        case .codebook(let codebook): "codebook \(codebook.bits)"
        case .float16: "float16"
        }
    }

    /// Encodes and decodes `vectors` seeded vectors. A tile of keys holds 32 of them.
    ///
    /// - Returns: `nil` for codebooks, which have no meaning without a calibration.
    public static func measure(
        _ format: TensorFormat, headSize: Int, _ distribution: Distribution, vectors: Int = 4096
    ) -> VectorError? {
        if case .codebook = format { return nil }
        let d = headSize
        let layout = TileLayout.keys(headSize: d, format: format)
        let quantizer = format.rotated.map { RotatedQuantizer($0, headSize: d) }
        var numbers = SplitMix64(seed: 42)
        var sums = Sums()
        var tile = [UInt32](repeating: 0, count: (layout.byteCount + 3) / 4)
        var values = [Float](repeating: 0, count: 32 * d)
        var decoded = values
        for start in stride(from: 0, to: vectors, by: 32) {
            for token in 0..<32 {
                let vector = sample(distribution, d, start + token, &numbers)
                for channel in 0..<d { values[32 * channel + token] = vector[channel] }
            }
            tile.withUnsafeMutableBytes { tile in
                guard let base = tile.baseAddress else { return }
                if let quantizer {
                    layout.encodeRotated(values, quantizer, into: base)
                    layout.decodeRotated(base, quantizer, into: &decoded)
                } else if format == .float16 {
                    let halves = base.assumingMemoryBound(to: UInt16.self)
                    for i in values.indices { halves[i] = Float16(values[i]).bitPattern }
                    layout.decode(base, into: &decoded)
                } else {
                    layout.encode(values, into: base)
                    layout.decode(base, into: &decoded)
                }
            }
            for token in 0..<32 {
                sums.add(
                    (0..<d).map { Double(values[32 * $0 + token]) },
                    (0..<d).map { Double(decoded[32 * $0 + token]) },
                    query: (0..<d).map { _ in Double(numbers.normal()) })
            }
        }
        return VectorError(
            format: format, headSize: d, distribution: distribution,
            bitsPerElement: format.bitsPerElement(headSize: d),
            distortion: sums.square / sums.energy,
            productError: Double(d) * sums.product / Double(sums.count),
            gain: sums.gain / sums.energy)
    }

    private struct Sums {
        var (square, energy, gain, product) = (0.0, 0.0, 0.0, 0.0)
        var count = 0

        mutating func add(_ x: [Double], _ y: [Double], query: [Double]) {
            var (own, length, error) = (0.0, 0.0, 0.0)
            for i in x.indices {
                square += (x[i] - y[i]) * (x[i] - y[i])
                gain += x[i] * y[i]
                own += x[i] * x[i]
                length += query[i] * query[i]
                error += query[i] * (x[i] - y[i])
            }
            energy += own
            product += error * error / (own * length)
            count += 1
        }
    }

    private static func sample(
        _ distribution: Distribution, _ d: Int, _ index: Int, _ numbers: inout SplitMix64
    ) -> [Float] {
        var vector = (0..<d).map { _ in distribution == .spike ? 0 : numbers.normal() }
        switch distribution {
        case .normal: break
        case .outliers:
            for i in 0..<4 { vector[(5 + 37 * i) % d] += i % 2 == 0 ? 10 : -10 }
        case .spike: vector[index % d] = 1
        }
        return vector
    }

    /// Rotated formats of all bits for common head sizes, and for 128 also the groups of as many bits and the harder
    /// distributions.
    public static func all() -> [VectorError] {
        let rotated =
            (1...4).map { TensorFormat.rotated(RotatedFormat(bits: $0)) }
            + (2...4).map { .rotated(RotatedFormat(bits: $0, hasResidual: true)) }
        let groups = (2...4).flatMap { bits in
            [QuantizationMode.symmetric, .hybrid].map {
                TensorFormat.grouped(GroupedFormat(bits: bits, axis: .channel, mode: $0))
            }
        }
        var results: [VectorError] = []
        for headSize in [64, 80, 128, 256] {
            for distribution in headSize == 128 ? Distribution.allCases : [.normal] {
                results += (headSize == 128 ? rotated + groups : rotated).compactMap {
                    measure($0, headSize: headSize, distribution)
                }
            }
        }
        return results
    }
}
