import ArgumentParser
import Foundation

/// The command line tool: parses, runs, and turns errors into exit codes.
///
///     0    done                         64   wrong usage
///     1    failed, `innerq: …` says why  130  ended by Ctrl-C
@main
struct InnerQTool {
    static func main() async {
        Output.prepare()
        do {
            var command = try InnerQ.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            exit(reporting: error)
        }
    }

    private static func exit(reporting error: any Error) -> Never {
        switch error {
        case is BrokenPipe:
            // The reader has had enough.
            Foundation.exit(EXIT_SUCCESS)
        case let failure as Failure:
            Console.complain(failure.message)
            Foundation.exit(EXIT_FAILURE)
        default:
            // Usage errors, help and exit codes are the parser's own.
            let code = InnerQ.exitCode(for: error)
            guard code == .failure else { InnerQ.exit(withError: error) }
            if !(error is ExitCode) { Console.complain(Failure.text(of: error)) }
            Foundation.exit(EXIT_FAILURE)
        }
    }
}

/// Something that went wrong in a command, in words.
struct Failure: Error {
    let message: String

    init(_ message: String) { self.message = message }

    static func text(of error: any Error) -> String {
        if let text = (error as? any LocalizedError)?.errorDescription { return text }
        return "\(error)"
    }
}

struct InnerQ: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "innerq",
        abstract:
            "Run language models with a quantized key-value cache, and see what it costs and saves.",
        discussion: """
            Get the default model and continue a text:
              innerq pull smollm2-135m
              innerq generate "The key-value cache of a transformer"

            Talk to it; the cache stays between turns:
              innerq chat

            Continue a long text from a file, and see what the cache took:
              innerq generate --file book.txt --max-tokens 100

            What does a cache cost in quality, and what does it save? Which one should this model have?
              innerq compare --caches innerq-base,innerq-small,q4 --file wiki.txt
              innerq advise --context 8192 --memory 100MiB

            How much context fits into 2 GiB, before anything is loaded?
              innerq plan --model qwen2.5-coder-1.5b --memory 2GiB

            A model is a name of `innerq pull --list`, a .gguf file, or a folder with config.json and safetensors.
            A cache is a preset of `innerq formats`, or a JSON file with the same parameters.
            Every command takes --json: results on standard output, everything else on standard error.
            """,
        version: "0.1.0",
        subcommands: [
            GenerateCommand.self, ChatCommand.self, CompareCommand.self, EvaluateCommand.self,
            ReportCommand.self, AdviseCommand.self, PerplexityCommand.self, PlanCommand.self,
            InspectCommand.self, FormatsCommand.self, VerifyCommand.self, PullCommand.self,
            CalibrateCommand.self, BenchCommand.self,
        ])
}
