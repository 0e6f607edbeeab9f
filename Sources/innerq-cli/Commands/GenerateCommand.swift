import ArgumentParser
import Foundation
import InnerQ

struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Continue a text, or answer one message with --chat.",
        discussion: """
            innerq generate "The key-value cache of a transformer"
            innerq generate --chat "What is a key-value cache?" --temperature 0
            innerq generate --file book.txt --max-tokens 100 --cache innerq-small
            git diff | innerq generate --chat --system "Write a commit message." -
            innerq generate "Once upon a time" --seed 7 --stop "The end" --json

            Fill a cache once and go on from it later, as often as you like:
              innerq generate --file book.txt --max-tokens 0 --save book.session
              innerq generate --resume book.session " In the end," --max-tokens 50

            The text streams to standard output, statistics go to standard error. Ctrl-C ends the text and still \
            prints (and saves) what there is; a second one kills. One newline at the end of a file or of standard \
            input is left out.
            """)

    @Argument(help: "The prompt; - reads standard input, as does no prompt in a pipe.")
    var prompt: String?

    @Option(help: ArgumentHelp("Read the prompt from a file.", valueName: "path"))
    var file: String?

    @Flag(help: "Wrap the prompt as a user's message with the model's chat template.")
    var chat = false

    @Option(help: ArgumentHelp("Instructions before the message, with --chat.", valueName: "text"))
    var system: String?

    @Flag(help: "Do not begin the text with the model's beginning-of-sequence token.")
    var raw = false

    @Flag(help: "Read special tokens spelled in the prompt, such as <|im_end|>, as those tokens.")
    var special = false

    @Option(help: ArgumentHelp("Save tokens and cache to a file at the end.", valueName: "path"))
    var save: String?

    @Option(help: ArgumentHelp("Go on from a file of --save, with its cache.", valueName: "path"))
    var resume: String?

    @OptionGroup(title: "Model and cache") var model: ModelOptions
    @OptionGroup(title: "Model and cache") var cache: CacheOptions
    @OptionGroup(title: "Sampling") var sampling: SamplingOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if system != nil, !chat { throw ValidationError("--system needs --chat.") }
        if chat, raw || special {
            throw ValidationError("--raw and --special are for plain prompts, not for --chat.")
        }
    }

    func run() async throws {
        let text = try PromptInput.read(
            argument: prompt, file: file, usesStandardInput: resume == nil)
        guard text != nil || resume != nil else {
            throw ValidationError("Give a prompt, --file, or text on standard input.")
        }
        let session = try cache.session(model, resuming: resume)
        let interrupt = Interrupt { session.cancel() }
        let stream = try start(session, text)
        let result = try await print(stream, of: session)
        if let save { try session.save(to: save) }
        try report(result, session)
        if interrupt.hasFired { throw ExitCode(Interrupt.exitCode) }
    }

    private func start(_ session: Session, _ text: [UInt8]?) throws -> TokenStream {
        let options = sampling.options(limit: 256)
        guard let text else { return session.generate(tokens: [], options: options) }
        if chat {
            return try ChatSession(session, system: system)
                .reply(to: String(decoding: text, as: UTF8.self), options: options)
        }
        let isFirst = session.tokens.isEmpty
        return session.generate(
            tokens: session.model.tokenizer.encode(
                bytes: text, addSpecial: isFirst && !raw, parseSpecial: special),
            options: options)
    }

    /// What was generated.
    private struct Generated {
        var text = ""
        var tokens: [Int32] = []
    }

    private func print(_ stream: TokenStream, of session: Session) async throws -> Generated {
        var result = Generated()
        let prefill = PrefillLine(session)
        defer { prefill.end() }
        do {
            for try await token in stream {
                prefill.end()
                if let id = token.id { result.tokens.append(id) }
                result.text += token.text
                if !output.json, !token.text.isEmpty { try Output.write(token.text) }
            }
        } catch is BrokenPipe {
            // Nobody reads on; what there is can still be saved.
            session.cancel()
            _ = session.tokens
            if let save { try session.save(to: save) }
            throw BrokenPipe()
        }
        if !output.json, !result.text.isEmpty, !result.text.hasSuffix("\n") {
            try Output.write("\n")
        }
        return result
    }

    private struct Report: Encodable {
        var model: String
        var cache: String
        var text: String
        var tokens: [Int32]
        var statistics: RunReport
    }

    private func report(_ result: Generated, _ session: Session) throws {
        let statistics = session.statistics
        guard output.json else { return RunReport.say(statistics) }
        try Output.json(
            Report(
                model: session.model.path, cache: session.policy.name, text: result.text,
                tokens: result.tokens, statistics: RunReport(statistics)))
    }
}
