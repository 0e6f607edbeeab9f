import ArgumentParser
import Foundation
import InnerQ
import Synchronization

struct PerplexityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity",
        abstract: "Measure what a cache costs in perplexity on a text.",
        discussion: """
            Compare caches on the same tokens; the others are paired with the first:
              innerq perplexity --file wiki.txt --cache float16 --cache innerq-base --cache kivi-2-sink

            Contexts of 1024 tokens at two places of the text, the first 256 tokens as a prompt:
              innerq perplexity --file wiki.txt --context 1024 --prefill 256 --offsets 0,8192

            Windows side by side with the second half scored, as llama.cpp's perplexity tool does:
              innerq perplexity --file wiki.txt --context 2048 --windows 8 --cache float16

            Each context starts with an empty cache. Its first --prefill tokens run as one prompt and see each other in \
            float16; every later token is predicted from the cache exactly as when decoding, only faster. All tokens \
            after the prompt are scored (with --windows: the second half).
            """)

    @Option(help: ArgumentHelp("The text.", valueName: "path"))
    var file: String

    @Option(help: ArgumentHelp("Tokens of a context.", valueName: "n"))
    var context = 1024

    @Option(
        help: ArgumentHelp(
            "Tokens of the prompt (default: a quarter of the context; with --windows half).",
            valueName: "n"))
    var prefill: Int?

    @Option(
        help: ArgumentHelp(
            "Where contexts begin in the text, in tokens (default: 0).", valueName: "n,n,…"),
        transform: IntegerList.init)
    var offsets: IntegerList?

    @Option(
        help: ArgumentHelp("This many contexts side by side, second half scored.", valueName: "n"))
    var windows: Int?

    @Flag(help: "With --json: list −ln p of every scored token.")
    var losses = false

    @OptionGroup(title: "Model and caches") var model: ModelOptions
    @OptionGroup(title: "Model and caches") var caches: CacheListOptions
    @OptionGroup(title: "Model and caches") var calibration: CalibrationFileOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if offsets != nil, windows != nil {
            throw ValidationError("Give either --offsets or --windows, not both.")
        }
        guard (2...1 << 24).contains(context) else {
            throw ValidationError("--context must be from 2 to \(1 << 24) tokens.")
        }
        guard (1...1 << 20).contains(windows ?? 1) else {
            throw ValidationError("--windows must be 1 or more.")
        }
    }

    private var options: PerplexityOptions {
        if let windows {
            return .windows(windows, context: context, prefill: prefill)
        }
        return PerplexityOptions(
            context: context, prefill: prefill ?? max(1, context / 4),
            offsets: offsets?.values ?? [0])
    }

    func run() async throws {
        let asked = try caches.policies(default: [.innerQBase])
        let text = try PromptInput.contents(of: file)
        let model = try model.load()
        let calibration = try self.calibration.read(for: model)
        let policies = asked.map { CalibrationFileOptions.resolve($0, calibration) }
        for policy in policies { try policy.validate(for: model.transformer.cacheShape) }
        let tokens = model.tokenizer.encode(bytes: text)
        let flag = SharedFlag()
        let interrupt = Interrupt { flag.set() }
        var results: [PerplexityResult] = []
        let line = ProgressLine()
        defer { line.end() }
        for (index, policy) in policies.enumerated() {
            let steps = WindowSteps(options, layers: model.configuration.layerCount)
            let name = policy.name
            let done = index
            do {
                results.append(
                    try model.transformer.perplexity(
                        of: tokens, beginning: model.tokenizer.rules.prefix.first, policy: policy,
                        calibration: calibration, options: options,
                        progress: { windows, _, value in
                            steps.finish(window: windows, perplexity: value)
                        },
                        isCancelled: {
                            let fraction = (Double(done) + steps.advance()) / Double(policies.count)
                            line.show(
                                "\(name)\(steps.summary): "
                                    + ProgressLine.remaining(fraction, elapsed: line.elapsed))
                            return flag.isSet
                        }))
            } catch GenerationError.cancelled {
                line.end()
                Console.say("stopped; caches that were measured until then:")
                break
            }
        }
        line.end()
        try report(results, model: model.path)
        if interrupt.hasFired { throw ExitCode(Interrupt.exitCode) }
    }

    // MARK: - Results

    private struct Report: Encodable {
        struct Row: Encodable {
            var cache: String
            var perplexity: Double
            var standardError: Double
            /// Against the first cache, over the same tokens.
            var comparison: PairedComparison?
            var scoredTokens: Int
            var windows: [Double]
            var cacheBytes: Int
            var float16Bytes: Int
            var bitsPerElement: Double
            /// Share of elements beyond the ranges of a calibration.
            var beyondRange: Double?
            var seconds: Double
            var losses: [Float]?
        }
        var model: String
        var file: String
        var options: PerplexityOptions
        var results: [Row]
    }

    private func report(_ results: [PerplexityResult], model: String) throws {
        let comparisons = results.map { PairedComparison(of: $0, with: results[0]) }
        if output.json {
            let rows = zip(results, comparisons).enumerated().map { index, pair in
                let result = pair.0
                return Report.Row(
                    cache: result.policy, perplexity: result.perplexity,
                    standardError: result.standardError, comparison: index == 0 ? nil : pair.1,
                    scoredTokens: result.scoredTokens, windows: result.windows,
                    cacheBytes: result.cacheBytes, float16Bytes: result.float16Bytes,
                    bitsPerElement: result.bitsPerElement, beyondRange: result.beyondRange,
                    seconds: result.seconds,
                    losses: losses ? result.negativeLogLikelihoods : nil)
            }
            return try Output.json(
                Report(model: model, file: file, options: options, results: rows))
        }
        guard let first = results.first else { return }
        let comparing = results.count > 1 ? ["against \(first.policy)", "±"] : []
        var table = Table(["<cache", "perplexity", "±"] + comparing + ["cache", "bits", "time"])
        for (index, result) in results.enumerated() {
            var cells = [
                result.policy, Format.fixed(result.perplexity, 4),
                Format.fixed(result.standardError, 3),
            ]
            if !comparing.isEmpty {
                let comparison = index == 0 ? nil : comparisons[index]
                cells += [
                    comparison.map { Format.signed(100 * $0.relativeIncrease, 2) + " %" } ?? "",
                    comparison.map { Format.fixed(100 * $0.standardError, 2) } ?? "",
                ]
            }
            table.row(
                cells + [
                    Format.bytes(result.cacheBytes), Format.fixed(result.bitsPerElement, 2),
                    Format.seconds(result.seconds),
                ])
        }
        try Output.write(table.text)
        Console.say(
            "\(Format.count(first.scoredTokens)) tokens scored in \(first.windows.count) contexts of \(options.context), "
                + "\(options.prefill) of them the prompt; the cache is that of one context")
        for result in results {
            guard let share = result.beyondRange else { continue }
            Console.say(
                "\(result.policy): \(Format.fixed(100 * share, 2)) % of elements lie beyond their calibrated ranges"
            )
        }
    }
}

/// Counts the layers of a perplexity run, of one cache.
private final class WindowSteps: Sendable {
    private let perWindow: Int
    private let windows: Int
    private let state = Mutex((window: 0, step: 0, perplexity: 0.0))

    init(_ options: PerplexityOptions, layers: Int) {
        let chunk = Workspace.chunk
        let decoded = (options.context - options.prefill + chunk - 1) / chunk
        perWindow = max(1, layers * (1 + max(0, decoded)))
        windows = options.offsets.count
    }

    /// Counts a layer; returns what is done, from 0 to 1.
    func advance() -> Double {
        state.withLock { state in
            let done = Double(state.window) + min(1, Double(state.step) / Double(perWindow))
            state.step += 1
            return done / Double(windows)
        }
    }

    func finish(window: Int, perplexity: Double) {
        state.withLock { $0 = (window, 0, perplexity) }
    }

    /// "  12.34 after 2 of 8".
    var summary: String {
        state.withLock { state in
            state.window == 0
                ? "" : " \(Format.fixed(state.perplexity, 3)) after \(state.window) of \(windows)"
        }
    }
}
