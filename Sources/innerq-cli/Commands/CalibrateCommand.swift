import ArgumentParser
import Foundation
import InnerQ

struct CalibrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "calibrate",
        abstract: "Fit ranges and codebooks of KVQuant's caches to a model, on sample text.",
        discussion: """
            What the kvquant presets need, for all of them in one file:
              innerq calibrate --text articles.txt -o smollm2.iqcal

            A quick one, for one format:
              innerq calibrate --text articles.txt --samples 4 --length 512 --bits 3 --outliers 0.01 -o quick.iqcal

            Keys per token or after RoPE and values per channel too, as in the paper's ablations:
              innerq calibrate --text articles.txt --ablations -o all.iqcal

            Samples go through the model and back, which takes about four times as long as reading them; what is measured \
            lies in FILE.partial until the calibration is written (8 bytes times layers, samples, length and channels of \
            keys). Ctrl-C stops; the same command goes on. Take text that is not measured on afterwards.
            """)

    @Option(help: ArgumentHelp("The text.", valueName: "path"))
    var text: String

    @Option(
        name: [.customShort("o"), .long],
        help: ArgumentHelp("The file to write.", valueName: "file"))
    var output: String

    @Option(help: ArgumentHelp("Sequences, from all over the text.", valueName: "n"))
    var samples = 16

    @Option(help: ArgumentHelp("Tokens of a sequence.", valueName: "n"))
    var length = 2048

    @Option(
        help: ArgumentHelp("Bits of codes (default: 4,3,2).", valueName: "n,n,…"),
        transform: IntegerList.init)
    var bits = IntegerList([4, 3, 2])

    @Option(
        help: ArgumentHelp(
            "Shares of elements that are kept beside the codes, from 0 to 0.1 (default: 0.01,0).",
            valueName: "x,x,…"),
        transform: ShareList.init)
    var outliers = ShareList([0.01, 0])

    @Option(
        help: ArgumentHelp(
            "What an element's error counts for: fisher-range (the paper's equation 7), fisher (its code) or uniform."
        ))
    fileprivate var weights = WeightsOption.fisherRange

    @Option(
        help: ArgumentHelp(
            "First tokens of each sequence that are left out: attention sinks.", valueName: "n"))
    var skip = 1

    @Flag(help: "Do not correct the mean and deviation of 2-bit codes (Q-Norm).")
    var noQNorm = false

    @Flag(help: "Fit also keys per token and after RoPE, and values per channel.")
    var ablations = false

    @Option(
        help: ArgumentHelp(
            "Memory beside the model's weights, \(ByteSize.help).", valueName: "size"))
    var memory = ByteSize(argument: "2GiB")!

    @Flag(help: "Forget what an earlier run has left in FILE.partial.")
    var restart = false

    @OptionGroup(title: "Model") var model: ModelOptions
    @OptionGroup var report: OutputOptions

    private var options: CalibrationOptions {
        CalibrationOptions(
            samples: samples, length: length, bits: bits.values, outliers: outliers.values,
            weights: weights.weights, skippedTokens: skip, normalizedBits: noQNorm ? [] : [2],
            ablations: ablations, memory: memory.bytes)
    }

    func validate() throws {
        do {
            try options.validate()
        } catch {
            throw ValidationError(error.description)
        }
    }

    func run() async throws {
        let contents = try PromptInput.contents(of: text)
        // Gradients take rows from the file; a second order beside it would be memory for nothing.
        let model = try model.load(storage: .mapped)
        let calibrator = try Calibrator(
            model: model.transformer, fingerprint: model.fingerprint,
            tokens: model.tokenizer.encode(bytes: contents, addSpecial: false),
            text: URL(fileURLWithPath: text).lastPathComponent,
            beginning: model.tokenizer.rules.prefix.first, options: options)
        let flag = SharedFlag()
        let interrupt = Interrupt { flag.set() }
        let line = ProgressLine()
        let steps = CalibrationSteps(line)
        defer { line.end() }
        do {
            let (calibration, result) = try calibrator.run(
                output: output, restart: restart, progress: { steps.show($0) },
                isCancelled: { flag.isSet })
            line.end()
            try say(result, calibration, model: model)
        } catch CalibrationError.cancelled(let path, let samples) where interrupt.hasFired {
            line.end()
            Console.say(CalibrationError.cancelled(path: path, samples: samples).description)
            throw ExitCode(Interrupt.exitCode)
        }
    }

    // MARK: - Results

    private struct Report: Encodable {
        var model: String
        var text: String
        var output: String
        var options: CalibrationOptions
        var result: CalibrationReport
    }

    private func say(
        _ result: CalibrationReport, _ calibration: CacheCalibration, model: LanguageModel
    ) throws {
        if report.json {
            return try Output.json(
                Report(
                    model: model.path, text: text, output: output, options: options,
                    result: result))
        }
        var table = Table(["<codebook", "mean error", "largest", "layer"])
        var keys: [CodebookKey] = []
        for fit in result.fits where fit.layer == 0 { keys.append(fit.key) }
        for key in keys {
            let fits = result.fits.filter { $0.key == key }
            guard let worst = fits.max(by: { $0.error < $1.error }) else { continue }
            let mean = fits.reduce(0) { $0 + $1.error } / Double(fits.count)
            table.row([
                "\(key)", Format.fixed(mean, 5), Format.fixed(worst.error, 5), "\(worst.layer)",
            ])
        }
        try Output.write(table.text)
        let resumed =
            result.resumedSamples == 0
            ? "" : " (\(result.resumedSamples) of the samples were there already)"
        Console.say(
            "\(samples) samples of \(length) tokens, perplexity \(Format.fixed(result.perplexity, 2)), in "
                + "\(Format.seconds(result.gradientSeconds))\(resumed); codebooks in "
                + "\(Format.seconds(result.fitSeconds))")
        Console.say(
            "\(output): \(Format.bytes(result.fileBytes)); errors are weighted, over the variance")
    }
}

/// `--weights`.
private enum WeightsOption: String, ExpressibleByArgument, CaseIterable {
    case fisherRange = "fisher-range"
    case fisher
    case uniform

    var weights: CalibrationWeights {
        switch self {
        case .fisherRange: .fisherRange
        case .fisher: .fisher
        case .uniform: .uniform
        }
    }
}

/// The progress of a calibration as a line with the time left, of the samples first and of the layers then.
private final class CalibrationSteps {
    private let line: ProgressLine
    private var phase: CalibrationProgress.Phase?
    /// Where the phase began: an earlier run's samples took no time.
    private var first = 0.0
    private var start = 0.0

    init(_ line: ProgressLine) { self.line = line }

    func show(_ progress: CalibrationProgress) {
        if phase != progress.phase {
            phase = progress.phase
            first = progress.completed
            start = line.elapsed
        }
        let (done, all) = (progress.completed - first, Double(progress.total) - first)
        line.show(
            {
                let what = progress.phase == .samples ? "sample" : "layer"
                let number = min(Int(progress.completed) + 1, progress.total)
                return "\(what) \(number) of \(progress.total): "
                    + ProgressLine.remaining(done / all, elapsed: line.elapsed - start)
            }())
    }
}
