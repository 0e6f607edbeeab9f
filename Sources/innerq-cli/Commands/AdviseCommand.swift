import ArgumentParser
import Foundation
import InnerQ

struct AdviseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "advise",
        abstract: "Say which cache a model should have, for a context and a memory.",
        discussion: """
            Which cache lets 32,768 tokens of this model fit into 200 MiB, at what cost?
              innerq advise --model qwen2.5-coder-1.5b --context 32768 --memory 200MiB

            Measured on text of yours, with KVQuant's caches among the candidates; the policy goes into a file for --cache:
              innerq advise --context 8192 --memory 40MiB --file notes.txt --calibration smollm2.iqcal -o policy.json
              innerq generate --cache policy.json --calibration smollm2.iqcal "Once"

            A sample goes through the model, and its keys and values are looked at: ranges, outlier channels, biases. Each \
            candidate is measured on it against float16. Of those that fit, the best grade wins (without \
            --memory, good is good enough), and of about equally small ones, the closest to float16. Without --file the model writes the sample itself.
            """)

    @Option(
        help: ArgumentHelp(
            "Tokens of a sequence (default: the model's context).", valueName: "n"))
    var context: Int?

    @Option(
        help: ArgumentHelp(
            "What the cache of one sequence may take: \(ByteSize.help).", valueName: "size"))
    var memory: ByteSize?

    @Option(help: ArgumentHelp("Text to measure on.", valueName: "path"))
    var file: String?

    @Option(help: ArgumentHelp("Tokens of the sample.", valueName: "n"))
    var sample = 1024

    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp("Write the policy for --cache.", valueName: "file.json"))
    var policy: String?

    @OptionGroup(title: "Model and candidates") var candidates: CandidateOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...1 << 30).contains(context ?? 1),
            (Advisor.shortestSample...1 << 20).contains(sample)
        else {
            throw ValidationError(
                "--context must be 1 or more, --sample \(Advisor.shortestSample) or more.")
        }
    }

    func run() async throws {
        let contents = try file.map { try PromptInput.contents(of: $0) }
        let model = try candidates.model.load()
        let candidates = try candidates.candidates(model, default: CompareCommand.defaults)
        let context = context ?? model.configuration.contextLength
        try Advisor.check(model: model, sampleTokens: sample, context: context)
        let tokens =
            try contents.map {
                Array(model.tokenizer.encode(bytes: $0, addSpecial: false).prefix(sample))
            } ?? model.sample(tokens: sample, seed: 1)
        let flag = SharedFlag()
        let interrupt = Interrupt { flag.set() }
        let line = ProgressLine()
        defer { line.end() }
        do {
            let advisor = try Advisor(
                model: model, sample: tokens, context: context, memory: memory?.bytes)
            let advice = try advisor.advise(
                candidates, progress: { line.show($0) }, isCancelled: { flag.isSet })
            line.end()
            if let path = policy, let policy = advice.policy { try write(policy, to: path) }
            if output.json { try Output.json(advice) } else { try show(advice) }
            if advice.policy == nil { throw ExitCode.failure }
        } catch GenerationError.cancelled where interrupt.hasFired {
            line.end()
            Console.say("stopped")
            throw ExitCode(Interrupt.exitCode)
        }
    }

    private func write(_ policy: CachePolicy, to path: String) throws {
        do {
            try policy.json().write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw ResultError.unwritable(path: path, reason: Failure.text(of: error))
        }
    }

    private func show(_ advice: Advice) throws {
        var table = Table([
            "<cache", "bytes", "bits", "<fits", "longest", "<grade", "increase", "KL",
            "same choice",
            "attention error",
        ])
        for option in advice.options {
            let text = option.summary.text
            table.row([
                option.cache, Format.bytes(option.bytes), Format.fixed(option.bitsPerElement, 2),
                option.fits ? "yes" : "no", option.longestContext.map(Format.count) ?? "",
                option.grade?.words ?? "",
                text?.increase.map { Format.signed(100 * $0.value, 1) + " %" } ?? "",
                text?.divergence.map { Format.fixed($0.value, 4) } ?? "",
                text?.agreement.map { Format.fixed(100 * $0.value, 1) + " %" } ?? "",
                option.attentionError.map { Format.fixed($0, 3) } ?? "",
            ])
        }
        try Output.write(table.text)
        try Output.line("")
        if let policy = advice.policy {
            try Output.line("use --cache \(self.policy ?? policy.name)")
        }
        for reason in advice.reasons { try Output.line("  \(reason)") }
        for warning in advice.warnings { try Output.line("warning: \(warning)") }
        Console.say(
            "measured on \(Format.count(advice.sampleTokens)) tokens; --json has the ranges, outliers and biases of every layer"
        )
    }
}
