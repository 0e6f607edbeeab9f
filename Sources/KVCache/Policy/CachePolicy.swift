/// Tokens that stay in float16.
public struct CacheWindows: Sendable, Codable, Hashable {
    /// First tokens of the sequence, kept for ever. Filled from decode when the prompt is shorter.
    public var sink: Int
    /// Newest tokens. Tiles of 32 tokens are sealed when this many and 32 more are held, so between `recent` and
    /// `recent + 31` are in float16 after each step.
    public var recent: Int

    public init(sink: Int, recent: Int) {
        self.sink = sink
        self.recent = recent
    }

    public static let none = CacheWindows(sink: 0, recent: 0)
}

/// What is done to keys, channel by channel, before they are quantized.
///
/// A stored key is `(k − mean) / scale`; queries are multiplied by `scale`, and `q · mean` is added to the scores of
/// the body, so that products are unchanged. Both vectors belong to one sequence, layer and KV head. They are fixed
/// when the first tile is sealed and never change after that. (InnerQ, section 4.3; the mean is this project's.)
public struct KeyNormalization: Sendable, Hashable {
    /// Subtract each channel's mean.
    public var centred: Bool
    /// `scale = (max over tokens |k − mean|) ^ exponent / (root mean square of q) ^ queryExponent`; with a query
    /// exponent of 0, ½ is InnerQ's rule and 0 leaves keys unscaled.
    public var exponent: Float
    /// How far channels whose queries are large are stored more finely. ½ together with an exponent of ½ makes the sum
    /// over channels of (query size · step) least, the error of a score; InnerQ has 0.
    public var queryExponent: Float
    /// Spread the rounding error of each channel over those not yet rounded, so that the error of scores is least for
    /// queries like those seen: see ``KeyFeedback``. Costs head size² / 2 numbers for each KV head, and nothing when
    /// keys are read.
    public var feedback: Bool
    /// Leave the sink tokens out of the statistics.
    public var skipsSink: Bool
    /// Tokens that must have been seen before the first tile is sealed, and which the statistics are taken from;
    /// 0 means sink + recent + 32, the earliest moment there is something to seal.
    public var tokens: Int

    public init(
        centred: Bool, exponent: Float, queryExponent: Float = 0, feedback: Bool = false,
        skipsSink: Bool = false, tokens: Int = 0
    ) {
        self.feedback = feedback
        self.centred = centred
        self.exponent = exponent
        self.queryExponent = queryExponent
        self.skipsSink = skipsSink
        self.tokens = tokens
    }

    /// As published: no mean, square root of the largest magnitude, all tokens until the first seal.
    public static let published = KeyNormalization(centred: false, exponent: 0.5)

    /// The default of InnerQ's presets here, chosen by measurement (docs/methods/innerq.md): centred, square root of the
    /// largest deviation, error feedback; statistics from tokens 32 to 511.
    public static let standard = KeyNormalization(
        centred: true, exponent: 0.5, feedback: true, skipsSink: true, tokens: 512)
}

/// Layers whose formats or windows differ from the policy's.
public struct LayerException: Sendable, Codable, Hashable {
    /// Layer numbers; negative ones count from the end, −1 being the last.
    public var layers: [Int]
    public var keys: TensorFormat?
    public var values: TensorFormat?
    public var windows: CacheWindows?

    public init(
        layers: [Int], keys: TensorFormat? = nil, values: TensorFormat? = nil,
        windows: CacheWindows? = nil
    ) {
        self.layers = layers
        self.keys = keys
        self.values = values
        self.windows = windows
    }
}

/// A whole recipe for the cache of one model: plain data with named presets.
///
/// ```swift
/// var policy = CachePolicy.innerQBase
/// policy.exceptions = [LayerException(layers: [0, -1], keys: .float16)]
/// ```
public struct CachePolicy: Sendable, Hashable {
    /// The preset's name, or the user's own.
    public var name: String
    public var keys: TensorFormat
    public var values: TensorFormat
    public var windows: CacheWindows
    /// `nil` leaves keys as they are. Only for keys in groups along channels.
    public var keyNormalization: KeyNormalization?
    public var exceptions: [LayerException]

    public init(
        name: String, keys: TensorFormat, values: TensorFormat, windows: CacheWindows,
        keyNormalization: KeyNormalization? = nil, exceptions: [LayerException] = []
    ) {
        self.name = name
        self.keys = keys
        self.values = values
        self.windows = windows
        self.keyNormalization = keyNormalization
        self.exceptions = exceptions
    }

    /// Formats and windows of one layer, after exceptions; later exceptions win.
    public func layer(_ index: Int, of layerCount: Int) -> LayerPolicy {
        var result = LayerPolicy(
            keys: keys, values: values, windows: windows, keyNormalization: keyNormalization)
        for exception in exceptions
        where exception.layers.contains(where: { ($0 < 0 ? $0 + layerCount : $0) == index }) {
            result.keys = exception.keys ?? result.keys
            result.values = exception.values ?? result.values
            result.windows = exception.windows ?? result.windows
        }
        if result.keys.grouped?.axis != .channel { result.keyNormalization = nil }
        return result
    }
}

/// What a policy asks of one layer.
public struct LayerPolicy: Sendable, Hashable {
    public var keys: TensorFormat
    public var values: TensorFormat
    public var windows: CacheWindows
    public var keyNormalization: KeyNormalization?
}
