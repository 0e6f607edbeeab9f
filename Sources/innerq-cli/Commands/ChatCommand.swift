import ArgumentParser
import Foundation
import InnerQ

struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "Talk to a model; its cache stays between turns.",
        discussion: """
            innerq chat
            innerq chat --model qwen2.5-coder-1.5b --cache innerq-base --system "You are terse."
            innerq chat --resume talk.session
            printf 'Hello!\\nWhat did I just say?\\n' | innerq chat --temperature 0 --json

            Each line is a message; a line that ends with \\ goes on in the next one. Commands:
              /stats       what the last turn cost and what the cache takes
              /save FILE   save the conversation, to go on with --resume FILE
              /reset       forget everything
              /exit        leave, as does Ctrl-D
            Ctrl-C stops a reply, and leaves when there is none. With --json, each turn prints one line of JSON.
            """)

    @Option(help: ArgumentHelp("Instructions before the first message.", valueName: "text"))
    var system: String?

    @Option(help: ArgumentHelp("Go on from a file of /save, with its cache.", valueName: "path"))
    var resume: String?

    @OptionGroup(title: "Model and cache") var model: ModelOptions
    @OptionGroup(title: "Model and cache") var cache: CacheOptions
    @OptionGroup(title: "Sampling") var sampling: SamplingOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let session = try cache.session(model, resuming: resume)
        var loop = ChatLoop(
            chat: try ChatSession(session, system: system),
            options: sampling.options(limit: nil), isJSON: output.json,
            isInteractive: isatty(STDIN_FILENO) == 1)
        try await loop.run()
    }
}

/// Reads messages and commands until the input ends.
private struct ChatLoop {
    let chat: ChatSession
    let options: GenerationOptions
    let isJSON: Bool
    let isInteractive: Bool
    private let interrupt = Interrupt()
    private var isDone = false

    init(chat: ChatSession, options: GenerationOptions, isJSON: Bool, isInteractive: Bool) {
        self.chat = chat
        self.options = options
        self.isJSON = isJSON
        self.isInteractive = isInteractive
    }

    private var session: Session { chat.session }

    mutating func run() async throws {
        if isInteractive {
            Console.say(
                "\(session.model.configuration.name) with \(session.policy.name); /help lists the commands"
            )
        }
        while !isDone, let message = read() {
            let trimmed = message.trimmingCharacters(in: .whitespacesAndNewlines)
            if trimmed.isEmpty { continue }
            do {
                if trimmed.hasPrefix("/") {
                    try perform(trimmed)
                } else {
                    try await reply(to: message)
                }
            } catch let error as BrokenPipe {
                throw error
            } catch {
                // One bad turn does not end a conversation, but a script must know.
                guard isInteractive else { throw error }
                Console.complain(Failure.text(of: error))
                if case GenerationError.contextTooLong = error {
                    Console.say("/save FILE keeps the conversation; /reset begins anew.")
                }
            }
        }
        if isInteractive, !isDone { Console.say() }
    }

    /// The next message; `nil` at the end of the input.
    private func read() -> String? {
        var lines: [String] = []
        while true {
            if isInteractive {
                Console.replaceLine(lines.isEmpty ? "> " : "… ")
            }
            guard let line = readLine() else {
                return lines.isEmpty ? nil : lines.joined(separator: "\n")
            }
            guard line.hasSuffix("\\") else { return (lines + [line]).joined(separator: "\n") }
            lines.append(String(line.dropLast()))
        }
    }

    private mutating func perform(_ line: String) throws {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        switch (words[0], words.count) {
        case ("/exit", 1), ("/quit", 1): isDone = true
        case ("/reset", 1):
            session.reset()
            Console.say("forgotten")
        case ("/save", 2):
            try session.save(to: words[1])
            Console.say("saved; go on with: innerq chat --resume \(words[1])")
        case ("/stats", 1): RunReport.say(session.statistics)
        case ("/help", 1):
            Console.say(
                """
                /stats       what the last turn cost and what the cache takes
                /save FILE   save the conversation
                /reset       forget everything
                /exit        leave, as does Ctrl-D
                A line that ends with \\ goes on in the next one. Ctrl-C stops a reply.
                """)
        default: throw Failure("“\(line)” is no command; /help lists them.")
        }
    }

    private struct Turn: Encodable {
        var message: String
        var reply: String
        var statistics: RunReport
    }

    private func reply(to message: String) async throws {
        let session = session
        interrupt.arm { session.cancel() }
        defer { interrupt.disarm() }
        let prefill = PrefillLine(session)
        defer { prefill.end() }
        var text = ""
        for try await token in chat.reply(to: message, options: options) {
            prefill.end()
            text += token.text
            if !isJSON, !token.text.isEmpty { try Output.write(token.text) }
        }
        if isJSON {
            return try Output.json(
                Turn(message: message, reply: text, statistics: RunReport(session.statistics)),
                pretty: false)
        }
        try Output.write("\n")
        if interrupt.hasFired { Console.say("(stopped)") }
    }
}
