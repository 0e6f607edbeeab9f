public import KVCache

/// What to calibrate on, and for which formats.
public struct CalibrationOptions: Sendable, Hashable, Codable {
    /// Sequences, taken from all over the text.
    public var samples: Int
    /// Tokens of a sequence.
    public var length: Int
    /// Bits of the codebooks to fit: any of 2, 3 and 4.
    public var bits: [Int]
    /// Shares of outliers to fit for: each from 0 to 0.1.
    public var outliers: [Double]
    public var weights: CalibrationWeights
    /// First tokens of each sequence that are left out: they attract attention, are unlike all others, and are kept in
    /// float16 by the caches.
    public var skippedTokens: Int
    /// Bits whose codes stand for values with the mean and deviation of what they encode (Q-Norm, section 3.5).
    public var normalizedBits: [Int]
    /// Also fits what the paper compares with: keys per token, keys after RoPE, values per channel.
    public var ablations: Bool
    /// Bytes that the run may allocate beside the model's weights.
    public var memory: Int

    public init(
        samples: Int = 16, length: Int = 2048, bits: [Int] = [4, 3, 2],
        outliers: [Double] = [0.01, 0], weights: CalibrationWeights = .fisherRange,
        skippedTokens: Int = 1, normalizedBits: [Int] = [2], ablations: Bool = false,
        memory: Int = 2 << 30
    ) {
        self.samples = samples
        self.length = length
        self.bits = bits
        self.outliers = outliers
        self.weights = weights
        self.skippedTokens = skippedTokens
        self.normalizedBits = normalizedBits
        self.ablations = ablations
        self.memory = memory
    }

    /// - Throws: ``CalibrationError`` `invalidOptions`.
    public func validate() throws(CalibrationError) {
        func require(_ condition: Bool, _ what: String) throws(CalibrationError) {
            if !condition { throw .invalidOptions(what) }
        }
        try require((1...1 << 16).contains(samples), "samples must be from 1 to 65536")
        try require((8...1 << 20).contains(length), "the length must be from 8 to 1048576 tokens")
        try require(
            (0...length / 2).contains(skippedTokens),
            "at most half of a sample's \(length) tokens can be skipped")
        try require(!bits.isEmpty, "there must be bits to fit for")
        for bits in bits + normalizedBits {
            try require((2...4).contains(bits), "codebooks have 2, 3 or 4 bits, not \(bits)")
        }
        try require(!outliers.isEmpty, "there must be a share of outliers, such as 0")
        for share in outliers {
            try require(
                share >= 0 && share <= 0.1, "a share of outliers is from 0 to 0.1, not \(share)")
        }
    }

    /// The kinds of vectors to fit: of which tensor, along which axis, and for keys whether before RoPE.
    var variants: [CodebookVariant] {
        var variants = [
            CodebookVariant(tensor: .keys, vector: .channel, preRotary: true),
            CodebookVariant(tensor: .values, vector: .token, preRotary: false),
        ]
        if ablations {
            variants += [
                CodebookVariant(tensor: .keys, vector: .channel, preRotary: false),
                CodebookVariant(tensor: .keys, vector: .token, preRotary: true),
                CodebookVariant(tensor: .keys, vector: .token, preRotary: false),
                CodebookVariant(tensor: .values, vector: .channel, preRotary: false),
            ]
        }
        return variants
    }

    /// Bits in order, each once.
    var distinctBits: [Int] { Set(bits).sorted() }
    var distinctOutliers: [Double] { Set(outliers).sorted() }
}

/// A ``CodebookKey`` without bits and outliers.
package struct CodebookVariant: Sendable, Hashable {
    package var tensor: CacheTensor
    package var vector: CodebookVector
    package var preRotary: Bool

    package init(tensor: CacheTensor, vector: CodebookVector, preRotary: Bool) {
        self.tensor = tensor
        self.vector = vector
        self.preRotary = preRotary
    }

    func key(bits: Int, outliers: Double) -> CodebookKey {
        CodebookKey(
            tensor: tensor, bits: bits, vector: vector, outliers: outliers, preRotary: preRotary)
    }
}
