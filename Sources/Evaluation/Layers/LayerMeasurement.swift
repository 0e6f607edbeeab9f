public import Generation
import KVCache
import ModelFiles
public import Reports
import Transformer

/// Errors of each layer's keys, values and attention output, every layer being given what the float16 model gives it.
///
/// The model runs once, over float16. In each layer every cache takes the same keys and values and answers the same queries
/// beside it; its answers go no further, so errors of different layers do not mix.
public struct LayerMeasurement {
    private let model: LanguageModel

    public init(model: LanguageModel) { self.model = model }

    /// - Parameters:
    ///   - tokens: of the sample; more than the candidates' first seals need, or there is nothing to measure.
    ///   - candidates: the reference among them is left out.
    ///   - isCancelled: asked between layers.
    /// - Returns: a record a candidate and layer.
    /// - Throws: `GenerationError` or `PolicyError`.
    public func measure(
        tokens: [Int32], candidates: [CacheCandidate],
        isCancelled: @escaping @Sendable () -> Bool
    ) throws -> [LayerRecord] {
        let limit = model.configuration.contextLength
        guard tokens.count <= limit else {
            throw GenerationError.contextTooLong(tokens: tokens.count, limit: limit)
        }
        let candidates = candidates.filter { !$0.isReference }
        let reference = try CacheCandidate.reference.makeCache(for: model)
        let probe = try LayerProbe(
            reference: reference, caches: candidates.map { try $0.makeCache(for: model) },
            outputSize: model.configuration.querySize)
        do {
            try model.transformer.run(
                tokens: tokens, attention: probe, meaning: .decode, logits: .none,
                workspace: model.transformer.makeWorkspace(), isCancelled: isCancelled)
        } catch TransformerError.cancelled {
            throw GenerationError.cancelled
        }
        var records: [LayerRecord] = []
        for layer in reference.layers.indices {
            if isCancelled() { throw GenerationError.cancelled }
            let exact = reference.layers[layer].dequantized()
            for (index, candidate) in candidates.enumerated() {
                let own = probe.caches[index].layers[layer]
                let errors = Self.errors(of: own, exact: exact)
                records.append(
                    LayerRecord(
                        cache: candidate.name, layer: layer, tokens: tokens.count,
                        keys: errors.keys, values: errors.values,
                        output: probe.outputError(cache: index, layer: layer)))
            }
        }
        return records
    }

    /// Of what is sealed; 0 if nothing is.
    private static func errors(
        of cache: LayerCache, exact: (keys: [Double], values: [Double])
    ) -> (keys: Double, values: Double) {
        let own = cache.dequantized()
        let schedule = cache.schedule
        let tokens = cache.tokenCount
        let sealed =
            schedule.firstToken(
                ofTile: 0)..<schedule.firstToken(
                ofTile: schedule.sealedTiles(at: tokens))
        let size = cache.shape.headSize
        func error(_ a: [Double], _ b: [Double]) -> Double {
            var error = RelativeError()
            for head in 0..<cache.shape.kvHeads {
                for token in sealed {
                    let start = (head * tokens + token) * size
                    for i in start..<start + size { error.add(a[i], exact: b[i]) }
                }
            }
            return error.value
        }
        return (error(own.keys, exact.keys), error(own.values, exact.values))
    }
}

/// √(Σ(x̂ − x)² / Σx²); tokens that are no longer held, NaN in one of both, are passed over.
struct RelativeError {
    private var wrong = 0.0
    private var whole = 0.0

    mutating func add(_ value: Double, exact: Double) {
        guard !exact.isNaN, !value.isNaN else { return }
        wrong += (value - exact) * (value - exact)
        whole += exact * exact
    }

    var value: Double { whole > 0 ? (wrong / whole).squareRoot() : 0 }
}

/// Attends over the reference, and over every cache beside it.
private final class LayerProbe: AttentionStore {
    let reference: SequenceCache
    let caches: [SequenceCache]
    private let outputSize: Int
    private var scratch: [Float] = []
    /// `[cache][layer]`.
    private var errors: [[RelativeError]]

    init(reference: SequenceCache, caches: [SequenceCache], outputSize: Int) {
        self.reference = reference
        self.caches = caches
        self.outputSize = outputSize
        errors = Array(
            repeating: Array(repeating: RelativeError(), count: reference.layers.count),
            count: caches.count)
    }

    var tokenCount: Int { reference.tokenCount }

    func outputError(cache: Int, layer: Int) -> Double { errors[cache][layer].value }

    func attend(
        layer: Int, queries: UnsafePointer<Float>, keys: UnsafePointer<Float>,
        values: UnsafePointer<Float>, count: Int, meaning: AttentionMeaning,
        output: UnsafeMutablePointer<Float>
    ) {
        let first = reference.layers[layer].tokenCount
        reference.attend(
            layer: layer, queries: queries, keys: keys, values: values, count: count,
            meaning: meaning, output: output)
        if scratch.count < count * outputSize {
            scratch = [Float](repeating: 0, count: count * outputSize)
        }
        for (index, cache) in caches.enumerated() {
            scratch.withUnsafeMutableBufferPointer { scratch in
                cache.attend(
                    layer: layer, queries: queries, keys: keys, values: values, count: count,
                    meaning: meaning, output: scratch.baseAddress!)
            }
            // Queries before the first seal see float16 only.
            let schedule = cache.layers[layer].schedule
            for token in 0..<count where schedule.sealedTiles(at: first + token + 1) > 0 {
                for i in token * outputSize..<(token + 1) * outputSize {
                    let value = Double(scratch[i])
                    errors[index][layer].add(
                        value.isNaN ? .infinity : value, exact: Double(output[i]))
                }
            }
        }
    }
}
