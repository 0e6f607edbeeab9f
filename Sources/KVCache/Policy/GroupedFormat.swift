/// The axis along which the 32 elements of a group lie.
public enum GroupAxis: String, Sendable, Codable, Hashable, CaseIterable {
    /// 32 channels of one token.
    case channel
    /// 32 tokens of one channel.
    case token
}

/// How a group's codes stand for values.
public enum QuantizationMode: String, Sendable, Codable, Hashable, CaseIterable {
    /// `s · c` with a signed code `c`.
    case symmetric
    /// `s · u + z` with an unsigned code `u` and the group's minimum `z`.
    case asymmetric
    /// Whichever of the two has the smaller error, chosen for each group (InnerQ, section 4.2).
    case hybrid
}

/// Which multiples of the scale a symmetric code of b bits may stand for, and which alternative a hybrid group has.
public enum LevelSet: String, Sendable, Codable, Hashable, CaseIterable {
    /// The official Python code: −(2^(b−1)−1) … 2^(b−1)−1, one code of 2^b unused; 2 bits are {−1, 0, 1}.
    /// Hybrid groups choose between these and b−1 bits asymmetric; a tie goes to asymmetric.
    case official
    /// The official CUDA quantizer: −2^(b−1) … 2^(b−1)−1 with s = max|x| / 2^(b−1), so that a positive extreme is
    /// clipped by one step. Hybrid groups choose between these and b bits asymmetric; a tie goes to symmetric.
    case kernel
    /// The same codes, but the scale takes the sign that puts the element of largest magnitude on −2^(b−1): nothing
    /// is clipped, and every code is used. The scale's sign bit is free in symmetric groups; in hybrid groups, where
    /// that bit is the flag, the sign is kept in the unused zero point (+0 or −0). Hybrid otherwise as `kernel`.
    case fullRange
}

/// How the scale of a symmetric full-range group is found.
public enum ScaleFit: String, Sendable, Codable, Hashable, CaseIterable {
    /// The element of largest magnitude is exact.
    case extreme
    /// The scale of least square error among a few candidates. Shrinks values a little.
    case leastSquares
    /// The candidate scale of least square error, then moved so that Σ x·x̂ = Σ x² for the codes it was fitted to:
    /// products with the vector itself nearly keep their size.
    case unbiased
}

/// Groups of 32 integers that share a scale.
public struct GroupedFormat: Sendable, Hashable {
    /// Elements in a group. Fixed by the tile: 32.
    public static let groupSize = 32

    /// Bits of a code: 2, 3, 4 or 8.
    public var bits: Int
    public var axis: GroupAxis
    public var mode: QuantizationMode
    public var levels: LevelSet
    public var scaleFit: ScaleFit

    public init(
        bits: Int, axis: GroupAxis, mode: QuantizationMode = .symmetric,
        levels: LevelSet = .fullRange,
        scaleFit: ScaleFit = .extreme
    ) {
        self.bits = bits
        self.axis = axis
        self.mode = mode
        self.levels = levels
        self.scaleFit = scaleFit
    }

    /// Whether each group stores a zero point beside its scale.
    public var storesZeros: Bool { mode != .symmetric }

    /// Bits an element of a full group takes: codes, float16 scale and, if stored, float16 zero point.
    public var bitsPerElement: Double {
        Double(bits) + (storesZeros ? 32 : 16) / Double(Self.groupSize)
    }

    /// What is added to a signed code so that it is stored as an unsigned one.
    package var bias: Int {
        switch levels {
        case .official: (1 << (bits - 1)) - 1
        case .kernel, .fullRange: 1 << (bits - 1)
        }
    }
}
