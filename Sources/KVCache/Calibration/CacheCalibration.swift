/// What a codebook was made for.
public struct CodebookKey: Sendable, Hashable, Codable {
    public var tensor: CacheTensor
    public var bits: Int
    public var vector: CodebookVector
    public var outliers: Double
    public var preRotary: Bool

    public init(
        tensor: CacheTensor, bits: Int, vector: CodebookVector, outliers: Double, preRotary: Bool
    ) {
        self.tensor = tensor
        self.bits = bits
        self.vector = vector
        self.outliers = outliers
        self.preRotary = preRotary
    }

    /// What a format needs.
    public init(_ tensor: CacheTensor, _ format: CodebookFormat) {
        self.init(
            tensor: tensor, bits: format.bits, vector: format.vector, outliers: format.outliers,
            preRotary: tensor == .keys && format.preRotary)
    }
}

/// Ranges and levels of one tensor of one layer.
public struct CodebookTable: Sendable, Hashable {
    /// Ends of each channel's range, `[KV head][channel]`; empty with a range for each token.
    public var lows: [Float]
    public var highs: [Float]
    /// 2^bits levels in [−1, 1], rising: an element takes the code of the nearest.
    public var levels: [Float]
    /// What each code stands for: the levels, or those corrected by Q-Norm (section 3.5 of the paper).
    public var decoded: [Float]

    public init(lows: [Float], highs: [Float], levels: [Float], decoded: [Float]? = nil) {
        self.lows = lows
        self.highs = highs
        self.levels = levels
        self.decoded = decoded ?? levels
    }
}

/// Ranges and codebooks of one model, measured once on sample text (KVQuant, sections 3.1 to 3.4); `innerq calibrate`
/// makes it.
public struct CacheCalibration: Sendable, Hashable {
    /// How it was made; plain facts for those who read it.
    public struct Source: Sendable, Hashable, Codable {
        /// The text's name and the SHA-256 of the tokens used, in hexadecimal.
        public var text: String
        public var tokenDigest: String
        public var samples: Int
        /// Tokens of a sample.
        public var length: Int
        /// What elements count for in k-means.
        public var weights: CalibrationWeights
        /// First tokens of each sample that were left out.
        public var skippedTokens: Int

        public init(
            text: String, tokenDigest: String, samples: Int, length: Int,
            weights: CalibrationWeights, skippedTokens: Int
        ) {
            self.text = text
            self.tokenDigest = tokenDigest
            self.samples = samples
            self.length = length
            self.weights = weights
            self.skippedTokens = skippedTokens
        }
    }

    /// Of the model: another model's calibration is refused.
    public var fingerprint: [UInt8]
    /// KV heads and head size of each layer.
    public var shapes: [CalibrationShape]
    public var source: Source
    /// Tables of each layer.
    public var layers: [[CodebookKey: CodebookTable]]

    public init(
        fingerprint: [UInt8], shapes: [CalibrationShape], source: Source,
        layers: [[CodebookKey: CodebookTable]]
    ) {
        self.fingerprint = fingerprint
        self.shapes = shapes
        self.source = source
        self.layers = layers
    }
}

/// The size of a layer's keys and values.
public struct CalibrationShape: Sendable, Hashable, Codable {
    public var kvHeads: Int
    public var headSize: Int

    public init(kvHeads: Int, headSize: Int) {
        self.kvHeads = kvHeads
        self.headSize = headSize
    }
}

/// What an element's squared error counts for when levels are fitted; F is the Fisher information, the squared gradient
/// of the loss.
public enum CalibrationWeights: String, Sendable, Codable, Hashable, CaseIterable {
    /// F · range², so that the error is that of the element itself (equation 7 of the paper).
    case fisherRange = "fisher-range"
    /// F, as the official code has it.
    case fisher
    /// All the same.
    case uniform
}
