package import KVCache

/// What a forward pass needs of a cache: it appends keys and values and attends over them.
///
/// ``SequenceCache`` is one; tests bring a dense one to compare with.
package protocol AttentionStore: AnyObject {
    /// Tokens that every layer has seen, so the position of the next one.
    var tokenCount: Int { get }

    /// Appends `count` tokens to one layer and writes their attention.
    ///
    /// - Parameters:
    ///   - queries: `[count][query heads][head size]`, after RoPE, not multiplied by the attention scale.
    ///   - keys: `[count][KV heads][head size]`, after RoPE.
    ///   - values: `[count][KV heads][head size]`.
    ///   - output: `[count][query heads][head size]`.
    func attend(
        layer: Int, queries: UnsafePointer<Float>, keys: UnsafePointer<Float>,
        values: UnsafePointer<Float>, count: Int, meaning: AttentionMeaning,
        output: UnsafeMutablePointer<Float>)
}

extension SequenceCache: AttentionStore {}
