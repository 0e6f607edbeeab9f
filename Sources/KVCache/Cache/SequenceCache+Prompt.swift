extension SequenceCache {
    /// Appends a prompt's tokens to one layer without attending, for a cache beside one that has: what it holds afterwards is
    /// what ``attend(layer:queries:keys:values:count:meaning:output:)`` with the meaning `prompt` leaves.
    ///
    /// - Parameters: as there.
    package func appendPrompt(
        layer index: Int, queries: UnsafePointer<Float>, keys: UnsafePointer<Float>,
        values: UnsafePointer<Float>, count: Int
    ) {
        let layer = layers[index]
        let before = layer.tokenCount
        layer.append(keys: keys, values: values, count: count)
        layer.watch(queries: queries, position: before, count: count)
        layer.seal(visibleFrom: layer.schedule.firstVisible(at: layer.tokenCount))
        layer.release()
    }

    /// Most tokens that a layer has quantized, those given back included.
    package var quantizedTokens: Int {
        let quantized = layers.filter { $0.policy.keys != .float16 || $0.policy.values != .float16 }
        return (quantized.map(\.sealedTiles).max() ?? 0) * TileLayout.tokens
    }
}
