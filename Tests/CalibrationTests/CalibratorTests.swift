import Calibration
import Foundation
import KVCache
import ModelFiles
import Testing
import Threading
import Transformer

/// A whole calibration of a small random model.
@Suite struct CalibratorTests {
    private static let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("TransformerTests/Fixtures").path
    private let options = CalibrationOptions(samples: 3, length: 64, memory: 1 << 30)
    private static let text: [Int32] = {
        var generator = SeededGenerator(seed: 6)
        return (0..<1000).map { _ in Int32.random(in: 4..<256, using: &generator) }
    }()

    private func model(_ name: String = "llama3-bf16-shards", threads: Int = 2) throws -> (
        TransformerModel, [UInt8]
    ) {
        let checkpoint = try Checkpoint.open(path: Self.path + "/" + name)
        let model = try TransformerModel(
            checkpoint: checkpoint, workers: WorkerPool(threads: threads))
        return (model, try checkpoint.fingerprint())
    }

    private func calibrator(
        _ name: String = "llama3-bf16-shards", threads: Int = 2,
        options: CalibrationOptions? = nil, text: [Int32] = text, beginning: Int32? = nil
    ) throws -> Calibrator {
        let (model, fingerprint) = try model(name, threads: threads)
        return try Calibrator(
            model: model, fingerprint: fingerprint, tokens: text, text: "random",
            beginning: beginning, options: options ?? self.options)
    }

    private func remove(_ output: String) {
        for path in [output, Calibrator.partialPath(of: output)] {
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    private func bytes(_ path: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: path))
    }

    // MARK: - Results

    @Test(arguments: ["llama3-bf16-shards", "qwen2-f32", "gemma3-bf16"])
    func writesTablesForEveryFormat(name: String) throws {
        let output = temporaryPath()
        defer { remove(output) }
        var options = options
        options.ablations = true
        let (made, report) = try calibrator(name, options: options).run(output: output)
        let read = try CacheCalibration.read(output)
        #expect(read == made)
        let (model, fingerprint) = try model(name)
        try read.check(fingerprint: fingerprint, shape: model.cacheShape)
        #expect(!FileManager.default.fileExists(atPath: Calibrator.partialPath(of: output)))
        #expect(read.layers.count == model.configuration.layerCount)
        #expect(read.source.samples == 3 && read.source.length == 64)
        for (layer, tables) in read.layers.enumerated() {
            // Six kinds of vectors, three of bits, two of outliers.
            #expect(tables.count == 36)
            for (key, table) in tables {
                #expect(table.levels.count == 1 << key.bits)
                #expect((table.decoded != table.levels) == (key.bits == 2), "\(key) of \(layer)")
                let ends = key.vector == .channel ? model.configuration.kvSize : 0
                #expect(table.lows.count == ends && table.highs.count == ends)
            }
        }
        // What the presets ask for is there.
        for bits in [2, 3, 4] {
            for outliers in [0, 0.01] {
                let keys = CodebookFormat(
                    bits: bits, vector: .channel, outliers: outliers, preRotary: true)
                let values = CodebookFormat(bits: bits, vector: .token, outliers: outliers)
                #expect(read.layers[0][CodebookKey(.keys, keys)] != nil)
                #expect(read.layers[0][CodebookKey(.values, values)] != nil)
            }
        }
        #expect(report.fits.count == 36 * read.layers.count)
        for fit in report.fits {
            #expect(fit.error > 0 && fit.error < 0.3, "\(fit)")
            // A bit more is a third of the error or so.
            let finer = report.fits.first {
                $0.layer == fit.layer && $0.key.bits == fit.key.bits + 1
                    && $0.key.outliers == fit.key.outliers && $0.key.tensor == fit.key.tensor
                    && $0.key.vector == fit.key.vector && $0.key.preRotary == fit.key.preRotary
            }
            if let finer { #expect(finer.error < 0.6 * fit.error) }
        }
        #expect(report.perplexity > 1 && report.spoolBytes > 0 && report.fileBytes > 0)
    }

    /// Ranges are those of keys that a plain pass gives.
    @Test func rangesAreThoseOfTheSamples() throws {
        let output = temporaryPath()
        defer { remove(output) }
        let (calibration, _) = try calibrator(beginning: 1).run(output: output)
        let (model, _) = try model()
        let channels = model.configuration.kvSize
        var lows = [Float](repeating: .infinity, count: channels)
        var highs = lows.map { -$0 }
        let samples = try SampleTokens(Self.text, samples: 3, length: 64, beginning: 1).samples
        for tokens in samples {
            #expect(tokens.count == 64 && tokens[0] == 1)
            _ = try model.keyValueGradients(tokens: tokens) { layer in
                guard layer.layer == 1 else { return }
                for index in channels..<64 * channels {
                    let key = Float(Float16(layer.keys[index]))
                    lows[index % channels] = min(lows[index % channels], key)
                    highs[index % channels] = max(highs[index % channels], key)
                }
            }
        }
        let table = try #require(
            calibration.layers[1][
                CodebookKey(
                    tensor: .keys, bits: 4, vector: .channel, outliers: 0, preRotary: true)])
        #expect(table.lows == lows && table.highs == highs)
    }

    @Test func doesNotDependOnThreadsOrMemory() throws {
        let outputs = (0..<3).map { _ in temporaryPath() }
        defer { outputs.forEach(remove) }
        _ = try calibrator(threads: 1).run(output: outputs[0])
        _ = try calibrator(threads: 3).run(output: outputs[1])
        var tight = options
        // What the way back through the model needs, and little more.
        tight.memory = try model(threads: 1).0.keyValueGradientBytes(tokens: 64) + 16 * 64 * 128
        _ = try calibrator(threads: 1, options: tight).run(output: outputs[2])
        let first = try bytes(outputs[0])
        #expect(try bytes(outputs[1]) == first && bytes(outputs[2]) == first)
    }

    // MARK: - Stopping and going on

    @Test func aStoppedRunGoesOnToTheSameFile() throws {
        let (whole, output) = (temporaryPath(), temporaryPath())
        defer { [whole, output].forEach(remove) }
        _ = try calibrator().run(output: whole)
        let partial = Calibrator.partialPath(of: output)
        // Five questions a sample (two layers there and back, one block of logits), then two for each layer's fit.
        var kept: [Int] = []
        for questions in [3, 5, 8, 1, 11, 2] {
            var asked = 0
            do {
                _ = try calibrator().run(
                    output: output,
                    isCancelled: {
                        asked += 1
                        return asked >= questions
                    })
            } catch let error as CalibrationError {
                guard case .cancelled(let path, let samples) = error else { throw error }
                #expect(path == partial)
                #expect(error.description.contains("\(samples) samples"))
                kept.append(samples)
            }
            #expect(FileManager.default.fileExists(atPath: partial))
            #expect(!FileManager.default.fileExists(atPath: output))
        }
        #expect(kept == [0, 0, 1, 1, 3, 3])
        let (_, report) = try calibrator().run(output: output)
        #expect(report.resumedSamples == 3)
        #expect(try bytes(output) == bytes(whole))
        #expect(!FileManager.default.fileExists(atPath: partial))
    }

    @Test func anotherRunsWorkIsNotTouchedUnlessAsked() throws {
        let output = temporaryPath()
        defer { remove(output) }
        let partial = Calibrator.partialPath(of: output)
        var asked = 0
        #expect(throws: CalibrationError.cancelled(path: partial, samples: 2)) {
            _ = try calibrator().run(
                output: output,
                isCancelled: {
                    asked += 1
                    return asked > 12
                })
        }
        let before = try bytes(partial)
        func refuses(_ calibrator: Calibrator, saying what: String) throws {
            let error = try #require(throws: CalibrationError.self) {
                _ = try calibrator.run(output: output)
            }
            guard case .otherRun(partial, let difference) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(difference.contains(what))
            #expect(error.description.contains("--restart"))
            #expect(try bytes(partial) == before)
        }
        var other = options
        other.length = 32
        try refuses(calibrator(options: other), saying: "3 samples of 64")
        try refuses(calibrator(text: Self.text.reversed()), saying: "text")
        try refuses(calibrator(beginning: 1), saying: "text")
        try refuses(calibrator("qwen2-f32"), saying: "model")
        // What is only fitted may change.
        var fit = options
        fit.bits = [3]
        fit.weights = .uniform
        let (calibration, report) = try calibrator(options: fit).run(output: output)
        #expect(report.resumedSamples == 2)
        #expect(calibration.layers[0].count == 4)
        // Begun anew.
        try before.write(to: URL(fileURLWithPath: partial))
        let (_, fresh) = try calibrator(options: other).run(output: output, restart: true)
        #expect(fresh.resumedSamples == 0)
        // Someone else's file of that name.
        try Data("A letter, not to be lost.".utf8).write(to: URL(fileURLWithPath: partial))
        #expect(throws: CalibrationError.self) {
            _ = try calibrator().run(output: output, restart: true)
        }
        #expect(try bytes(partial).count == 25)
    }

    @Test func oneRunAtATime() throws {
        let output = temporaryPath()
        defer { remove(output) }
        let partial = Calibrator.partialPath(of: output)
        let other = try SampleSpool(
            partial,
            header: SampleSpool.Header(
                fingerprint: Data(), tokenDigest: "", samples: 1, length: 8,
                shapes: [CalibrationShape(kvHeads: 1, headSize: 16)]), restart: true)
        #expect(throws: CalibrationError.inUse(path: partial)) {
            _ = try calibrator().run(output: output)
        }
        #expect(other.samples == 0)
    }

    // MARK: - What is refused

    @Test func refusesWhatCannotWork() throws {
        func refuses(_ change: (inout CalibrationOptions) -> Void, saying text: String) throws {
            var options = options
            change(&options)
            let error = try #require(throws: CalibrationError.self) {
                _ = try calibrator(options: options)
            }
            #expect(error.description.contains(text), "\(error)")
        }
        try refuses({ $0.samples = 0 }, saying: "samples")
        try refuses({ $0.length = 4 }, saying: "length")
        try refuses({ $0.bits = [5] }, saying: "5")
        try refuses({ $0.bits = [] }, saying: "bits")
        try refuses({ $0.outliers = [0.2] }, saying: "0.2")
        try refuses({ $0.outliers = [.nan] }, saying: "nan")
        try refuses({ $0.skippedTokens = 40 }, saying: "skipped")
        try refuses({ $0.samples = 16 }, saying: "1024 tokens and the text has 1000")
        try refuses({ $0.memory = 1 << 16 }, saying: "MiB")
        #expect(
            throws: CalibrationError.transformer(
                .tokenOutOfRange(999, index: 5, vocabularySize: 256))
        ) {
            var text = Self.text
            text[5] = 999
            let output = temporaryPath()
            defer { remove(output) }
            _ = try calibrator(text: text).run(output: output)
        }
        let nowhere = "/nowhere/at/all"
        #expect(throws: CalibrationError.self) { _ = try calibrator().run(output: nowhere) }
    }

    @Test func samplesAreSpreadOverTheText() throws {
        let tokens = (0..<103).map { Int32($0) }
        let samples = try SampleTokens(tokens, samples: 4, length: 25, beginning: nil).samples
        #expect(samples.map(\.count) == [25, 25, 25, 25])
        #expect(samples.map { $0[0] } == [0, 25, 51, 77])
        #expect(Set(samples.joined()).count == 100)
        let begun = try SampleTokens(tokens, samples: 2, length: 11, beginning: 999).samples
        #expect(begun.map { Array($0.prefix(2)) } == [[999, 0], [999, 51]])
        #expect(begun.allSatisfy { $0.count == 11 })
        #expect(throws: CalibrationError.textTooShort(needed: 104, found: 103)) {
            _ = try SampleTokens(tokens, samples: 4, length: 26, beginning: nil)
        }
        #expect(try SampleTokens(tokens, samples: 4, length: 26, beginning: 1).samples.count == 4)
    }
}
