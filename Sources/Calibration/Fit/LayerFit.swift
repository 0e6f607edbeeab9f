public import KVCache
internal import Threading

/// How well one codebook fits.
public struct CodebookFit: Sendable, Hashable, Codable {
    public var layer: Int
    public var key: CodebookKey
    /// Σ w (x − nearest level)² / Σ w (x − mean)² over normalized elements without outliers.
    public var error: Double
}

/// All codebooks of one layer.
struct LayerFit {
    let reader: LayerReader
    let options: CalibrationOptions

    func run(
        isCancelled: () -> Bool
    ) throws(CalibrationError) -> (tables: [CodebookKey: CodebookTable], fits: [CodebookFit]) {
        let fitter = VectorFitter(
            reader: reader, weights: options.weights, outliers: options.distinctOutliers,
            memory: options.memory)
        var vectors: [(variant: CodebookVariant, fit: VectorFit)] = []
        for variant in options.variants {
            for fit in try fitter.fit(variant, isCancelled: isCancelled) {
                vectors.append((variant, fit))
            }
        }
        var results = [[(CodebookKey, CodebookTable, Double)]](repeating: [], count: vectors.count)
        results.withUnsafeMutableBufferPointer { results in
            // Each task writes its own.
            nonisolated(unsafe) let results = results
            let vectors = vectors
            reader.workers.run(count: vectors.count) { task, _ in
                results[task] = Self.tables(vectors[task].fit, vectors[task].variant, options)
            }
        }
        var tables: [CodebookKey: CodebookTable] = [:]
        var fits: [CodebookFit] = []
        for (key, table, error) in results.joined() {
            tables[key] = table
            fits.append(CodebookFit(layer: reader.layer, key: key, error: error))
        }
        return (tables, fits)
    }

    /// Tables of all bits for one kind of vectors.
    private static func tables(
        _ fit: VectorFit, _ variant: CodebookVariant, _ options: CalibrationOptions
    ) -> [(CodebookKey, CodebookTable, Double)] {
        let bits = options.distinctBits
        let points = fit.histogram.points
        let optimum = OptimalLevels(
            values: points.values, weights: points.weights, most: 1 << (bits.last ?? 0))
        return bits.map { bits in
            let levels = optimum.levels(1 << bits)
            let decoded =
                options.normalizedBits.contains(bits)
                ? LevelNormalization.decoded(levels, fit.histogram) : levels
            return (
                variant.key(bits: bits, outliers: fit.outliers),
                CodebookTable(lows: fit.lows, highs: fit.highs, levels: levels, decoded: decoded),
                fit.histogram.error(levels: levels)
            )
        }
    }
}
