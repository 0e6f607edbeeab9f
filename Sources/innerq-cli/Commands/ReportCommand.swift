import ArgumentParser
import Foundation
import InnerQ

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Make a page of results: plots, tables and verdicts in one file.",
        discussion: """
            A page that opens from disk, of everything that was measured of a model or of several:
              innerq report smollm2.jsonl gsm8k.jsonl qwen.jsonl -o report.html

            The main plot alone, as a picture for a document; the figures for a script:
              innerq report smollm2.jsonl --plot quality.svg
              innerq report smollm2.jsonl --json

            Files of the same model add up; what two of them measured alike counts once.
            """)

    @Argument(help: ArgumentHelp("What compare and evaluate have written.", valueName: "file"))
    var results: [String]

    @Option(
        name: [.customShort("o"), .customLong("output")],
        help: ArgumentHelp("The page to write.", valueName: "file.html"))
    var page: String?

    @Option(
        help: ArgumentHelp(
            "Quality against bits of the first model, as a picture.", valueName: "file.svg"))
    var plot: String?

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let files = try results.map { try ResultFile.read($0) }
        let summaries = ModelSummary.make(of: files)
        guard let first = summaries.first else {
            throw ResultError.nothingToShow(
                "\(results.joined(separator: ", ")): no results; they are what innerq compare -o and innerq evaluate -o write"
            )
        }
        if let page {
            try write(ReportPage(summaries).html, to: page)
            Console.say("\(page): \(summaries.map(\.model.name).joined(separator: ", "))")
        }
        if let plot {
            try write(ReportPage.plotSVG(of: first, theme: .light), to: plot)
            Console.say("\(plot): \(first.model.name)")
        }
        if output.json { return try Output.json(summaries) }
        guard page == nil, plot == nil else { return }
        for summary in summaries {
            try Output.line(summary.model.name)
            try SummaryTable.write(summary)
        }
    }

    private func write(_ text: String, to path: String) throws {
        do {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw ResultError.unwritable(path: path, reason: Failure.text(of: error))
        }
    }
}
