public import KVCache
public import ModelFiles

extension ModelConfiguration {
    /// What a cache for this model must be made for; enough to count its bytes before any weight is loaded.
    public var cacheShape: CacheShape {
        CacheShape(
            layers: slidingWindows.map { window in
                LayerShape(
                    queryHeads: headCount, kvHeads: kvHeadCount, headSize: headSize,
                    attentionScale: attentionScale, slidingWindow: window)
            })
    }
}
