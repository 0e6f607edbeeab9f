public import KVCache
public import ModelFiles

extension ModelConfiguration {
    /// What a cache for this model must be made for, RoPE aside; enough to count its bytes before any weight is loaded.
    public var cacheShape: CacheShape {
        CacheShape(
            layers: slidingWindows.map { window in
                LayerShape(
                    queryHeads: headCount, kvHeads: kvHeadCount, headSize: headSize,
                    attentionScale: attentionScale, slidingWindow: window)
            })
    }

    /// Which of a model's kinds of RoPE a layer has: 1 for the local one.
    func rotaryKind(layer: Int) -> Int {
        localRotary != nil && slidingWindows[layer] != nil ? 1 : 0
    }
}
