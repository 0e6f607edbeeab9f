import Foundation
import KVCache
import Transformer

/// Attention over all keys and values in float32, sums in float64: the oracle that the forward pass is tested with.
final class DenseAttention: AttentionStore {
    private let shape: CacheShape
    private var keys: [[Float]]
    private var values: [[Float]]

    init(_ shape: CacheShape) {
        self.shape = shape
        keys = Array(repeating: [], count: shape.layers.count)
        values = keys
    }

    var tokenCount: Int {
        let layer = shape.layers[shape.layers.count - 1]
        return keys[keys.count - 1].count / (layer.kvHeads * layer.headSize)
    }

    func attend(
        layer index: Int, queries: UnsafePointer<Float>, keys newKeys: UnsafePointer<Float>,
        values newValues: UnsafePointer<Float>, count: Int, meaning: AttentionMeaning,
        output: UnsafeMutablePointer<Float>
    ) {
        let layer = shape.layers[index]
        let (d, row) = (layer.headSize, layer.kvHeads * layer.headSize)
        let before = keys[index].count / row
        keys[index] += UnsafeBufferPointer(start: newKeys, count: count * row)
        values[index] += UnsafeBufferPointer(start: newValues, count: count * row)
        for token in 0..<count {
            let position = before + token
            let first = layer.slidingWindow.map { max(0, position - $0 + 1) } ?? 0
            for head in 0..<layer.queryHeads {
                let query = queries + (token * layer.queryHeads + head) * d
                let kv = head / layer.groupRatio * d
                let scores = (first...position).map { t in
                    (0..<d).reduce(0.0) {
                        $0 + Double(query[$1]) * Double(keys[index][t * row + kv + $1])
                    } * Double(layer.attentionScale)
                }
                let top = scores.max() ?? 0
                let weights = scores.map { exp($0 - top) }
                let total = weights.reduce(0, +)
                let target = output + (token * layer.queryHeads + head) * d
                for channel in 0..<d {
                    var sum = 0.0
                    for (offset, weight) in weights.enumerated() {
                        let value = values[index][(first + offset) * row + kv + channel]
                        sum += weight * Double(value)
                    }
                    target[channel] = Float(sum / total)
                }
            }
        }
    }
}
