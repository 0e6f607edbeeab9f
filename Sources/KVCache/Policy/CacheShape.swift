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

    public init(
        queryHeads: Int, kvHeads: Int, headSize: Int, attentionScale: Float? = nil,
        slidingWindow: Int? = nil
    ) {
        self.queryHeads = queryHeads
        self.kvHeads = kvHeads
        self.headSize = headSize
        self.attentionScale = attentionScale ?? 1 / Float(headSize).squareRoot()
        self.slidingWindow = slidingWindow
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
