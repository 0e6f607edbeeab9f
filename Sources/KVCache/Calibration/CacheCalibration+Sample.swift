import Foundation
package import Threading

// Calibrations without a model, for benchmarks and checks over random numbers.

extension CacheCalibration {
    /// A calibration for keys and values of about unit size. Ranges differ from channel to channel and leave some elements
    /// out; levels are those of a normal distribution, a little moved. The same for every call.
    package static func sample(for shape: CacheShape, policy: CachePolicy) -> CacheCalibration {
        let layers = shape.layers.enumerated().map { index, layer in
            let layerPolicy = policy.layer(index, of: shape.layers.count)
            var tables: [CodebookKey: CodebookTable] = [:]
            for (tensor, format) in [
                (CacheTensor.keys, layerPolicy.keys), (.values, layerPolicy.values),
            ] {
                guard case .codebook(let codebook) = format else { continue }
                tables[CodebookKey(tensor, codebook)] = sampleTable(codebook, layer, index)
            }
            return tables
        }
        return CacheCalibration(
            fingerprint: [],
            shapes: shape.layers.map {
                CalibrationShape(kvHeads: $0.kvHeads, headSize: $0.headSize)
            },
            source: Source(
                text: "none", tokenDigest: "", samples: 0, length: 0, weights: .uniform,
                skippedTokens: 0), layers: layers)
    }

    private static func sampleTable(
        _ format: CodebookFormat, _ shape: LayerShape, _ layer: Int
    ) -> CodebookTable {
        let count = format.vector == .channel ? shape.kvHeads * shape.headSize : 0
        // Multiples of the golden ratio, modulo 1: evenly spread, without a pattern.
        func spread(_ index: Int) -> Float {
            let value = Double(index + 31 * layer + 1) * 0.618_033_988_749_895
            return Float(value - value.rounded(.down))
        }
        let lows = (0..<count).map { 0.6 * spread($0) - 2.6 - 0.6 * spread(3 * $0) }
        let highs = (0..<count).map { 0.6 * spread($0) + 2 + 0.6 * spread(3 * $0) }
        var levels = LevelTable.levels(.normalFloat, bits: format.bits)
        for i in levels.indices.dropFirst().dropLast() {
            let room = min(levels[i] - levels[i - 1], levels[i + 1] - levels[i])
            levels[i] += 0.3 * room * (spread(7 * i) - 0.5)
        }
        return CodebookTable(
            lows: lows, highs: highs, levels: levels,
            decoded: format.bits == 2 ? levels.map { 1.05 * $0 + 0.01 } : nil)
    }
}

extension LayerShape {
    /// The shape with a usual RoPE, if some layer of the policy stores keys as they are before it.
    package func withRotary(
        for policy: CachePolicy, pairing: RotaryShape.Pairing = .halfSplit
    ) -> LayerShape {
        guard rotary == nil, policy.formats.contains(where: { $0.codebook?.preRotary == true })
        else { return self }
        var shape = self
        let pairs = headSize / 2
        shape.rotary = RotaryShape(
            pairing: pairing,
            frequencies: (0..<pairs).map { pow(10_000, -Double($0) / Double(pairs)) })
        return shape
    }
}

extension CacheShape {
    /// ``LayerShape/withRotary(for:pairing:)`` of every layer.
    package func withRotary(
        for policy: CachePolicy, pairing: RotaryShape.Pairing = .halfSplit
    ) -> CacheShape {
        CacheShape(layers: layers.map { $0.withRotary(for: policy, pairing: pairing) })
    }
}

extension SequenceCache {
    /// A cache that needs no model: with a sample calibration and a usual RoPE, where the policy wants them.
    package static func sample(
        shape: CacheShape, policy: CachePolicy, workers: WorkerPool
    ) throws(PolicyError) -> SequenceCache {
        let shape = shape.withRotary(for: policy)
        return try SequenceCache(
            shape: shape, policy: policy, calibration: .sample(for: shape, policy: policy),
            workers: workers)
    }
}

extension LayerCache {
    /// The same for one layer.
    package static func sample(
        shape: LayerShape, policy: CachePolicy, pairing: RotaryShape.Pairing = .halfSplit
    ) -> LayerCache {
        let shape = shape.withRotary(for: policy, pairing: pairing)
        let calibration = CacheCalibration.sample(
            for: CacheShape(layers: [shape]), policy: policy)
        let layerPolicy = policy.layer(0, of: 1)
        return LayerCache(
            shape: shape, policy: layerPolicy,
            codebooks: CodebookState(
                policy: layerPolicy, shape: shape, tables: calibration.layers[0]))
    }
}
