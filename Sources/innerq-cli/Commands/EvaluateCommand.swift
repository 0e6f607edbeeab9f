import ArgumentParser
import Foundation
import InnerQ

struct EvaluateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Put a task's questions to a model through several caches.",
        discussion: """
            What tasks are there, and what files do they read?
              innerq evaluate --list

            School mathematics with five worked examples before each question, the first 50 questions:
              innerq evaluate gsm8k --file test.jsonl --shots-file train.jsonl --limit 50 --caches innerq-base,q4 -o gsm8k.jsonl

            Needles, variables and words in generated texts of 4096 tokens; passkeys in longer ones:
              innerq evaluate ruler --lengths 4096 --samples 5 --caches innerq-base
              innerq evaluate passkey --lengths 4096,7168 --depths 0,50,100 --samples 4 --caches innerq-small

            Multiple choice by log-likelihood, with examples, so that there is something to quantize:
              innerq evaluate choice --file arc_challenge.jsonl --shots 10 --limit 200 --caches innerq-base

            Programs, which are run in a sandbox only if that is asked for:
              innerq evaluate humaneval --file HumanEval.jsonl.gz --run-code --caches innerq-base

            Answers are greedy. Every prompt is read once for all caches; the question at its end, or its last token, goes through \
            the cache. Scores come with their standard error, differences from float16 with a test of significance. With -o, \
            each answer is a line of JSON, and the same command goes on where it was stopped; innerq report shows it. \
            Caches keep first and newest tokens in float16, and innerq's take statistics of 512 tokens: the column `sealed` says \
            how much of the prompts was quantized at all.
            """)

    @Argument(help: ArgumentHelp("The task; see --list.", valueName: "task"))
    var task: String?

    @Flag(help: "List the tasks.")
    var list = false

    @Option(help: ArgumentHelp("The task's file.", valueName: "path"))
    var file: String?

    @Option(help: ArgumentHelp("A file of worked examples.", valueName: "path"))
    var shotsFile: String?

    @Option(help: ArgumentHelp("Worked examples before each question.", valueName: "n"))
    var shots: Int?

    @Option(help: ArgumentHelp("Ask only the first of the questions.", valueName: "n"))
    var limit: Int?

    @Option(help: "At a line that cannot be used: stop, or skip it and name it.")
    fileprivate var badLines = BadLinesOption.stop

    @Option(
        help: ArgumentHelp(
            "Parts of a task, such as niah-multikey-1 or hotpotqa (default: all).",
            valueName: "a,b,…"))
    var subtasks: String?

    @Option(help: ArgumentHelp("Leave out longer prompts.", valueName: "tokens"))
    var longestPrompt: Int?

    @Option(help: ArgumentHelp("Most tokens of an answer.", valueName: "n"))
    var maxTokens: Int?

    @Option(
        help: ArgumentHelp("Lengths of generated prompts, in tokens.", valueName: "n,n,…"),
        transform: IntegerList.init)
    var lengths = IntegerList([4096])

    @Option(
        help: ArgumentHelp("Places of a passkey, per cent.", valueName: "n,n,…"),
        transform: IntegerList.init)
    var depths = IntegerList([0, 25, 50, 75, 100])

    @Option(help: ArgumentHelp("Generated questions of each kind.", valueName: "n"))
    var samples = 5

    @Option(help: "Of generated questions.")
    var seed: UInt64 = 1

    @Flag(help: "Run the programs that the model writes, in a sandbox without network.")
    var runCode = false

    @Flag(help: "Wrap prompts in the model's chat template.")
    var chat = false

    @OptionGroup(title: "Model and caches") var candidates: CandidateOptions
    @OptionGroup var results: ResultFileOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard list || task != nil else {
            throw ValidationError("Name a task; innerq evaluate --list shows them.")
        }
        guard depths.values.allSatisfy({ $0 <= 100 }) else {
            throw ValidationError("--depths are per cent, from 0 to 100.")
        }
        guard (1...1 << 20).contains(samples), (1...1 << 30).contains(limit ?? 1),
            (0...1000).contains(shots ?? 0), (1...1 << 20).contains(maxTokens ?? 1)
        else {
            throw ValidationError(
                "--samples, --limit and --max-tokens must be 1 or more, --shots 0 or more.")
        }
    }

    func run() async throws {
        if list { return try listTasks() }
        guard let task, TaskCatalog.entry(named: task) != nil else {
            // Says what tasks there are.
            _ = try TaskCatalog.load(name: self.task ?? "", file: nil)
            return
        }
        let model = try candidates.model.load()
        let candidates = try candidates.candidates(model, default: [.innerQBase])
        var set = try TaskCatalog.load(name: task, file: file, options: options(model))
        for error in set.skipped { Console.say("left out: \(error)") }
        if let longestPrompt { set.samples = try fitting(set.samples, longestPrompt, model) }
        var plan = EvaluationPlan()
        plan.tasks = [set]
        plan.answers = AnswerOptions(usesChatTemplate: chat)
        try EvaluationJob(
            model: model, candidates: candidates, plan: plan, settings: settings(task),
            results: results.results
        ).runAndShow(output)
    }

    private func options(_ model: LanguageModel) -> TaskOptions {
        TaskOptions(
            shotsFile: shotsFile, shots: shots, limit: limit,
            badLines: badLines == .skip ? .skip : .stop,
            subtasks: subtasks?.split(separator: ",").map(String.init) ?? [],
            longestPrompt: longestPrompt, maxTokens: maxTokens, lengths: lengths.values,
            depths: depths.values.map(Double.init), samples: samples, seed: seed,
            runsCode: runCode,
            countTokens: { model.tokenizer.encode($0, addSpecial: false).count })
    }

    /// What changes a question or its answer; a larger `--limit` goes on with a file of a smaller one.
    private func settings(_ task: String) -> [String: String] {
        var settings = ["task": task, "chat": "\(chat)", "seed": "\(seed)"]
        settings["file"] = file.map { URL(fileURLWithPath: $0).lastPathComponent }
        settings["shots"] = shots.map { "\($0)" }
        settings["shots file"] = shotsFile.map { URL(fileURLWithPath: $0).lastPathComponent }
        settings["answer"] = maxTokens.map { "\($0) tokens" }
        return settings
    }

    private func fitting(
        _ samples: [TaskSample], _ longest: Int, _ model: LanguageModel
    ) throws -> [TaskSample] {
        let fitting = samples.filter { sample in
            guard case .generation(let request) = sample.request else { return true }
            return model.tokenizer.encode(request.context + request.question).count <= longest
        }
        if fitting.count < samples.count {
            Console.say(
                "\(samples.count - fitting.count) of \(samples.count) prompts are longer than \(longest) tokens and left out"
            )
        }
        guard !fitting.isEmpty else {
            throw Failure(
                "no prompt has at most \(longest) tokens; give a larger --longest-prompt.")
        }
        return fitting
    }

    private struct Listed: Encodable {
        var name: String
        var aliases: [String]
        var file: String?
        var help: String
    }

    private func listTasks() throws {
        if output.json {
            return try Output.json(
                TaskCatalog.entries.map {
                    Listed(name: $0.name, aliases: $0.aliases, file: $0.file, help: $0.help)
                })
        }
        var table = Table(["<task", "<what it asks", "<file"])
        for entry in TaskCatalog.entries {
            table.row([entry.name, entry.help, entry.file ?? "none"])
        }
        try Output.write(table.text)
    }
}

/// `--bad-lines`.
private enum BadLinesOption: String, ExpressibleByArgument, CaseIterable {
    case stop, skip
}
