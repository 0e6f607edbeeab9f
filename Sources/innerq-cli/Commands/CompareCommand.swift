import ArgumentParser
import Foundation
import InnerQ

struct CompareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Compare caches with float16: memory, quality, passkeys, errors, speed.",
        discussion: """
            What do these caches cost this model, on the same tokens, in one run?
              innerq compare --caches innerq-base,innerq-small,q4,kivi-2-sink --file wiki.txt

            As much as a paper's table needs, into a file that a stopped run goes on with, and as a page to look at:
              innerq compare --suite full --file wiki.txt --calibration smollm2.iqcal -o smollm2.jsonl
              innerq report smollm2.jsonl -o smollm2.html

            What caches cost deep in a text, where nothing is left of their first float16 tokens:
              innerq compare --suite full --measures text --score-from 1024 --file wiki.txt --caches innerq-base,q4

            Only quality on text, with a copy of the last cache that is broken on purpose:
              innerq compare --caches innerq-base --measures text --file wiki.txt --control

            memory   exact bytes at 4K, 32K and 128K tokens
            text     perplexity, KL divergence from float16 (mean, 99 %, largest) and how often both choose the same next \
            token; each window begins with an empty cache and a prompt of 32 tokens, all others are decoded
            layers   error of keys, values and attention output of each layer, given what the float16 model gives it
            passkey  a number hidden in filler text, at several lengths and depths
            speed    tokens a second at several depths (not of the control)

            The quick suite has 2 windows of 1024 tokens, passkeys in 1024 tokens and depths to 2048; the full one 10 of 2048, \
            passkeys up to 8000 and depths to 7168, as far as the model's context goes. Without --file the model writes the text \
            itself.
            """)

    enum Measure: String, CaseIterable {
        case memory, text, layers, passkey, speed
    }

    @Option(name: .customLong("suite"), help: "How much is measured.")
    fileprivate var size = SuiteOption.quick

    private var suite: EvaluationSuite { size.suite }

    @Option(help: ArgumentHelp("The text.", valueName: "path"))
    var file: String?

    @Option(
        help: ArgumentHelp(
            "What is measured, of memory,text,layers,passkey,speed (default: all).",
            valueName: "a,b,…"))
    var measures: String?

    @Option(help: ArgumentHelp("Windows of the text (default: the suite's).", valueName: "n"))
    var windows: Int?

    @Option(help: ArgumentHelp("Tokens of a window (default: the suite's).", valueName: "n"))
    var window: Int?

    @Option(
        help: ArgumentHelp(
            "Score only tokens from this position of a window on, such as 1024: what caches cost deep in a text (default: 32, all after the prompt).",
            valueName: "n"))
    var scoreFrom: Int?

    @Option(help: "Of passkeys, and of the text that the model writes.")
    var seed: UInt64 = 1

    @OptionGroup(title: "Model and caches") var candidates: CandidateOptions
    @OptionGroup var results: ResultFileOptions
    @OptionGroup var output: OutputOptions

    private var chosen: [Measure] {
        measures?.split(separator: ",").compactMap { Measure(rawValue: String($0)) }
            ?? Measure.allCases
    }

    func validate() throws {
        for name in measures?.split(separator: ",") ?? []
        where Measure(rawValue: String(name)) == nil {
            throw ValidationError(
                "“\(name)” is no measure; they are \(Measure.allCases.map(\.rawValue).joined(separator: ", "))."
            )
        }
        guard (1...1 << 20).contains(windows ?? 1), (64...1 << 24).contains(window ?? 64),
            (32...1 << 24).contains(scoreFrom ?? 32)
        else {
            throw ValidationError(
                "--windows must be 1 or more, --window 64 or more, --score-from 32 or more.")
        }
    }

    /// Compared where no cache is named.
    static let defaults: [CachePolicy] = {
        let names = [
            "q8", "q4", "innerq-base", "innerq-hybrid", "innerq-small", "kivi-4", "kivi-2-sink",
            "turboquant-4-3", "kvquant-nuq4-1%", "kvquant-nuq3-1%", "kvquant-nuq2-1%",
        ]
        return names.compactMap { CachePolicy.preset(named: $0) }
    }()

    func run() async throws {
        let contents = try file.map { try PromptInput.contents(of: $0) }
        let model = try candidates.model.load()
        let candidates = try candidates.candidates(model, default: Self.defaults)
        let plan = try plan(model, contents)
        try EvaluationJob(
            model: model, candidates: candidates, plan: plan.plan, settings: plan.settings,
            results: results.results
        ).runAndShow(output)
    }

    private func plan(
        _ model: LanguageModel, _ contents: Data?
    ) throws -> (plan: EvaluationPlan, settings: [String: String]) {
        let limit = model.configuration.contextLength
        let chosen = chosen
        var plan = EvaluationPlan()
        var settings = ["suite": suite.rawValue]
        if chosen.contains(.memory) { plan.contexts = suite.contexts }
        if chosen.contains(.text) || chosen.contains(.layers) {
            let window = min(self.window ?? suite.window, limit)
            let windows = self.windows ?? suite.windows
            let sample = min(suite.layerTokens, limit)
            let needed = max(chosen.contains(.text) ? window * windows : 0, sample)
            let (name, tokens) = try text(model, contents, needed)
            settings["text"] = name
            settings["text digest"] = TextMeasurement.digest(of: tokens)
            if chosen.contains(.text) {
                plan.text = try TextMeasurement(
                    model: model, name: name, tokens: tokens,
                    options: PerplexityOptions(
                        context: window, prefill: min(suite.prefill, window / 2),
                        scoredFrom: scoreFrom,
                        offsets: (0..<windows).map { $0 * window }))
                settings["windows"] = "\(windows) × \(window)"
                settings["scored from"] = scoreFrom.map { "\($0)" }
            }
            if chosen.contains(.layers) {
                guard tokens.count >= sample else {
                    throw GenerationError.textTooShort(tokens: tokens.count, needed: sample)
                }
                plan.layerSample = Array(tokens[..<sample])
            }
        }
        if chosen.contains(.passkey), let passkeys = try passkeys(model, limit) {
            plan.tasks.append(passkeys)
            settings["passkey seed"] = "\(seed)"
        }
        if chosen.contains(.speed) {
            let room = limit - max(suite.speedTokens, suite.speedPrefill)
            plan.speed = EvaluationPlan.SpeedPlan(
                depths: suite.depths.filter { $0 <= room }, tokens: suite.speedTokens,
                prefill: suite.speedPrefill, repeats: suite.repeats)
        }
        return (plan, settings)
    }

    /// The text's name, which tells one text from another, and its tokens.
    private func text(
        _ model: LanguageModel, _ contents: Data?, _ count: Int
    ) throws -> (String, [Int32]) {
        guard let contents, let file else {
            Console.say(
                "no --file: the text is \(Format.count(count)) tokens that the model writes itself (--seed \(seed))"
            )
            let tokens = try model.sample(tokens: count, seed: seed)
            return ("written by the model, seed \(seed)", tokens)
        }
        let name = URL(fileURLWithPath: file).lastPathComponent
        return (name, model.tokenizer.encode(bytes: contents, addSpecial: false))
    }

    private func passkeys(_ model: LanguageModel, _ limit: Int) throws -> TaskSet? {
        let lengths = suite.passkeyLengths.filter { $0 <= limit - 32 }
        guard !lengths.isEmpty else {
            Console.say("no passkeys: the model's context of \(limit) tokens is too short for them")
            return nil
        }
        return try TaskCatalog.load(
            name: "passkey", file: nil,
            options: TaskOptions(
                lengths: lengths, depths: suite.passkeyDepths, samples: suite.passkeys, seed: seed,
                countTokens: { model.tokenizer.encode($0, addSpecial: false).count }))
    }
}

/// `--suite`.
private enum SuiteOption: String, ExpressibleByArgument, CaseIterable {
    case quick, full

    var suite: EvaluationSuite { self == .quick ? .quick : .full }
}
