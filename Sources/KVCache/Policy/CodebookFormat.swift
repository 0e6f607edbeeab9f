/// K or V.
public enum CacheTensor: String, Sendable, Codable, Hashable, CaseIterable {
    case keys
    case values
}

/// The elements that share a range `[low, high]`, which codes are laid over.
public enum CodebookVector: String, Sendable, Codable, Hashable, CaseIterable {
    /// One channel of one KV head, over all tokens of the sequence: a static range (KVQuant's keys, section 3.1).
    case channel
    /// One token, over the channels of all KV heads of the layer: a range found when the token is sealed (KVQuant's
    /// values).
    case token
}

/// Where the 2^bits levels of a codebook come from. All lie in [−1, 1]; a value is `zero + range · level` with
/// `zero = (high + low) / 2` and `range = (high − low) / 2`.
public enum CodebookLevels: String, Sendable, Codable, Hashable, CaseIterable {
    /// Sensitivity-weighted k-means of a calibration, one table for K and one for V of each layer ("nuq", section 3.2).
    case fitted
    /// Quantiles of a normal distribution ("nf"): needs no calibration.
    case normalFloat
    /// Evenly spaced ("int").
    case uniform
}

/// KVQuant's formats (arXiv 2401.18079): a code of each element chooses a level of a table, over the range of the
/// element's vector; a small share of outliers is kept beside the codes, exactly.
///
/// With ``vector`` `token`, a token has a float16 range and zero for all its channels: 32 bits. Outliers take 32 bits each:
/// value and place. See ``PageLayout`` for the bytes.
public struct CodebookFormat: Sendable, Hashable {
    /// Bits of a code: 2, 3 or 4.
    public var bits: Int
    public var vector: CodebookVector
    public var levels: CodebookLevels
    /// Share of elements that are kept in float16, half of it above the range and half below; from 0 to 0.1.
    ///
    /// Static ranges (`channel`) end where this share of the calibration's elements lies beyond; at most this share of a
    /// page is kept, the farthest first, and what is left is clipped. Per `token`, ⌈share / 2 · channels⌉ of the largest
    /// and as many of the smallest are taken.
    public var outliers: Double
    /// Keys only: store keys as they are before RoPE, and turn them to their position when they are read.
    public var preRotary: Bool
    /// Tokens of the sequence itself that static ranges are taken from, when the first tile is sealed; 0 takes them from
    /// a calibration.
    public var statistics: Int

    public init(
        bits: Int, vector: CodebookVector, levels: CodebookLevels = .fitted, outliers: Double = 0,
        preRotary: Bool = false, statistics: Int = 0
    ) {
        self.bits = bits
        self.vector = vector
        self.levels = levels
        self.outliers = outliers
        self.preRotary = preRotary
        self.statistics = statistics
    }

    /// Whether a cache of this format cannot be made without a calibration.
    public var needsCalibration: Bool {
        levels == .fitted || (vector == .channel && statistics == 0)
    }

    /// Outliers that a page of 32 tokens of `channels` channels (of all KV heads) has room for.
    public func outlierCapacity(channels: Int) -> Int {
        switch vector {
        case .channel: Int((outliers * Double(32 * channels)).rounded(.up))
        case .token: 32 * 2 * outliersPerSide(channels: channels)
        }
    }

    /// Per `token`: outliers above the range, and as many below.
    package func outliersPerSide(channels: Int) -> Int {
        Int((outliers / 2 * Double(channels)).rounded(.up))
    }

    /// Bits an element for a layer of `channels` channels, all KV heads together.
    public func bitsPerElement(channels: Int, kvHeads: Int) -> Double {
        let side = SideLayout(format: self, channels: channels, kvHeads: kvHeads).byteCount
        return Double(bits) + Double(8 * side) / Double(32 * channels)
    }
}
