import KVCache

/// Runs arrays through one layer's cache.
enum CacheRun {
    /// Appends `count` tokens in chunks; returns the outputs `[count][query heads][d]`.
    static func outputs(
        _ cache: LayerCache, _ attention: LayerAttention, _ queries: [Float], _ keys: [Float],
        _ values: [Float], count: Int, chunk: Int, meaning: AttentionMeaning
    ) -> [Float] {
        let queryRow = cache.shape.queryHeads * cache.shape.headSize
        let keyRow = cache.shape.kvHeads * cache.shape.headSize
        var output = [Float](repeating: .nan, count: count * queryRow)
        var done = 0
        while done < count {
            let step = min(chunk, count - done)
            queries.withUnsafeBufferPointer { q in
                keys.withUnsafeBufferPointer { k in
                    values.withUnsafeBufferPointer { v in
                        output.withUnsafeMutableBufferPointer { out in
                            attention.attend(
                                cache, queries: q.baseAddress! + done * queryRow,
                                keys: k.baseAddress! + done * keyRow,
                                values: v.baseAddress! + done * keyRow, count: step,
                                meaning: meaning, output: out.baseAddress! + done * queryRow)
                        }
                    }
                }
            }
            done += step
        }
        return output
    }
}
