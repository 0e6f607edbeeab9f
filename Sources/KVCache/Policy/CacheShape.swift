/// How a layer's RoPE turns keys; a cache that stores keys as they are before it undoes and does it.
public struct RotaryShape: Sendable, Codable, Hashable {
    /// Which two channels of a head turn together.
    public enum Pairing: String, Sendable, Codable, Hashable {
        /// Channels 2i and 2i + 1.
        case interleaved
        /// Channels i and i + d/2.
        case halfSplit
    }

    public var pairing: Pairing
    /// Radians a position, one for each of the `headSize / 2` pairs.
    public var frequencies: [Double]

    public init(pairing: Pairing, frequencies: [Double]) {
        self.pairing = pairing
        self.frequencies = frequencies
    }
}

/// What a cache must know of one attention layer.
public struct LayerShape: Sendable, Codable, Hashable {
    /// Heads of a layer at most. With ``CacheShape/mostLayers`` and 2³¹ tokens, byte counts stay below 2⁶².
    public static let mostHeads = 1024

    public var queryHeads: Int
    public var kvHeads: Int
    /// Channels of a head: a multiple of 16, at most 256.
    public var headSize: Int
    /// Factor on q·k, usually 1/√headSize.
    public var attentionScale: Float
    /// A query sees itself and the `slidingWindow − 1` tokens before it; `nil` sees all.
    public var slidingWindow: Int?
    /// Only formats that store keys as they are before RoPE need it.
    public var rotary: RotaryShape?

    public init(
        queryHeads: Int, kvHeads: Int, headSize: Int, attentionScale: Float? = nil,
        slidingWindow: Int? = nil, rotary: RotaryShape? = nil
    ) {
        self.queryHeads = queryHeads
        self.kvHeads = kvHeads
        self.headSize = headSize
        self.attentionScale = attentionScale ?? 1 / Float(headSize).squareRoot()
        self.slidingWindow = slidingWindow
        self.rotary = rotary
    }

    /// Query heads that share a KV head.
    public var groupRatio: Int { queryHeads / kvHeads }
}

/// What a cache must know of a model.
public struct CacheShape: Sendable, Codable, Hashable {
    /// Layers of a model at most.
    public static let mostLayers = 1024

    public var layers: [LayerShape]

    public init(layers: [LayerShape]) {
        self.layers = layers
    }
}
