import Foundation
import KVCache
import ModelFiles
import Synchronization
import Testing
import Threading
import Transformer

/// Gradients of keys and values, kept.
private struct Kept {
    var keys: [Float]
    var keyGradients: [Float]
    var values: [Float]
    var valueGradients: [Float]

    init(_ layer: KeyValueGradients) {
        keys = Array(layer.keys)
        keyGradients = Array(layer.keyGradients)
        values = Array(layer.values)
        valueGradients = Array(layer.valueGradients)
    }
}

extension TransformerModel {
    fileprivate func gradients(_ tokens: [Int32]) throws -> (loss: Double, layers: [Kept]) {
        var layers: [Kept] = []
        let loss = try keyValueGradients(tokens: tokens) { layer in
            #expect(layer.layer == configuration.layerCount - 1 - layers.count)
            #expect(layer.tokens == tokens.count && layer.rowSize == configuration.kvSize)
            layers.append(Kept(layer))
        }
        return (loss, layers.reversed())
    }

    /// The loss by the forward pass of other tests, from logits in float32 and sums in float64.
    fileprivate func loss(_ tokens: [Int32], attention: some AttentionStore) throws -> Double {
        let logits = try allLogits(tokens, attention: attention)
        let size = configuration.vocabularySize
        return (0..<tokens.count - 1).reduce(0) { sum, row in
            let line = logits[row * size..<(row + 1) * size].map { Double($0) }
            let top = line.max() ?? 0
            let total = line.reduce(0) { $0 + exp($1 - top) }
            return sum + log(total) + top - line[Int(tokens[row + 1])]
        }
    }
}

/// ‖a − b‖ / ‖b‖.
private func relativeDifference(_ a: [Float], _ b: [Float]) -> Double {
    guard a.count == b.count, !a.isEmpty else { return .infinity }
    let difference = zip(a, b).reduce(0.0) { $0 + pow(Double($1.0) - Double($1.1), 2) }
    return (difference / b.reduce(0.0) { $0 + pow(Double($1), 2) }).squareRoot()
}

private func norm(_ values: [Float]) -> Double {
    values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
}

/// Dense attention that adds something to the keys or values of one layer.
private final class PerturbedAttention: AttentionStore {
    private let dense: DenseAttention
    private let rowSize: Int
    private let layer: Int
    private let addedKeys: [Float]?
    private let addedValues: [Float]?

    /// - Parameter keys: what is added to keys, after RoPE.
    init(
        _ shape: CacheShape, rowSize: Int, layer: Int, keys: [Float]? = nil, values: [Float]? = nil
    ) {
        dense = DenseAttention(shape)
        self.rowSize = rowSize
        self.layer = layer
        addedKeys = keys
        addedValues = values
    }

    var tokenCount: Int { dense.tokenCount }

    func attend(
        layer: Int, queries: UnsafePointer<Float>, keys: UnsafePointer<Float>,
        values: UnsafePointer<Float>, count: Int, meaning: AttentionMeaning,
        output: UnsafeMutablePointer<Float>
    ) {
        func moved(_ x: UnsafePointer<Float>, by added: [Float]?, _ size: Int) -> [Float] {
            (0..<size).map { index in
                x[index] + (layer == self.layer ? added?[index] ?? 0 : 0)
            }
        }
        let size = count * rowSize
        dense.attend(
            layer: layer, queries: queries, keys: moved(keys, by: addedKeys, size),
            values: moved(values, by: addedValues, size), count: count, meaning: meaning,
            output: output)
    }
}

/// Keys as RoPE leaves them, by its definition.
private func turned(
    _ keys: [Float], by rotary: RotaryShape, headSize: Int, rowSize: Int
) -> [Float] {
    var result = keys
    let pairs = headSize / 2
    for start in stride(from: 0, to: keys.count, by: headSize) {
        for pair in 0..<pairs {
            let angle = Double(start / rowSize) * rotary.frequencies[pair]
            let isSplit = rotary.pairing == .halfSplit
            let first = start + (isSplit ? pair : 2 * pair)
            let second = start + (isSplit ? pair + pairs : 2 * pair + 1)
            let (a, b) = (Double(keys[first]), Double(keys[second]))
            result[first] = Float(a * cos(angle) - b * sin(angle))
            result[second] = Float(a * sin(angle) + b * cos(angle))
        }
    }
    return result
}

@Suite struct GradientTests {
    @Test(arguments: ModelFixture.all) func equalAutograd(fixture: ModelFixture) throws {
        let file = try SafetensorsReader(path: fixture.path + "/gradients.safetensors")
        func expected(_ name: String) throws -> [Float] {
            try #require(try file.tensor(named: name)?.floats())
        }
        let model = try fixture.model()
        let tokens = Array(try fixture.expected().tokens.prefix(24))
        let (loss, layers) = try model.gradients(tokens)
        let expectedLoss = Double(try expected("loss")[0])
        #expect(abs(loss - expectedLoss) < 1e-5 * expectedLoss)
        #expect(layers.count == model.configuration.layerCount)
        for (index, layer) in layers.enumerated() {
            let keys = relativeDifference(layer.keys, try expected("keys.\(index)"))
            #expect(keys < 1e-5)
            for (name, gradients) in [
                ("key_gradients", layer.keyGradients), ("value_gradients", layer.valueGradients),
            ] {
                let difference = relativeDifference(gradients, try expected("\(name).\(index)"))
                #expect(difference < 1e-4, "\(name) of layer \(index): \(difference)")
            }
        }
    }

    /// Steps along the gradient itself, through several tiles of attention and both ends of a window: the loss of an
    /// independent forward pass must change by the step times the gradient's length.
    @Test(arguments: ModelFixture.all) func equalFiniteDifferences(fixture: ModelFixture) throws {
        let model = try fixture.model()
        let shape = model.cacheShape
        let (headSize, rowSize) = (model.configuration.headSize, model.configuration.kvSize)
        var generator = SeededGenerator(seed: 71)
        let tokens = (0..<150).map { _ in Int32.random(in: 4..<256, using: &generator) }
        let (loss, layers) = try model.gradients(tokens)
        let plain = try model.loss(tokens, attention: DenseAttention(shape))
        #expect(abs(loss - plain) < 1e-5 * plain)
        for (index, layer) in layers.enumerated() {
            for ofKeys in [true, false] {
                let gradient = ofKeys ? layer.keyGradients : layer.valueGradients
                let length = norm(gradient)
                func loss(_ step: Double) throws -> Double {
                    var move = gradient.map { Float(step / length * Double($0)) }
                    if ofKeys {
                        move = turned(
                            move, by: model.rotaryShape(layer: index), headSize: headSize,
                            rowSize: rowSize)
                    }
                    return try model.loss(
                        tokens,
                        attention: PerturbedAttention(
                            shape, rowSize: rowSize, layer: index, keys: ofKeys ? move : nil,
                            values: ofKeys ? nil : move))
                }
                let step = 0.02
                let slope = try (loss(step) - loss(-step)) / (2 * step)
                #expect(
                    abs(slope - length) < 5e-3 * length,
                    "layer \(index), keys \(ofKeys): \(slope), not \(length)")
            }
        }
    }

    /// Single elements, where a step along the gradient would not show a transposition.
    @Test func equalFiniteDifferencesOfSingleElements() throws {
        let model = try ModelFixture(name: "gemma3-bf16").model()
        let (headSize, rowSize) = (model.configuration.headSize, model.configuration.kvSize)
        let tokens = Array(try ModelFixture(name: "gemma3-bf16").expected().tokens.prefix(32))
        let (_, layers) = try model.gradients(tokens)
        for (layer, gradients) in layers.enumerated() {
            // The elements that matter most: float32 losses tell small slopes badly.
            let largest = gradients.keyGradients.indices.sorted {
                abs(gradients.keyGradients[$0]) > abs(gradients.keyGradients[$1])
            }.prefix(3)
            for element in largest {
                func loss(_ step: Float) throws -> Double {
                    var move = [Float](repeating: 0, count: gradients.keys.count)
                    move[element] = step
                    move = turned(
                        move, by: model.rotaryShape(layer: layer), headSize: headSize,
                        rowSize: rowSize)
                    return try model.loss(
                        tokens,
                        attention: PerturbedAttention(
                            model.cacheShape, rowSize: rowSize, layer: layer, keys: move))
                }
                let slope = try (loss(0.02) - loss(-0.02)) / 0.04
                let gradient = Double(gradients.keyGradients[element])
                #expect(abs(slope - gradient) < 1e-2 * abs(gradient) + 5e-3)
            }
        }
    }

    @Test func doNotDependOnTheThreads() throws {
        let fixture = ModelFixture(name: "llama3-bf16-shards")
        var generator = SeededGenerator(seed: 72)
        let tokens = (0..<130).map { _ in Int32.random(in: 0..<256, using: &generator) }
        let one = try fixture.model(threads: 1).gradients(tokens)
        let three = try fixture.model(threads: 3).gradients(tokens)
        #expect(one.loss == three.loss)
        for (a, b) in zip(one.layers, three.layers) {
            #expect(a.keyGradients == b.keyGradients && a.valueGradients == b.valueGradients)
        }
    }

    /// Chunks of 512 rows: what lies in another chunk must count all the same.
    @Test func goesBackThroughChunks() throws {
        let model = try ModelFixture(name: "qwen2-f32").model()
        var generator = SeededGenerator(seed: 73)
        let tokens = (0..<700).map { _ in Int32.random(in: 0..<256, using: &generator) }
        let (loss, layers) = try model.gradients(tokens)
        let rowSize = model.configuration.kvSize
        let gradient = layers[0].valueGradients
        let length = norm(gradient)
        func moved(_ step: Double) throws -> Double {
            let move = gradient.map { Float(step / length * Double($0)) }
            return try model.loss(
                tokens,
                attention: PerturbedAttention(
                    model.cacheShape, rowSize: rowSize, layer: 0, values: move))
        }
        let slope = try (moved(0.05) - moved(-0.05)) / 0.1
        #expect(abs(slope - length) < 1e-2 * length)
        #expect(loss > 0)
        // Only the last token's own key and value are of no use to any prediction.
        #expect(gradient.suffix(rowSize).allSatisfy { $0 == 0 })
        #expect(gradient.dropLast(rowSize).suffix(rowSize).contains { $0 != 0 })
    }

    @Test func countsItsMemoryBeforehand() throws {
        let model = try ModelFixture(name: "gemma3-bf16").model()
        let bytes = model.keyValueGradientBytes(tokens: 1024)
        #expect(bytes > 4 * 1024 * 64 * 4)
        #expect(bytes < model.keyValueGradientBytes(tokens: 2048))
    }

    @Test func refusesWhatItCannotRun() throws {
        let model = try ModelFixture(name: "mistral-f32").model()
        #expect(throws: TransformerError.noTokens) {
            _ = try model.keyValueGradients(tokens: [1]) { _ in }
        }
        #expect(throws: TransformerError.tokenOutOfRange(256, index: 1, vocabularySize: 256)) {
            _ = try model.keyValueGradients(tokens: [1, 256]) { _ in }
        }
    }

    @Test func stopsBetweenLayers() throws {
        let model = try ModelFixture(name: "mistral-f32").model()
        // Two layers forward, one block of logits, two layers back: asked five times.
        for asked in 1...5 {
            var count = 0
            var received = 0
            #expect(throws: TransformerError.cancelled) {
                _ = try model.keyValueGradients(
                    tokens: [1, 2, 3],
                    isCancelled: {
                        count += 1
                        return count == asked
                    }, receive: { _ in received += 1 })
            }
            #expect(received == max(0, asked - 4))
        }
    }
}
