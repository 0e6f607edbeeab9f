internal import Foundation
public import KVCache
internal import Threading
public import Transformer

/// How far a calibration has come.
public struct CalibrationProgress: Sendable, Hashable {
    public enum Phase: Sendable, Hashable {
        /// Samples go through the model and back.
        case samples
        /// Codebooks are fitted to layers.
        case layers
    }

    public var phase: Phase
    /// Of ``total``, with fractions.
    public var completed: Double
    /// Samples or layers.
    public var total: Int
}

/// What a calibration did.
public struct CalibrationReport: Sendable, Codable {
    /// Samples that an earlier run had left.
    public var resumedSamples: Int
    /// Mean −ln p of the samples' tokens, in nats, and its exponential.
    public var loss: Double
    public var perplexity: Double
    /// Of this run.
    public var gradientSeconds: Double
    public var fitSeconds: Double
    /// Of the work file, now removed.
    public var spoolBytes: Int
    public var fileBytes: Int
    public var fits: [CodebookFit]
}

/// Measures a model's keys and values on sample text, and how much the loss depends on each, and fits ranges and
/// codebooks to them: KVQuant's calibration (arXiv 2401.18079, sections 3.1 to 3.5).
///
/// A run has two parts. Samples go through the model and back, one after the other, into a work file beside the output
/// (`FILE.partial`, 8 bytes for each key and value pair's element); then layers are fitted one after the other. A run that is
/// stopped in either part is gone on with by the next with the same model, text and size.
public struct Calibrator {
    private let model: TransformerModel
    private let fingerprint: [UInt8]
    private let text: String
    private let options: CalibrationOptions
    private let samples: SampleTokens

    /// - Parameters:
    ///   - fingerprint: of the model's checkpoint.
    ///   - tokens: the text's, all of it.
    ///   - text: its name, for those who read the calibration.
    ///   - beginning: the token that the model's texts begin with, if any; samples begin with it too.
    /// - Throws: ``CalibrationError`` if options, text and memory do not go together.
    public init(
        model: TransformerModel, fingerprint: [UInt8], tokens: [Int32], text: String,
        beginning: Int32? = nil, options: CalibrationOptions = CalibrationOptions()
    ) throws(CalibrationError) {
        try options.validate()
        samples = try SampleTokens(
            tokens, samples: options.samples, length: options.length, beginning: beginning)
        // What a layer looks like in the file is made beside it.
        let width = model.cacheShape.layers.map { $0.kvHeads * $0.headSize }.max() ?? 0
        let needed =
            model.keyValueGradientBytes(tokens: options.length) + 16 * options.length * width
        guard needed <= options.memory else {
            throw .tooLittleMemory(
                needed: needed, allowed: options.memory,
                what: "the pass back through \(options.length) tokens")
        }
        self.model = model
        self.fingerprint = fingerprint
        self.text = text
        self.options = options
    }

    /// Calibrates, and writes the file.
    ///
    /// - Parameters:
    ///   - output: the calibration's path.
    ///   - restart: forgets what an earlier run has left.
    ///   - progress: called often.
    ///   - isCancelled: asked between layers.
    public func run(
        output: String, restart: Bool = false,
        progress: (CalibrationProgress) -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws(CalibrationError) -> (calibration: CacheCalibration, report: CalibrationReport) {
        let shapes = model.cacheShape.layers.map {
            CalibrationShape(kvHeads: $0.kvHeads, headSize: $0.headSize)
        }
        let digest = samples.digest
        let spool = try SampleSpool(
            Self.partialPath(of: output),
            header: SampleSpool.Header(
                fingerprint: Data(fingerprint), tokenDigest: digest, samples: options.samples,
                length: options.length, shapes: shapes), restart: restart)
        let clock = ContinuousClock()
        let start = clock.now
        let resumed = spool.samples
        while !spool.isComplete {
            let done = spool.samples
            func show(_ fraction: Double) {
                progress(
                    CalibrationProgress(
                        phase: .samples, completed: Double(done) + fraction,
                        total: options.samples))
            }
            let tokens = samples.samples[done]
            // A layer takes about three times as long on the way back.
            let layers = Double(shapes.count)
            var asked = 0.0
            try spool.append { (receive, hasFailed) throws(TransformerError) in
                try model.keyValueGradients(
                    tokens: tokens,
                    isCancelled: {
                        asked += 1
                        if asked <= layers { show(asked / layers / 4) }
                        return hasFailed() || isCancelled()
                    },
                    receive: { layer in
                        receive(layer)
                        show((4 - 3 * Double(layer.layer) / layers) / 4)
                    })
            }
        }
        let measured = clock.now
        var layers: [[CodebookKey: CodebookTable]] = []
        var fits: [CodebookFit] = []
        for layer in shapes.indices {
            progress(
                CalibrationProgress(phase: .layers, completed: Double(layer), total: shapes.count))
            let reader = LayerReader(
                spool: spool, layer: layer, skippedTokens: options.skippedTokens,
                rotary: model.rotaryShape(layer: layer), workers: model.workers)
            let fit = try LayerFit(reader: reader, options: options).run(isCancelled: isCancelled)
            layers.append(fit.tables)
            fits += fit.fits
        }
        let calibration = CacheCalibration(
            fingerprint: fingerprint, shapes: shapes,
            source: CacheCalibration.Source(
                text: text, tokenDigest: digest, samples: options.samples, length: options.length,
                weights: options.weights, skippedTokens: options.skippedTokens),
            layers: layers)
        do throws(CalibrationFileError) {
            try calibration.write(to: output)
        } catch {
            throw .file(error)
        }
        spool.remove()
        let loss =
            spool.losses.reduce(0, +) / Double(options.samples * (options.length - 1))
        let size = try? FileManager.default.attributesOfItem(atPath: output)[.size] as? NSNumber
        return (
            calibration,
            CalibrationReport(
                resumedSamples: resumed, loss: loss, perplexity: exp(loss),
                gradientSeconds: (measured - start).inSeconds,
                fitSeconds: (clock.now - measured).inSeconds, spoolBytes: spool.byteCount,
                fileBytes: size?.intValue ?? 0, fits: fits)
        )
    }

    /// The work file of an output.
    public static func partialPath(of output: String) -> String { output + ".partial" }
}

extension Duration {
    fileprivate var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) * 1e-18
    }
}
