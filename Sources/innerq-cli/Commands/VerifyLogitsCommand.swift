import ArgumentParser
import Foundation
import InnerQ

struct VerifyLogitsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logits",
        abstract: "Decode a text with integer and with float32 products, and compare the logits.",
        discussion: """
            innerq verify logits --file wiki.txt
            innerq verify logits --file wiki.txt --cache innerq-base --cache q8 --prompt 2048 --tokens 256 --json

            Decoding multiplies codes, of the cache and of weights, with queries, softmax weights and activations that \
            are rounded to integers of 16 bits. Here each token of a text is decoded so and in float32, over the same \
            cache. A cache fails if a logit differs by --limit or more, or perplexity by 0.2 % or more; then the exit \
            code is 1. Tokens that seal a tile stand in a column of their own: where a rounding error moves a code, what \
            differs is the cache.
            """)

    @Option(help: ArgumentHelp("The text.", valueName: "path"))
    var file: String

    @Option(help: ArgumentHelp("Tokens of the prompt, which both take alike.", valueName: "n"))
    var prompt = 1024

    @Option(help: ArgumentHelp("Tokens to decode after it.", valueName: "n"))
    var tokens = 128

    @Option(help: ArgumentHelp("No logit may differ by so much.", valueName: "number"))
    var limit = 0.01

    @OptionGroup(title: "Model and caches") var model: ModelOptions
    @OptionGroup(title: "Model and caches") var caches: CacheListOptions
    @OptionGroup(title: "Model and caches") var calibration: CalibrationFileOptions
    @OptionGroup var output: OutputOptions

    private static let perplexityLimit = 0.002

    func validate() throws {
        guard (1...1 << 24).contains(prompt), (1...1 << 20).contains(tokens), limit > 0 else {
            throw ValidationError("--prompt, --tokens and --limit must be more than 0.")
        }
    }

    func run() async throws {
        let asked = try caches.policies(default: [.innerQBase])
        let text = try PromptInput.contents(of: file)
        let model = try model.load()
        let calibration = try self.calibration.read(for: model)
        let all = model.tokenizer.encode(bytes: text)
        let wanted = prompt + tokens + 1
        guard all.count >= wanted else {
            throw Failure(
                "The text has \(all.count) tokens, but --prompt and --tokens need \(wanted). Give a longer one, or ask for fewer."
            )
        }
        guard wanted <= model.configuration.contextLength else {
            throw GenerationError.contextTooLong(
                tokens: wanted, limit: model.configuration.contextLength)
        }
        let flag = SharedFlag()
        let interrupt = Interrupt { flag.set() }
        let line = ProgressLine()
        defer { line.end() }
        var results: [ArithmeticVerification] = []
        do {
            for policy in asked {
                let policy = CalibrationFileOptions.resolve(policy, calibration)
                line.show("\(policy.name): prompt")
                results.append(
                    try ArithmeticVerification.run(
                        model: model.transformer, policy: policy, calibration: calibration,
                        tokens: Array(all[..<wanted]), prompt: prompt,
                        progress: { line.show("\(policy.name): token \($0) of \(tokens)") },
                        isCancelled: { flag.isSet }))
            }
        } catch TransformerError.cancelled {
            line.end()
            Console.say("stopped; what was compared until then:")
        }
        line.end()
        if output.json { try Output.json(results) } else { try show(results) }
        if interrupt.hasFired { throw ExitCode(Interrupt.exitCode) }
        let failed = results.filter {
            !($0.largestDifference < limit && abs($0.perplexityChange) < Self.perplexityLimit)
        }
        guard failed.isEmpty else {
            throw Failure(
                "Integer products differ too much with \(failed.map(\.cache).joined(separator: ", "))."
            )
        }
    }

    private func show(_ results: [ArithmeticVerification]) throws {
        var table = Table([
            "<cache", "decoded", "largest difference", "at seals", "mean square root",
            "same choice",
            "perplexity", "change",
        ])
        for result in results {
            table.row([
                result.cache, "\(result.decoded)", String(format: "%.5f", result.largestDifference),
                String(format: "%.5f", result.largestAtSeals),
                String(format: "%.5f", result.rootMeanSquare),
                Format.fixed(100 * Double(result.sameChoice) / Double(result.decoded), 1) + " %",
                Format.fixed(result.floatPerplexity, 3),
                String(format: "%+.4f %%", 100 * result.perplexityChange),
            ])
        }
        try Output.write(table.text)
    }
}
