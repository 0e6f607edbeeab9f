import Foundation
import Testing

/// compare, evaluate and report on the random model of 256 tokens.
@Suite(.enabled(if: CommandLineRun.binary != nil, "needs the built innerq"))
struct EvaluationCommandTests {
    private let model = ["--model", CommandLineRun.model, "--threads", "1"]

    /// A folder of a test's own.
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("innerq-evaluation-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path)
    }

    private func write(_ text: String, _ path: String) throws -> String {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    @Test func compareFillsAFileThatAReportShows() throws {
        try withFolder { folder in
            let text = (0..<60).map { "Sentence number \($0 * 7919 % 101). " }.joined()
            let file = try write(text, folder + "/text.txt")
            let results = folder + "/results.jsonl"
            let arguments =
                ["compare", "--file", file, "--window", "200", "--caches", "q4,kivi-2-sink"]
                + ["--measures", "memory,text,layers", "--control", "-o", results] + model
            let first = try CommandLineRun(arguments + ["--json"])
            #expect(first.code == 0, "\(first.errors)")
            let caches = try #require(try first.object()["caches"] as? [[String: Any]])
            #expect(
                caches.map { $0["cache"] as? String }
                    == ["float16", "q4", "kivi-2-sink", "kivi-2-sink, codes shuffled"])
            for cache in caches.dropFirst() {
                let measured = try #require(cache["text"] as? [String: Any])
                #expect(measured["divergence"] != nil)
                #expect(measured["agreement"] != nil)
                #expect((cache["layers"] as? [Any])?.isEmpty == false)
                #expect((cache["memory"] as? [Any])?.count == 3)
                #expect((cache["verdict"] as? String)?.isEmpty == false)
            }

            // Nothing is measured again.
            let written = try Data(contentsOf: URL(fileURLWithPath: results))
            let second = try CommandLineRun(arguments)
            #expect(second.code == 0)
            #expect(second.errors.contains("going on with"))
            #expect(second.output.contains("same choice"))
            #expect(try Data(contentsOf: URL(fileURLWithPath: results)) == written)

            // A run cut short goes on to the same figures.
            let lines = written.split(separator: 0x0A, omittingEmptySubsequences: false)
            let cut = lines[..<12].joined(separator: [0x0A]) + [0x0A] + lines[12].prefix(20)
            try Data(cut).write(to: URL(fileURLWithPath: results))
            let resumed = try CommandLineRun(arguments + ["--json"])
            #expect(try Self.withoutTimes(resumed) == Self.withoutTimes(first))

            // Another text is another run.
            let other = try write(text + "More.", folder + "/other.txt")
            let refused = try CommandLineRun(
                arguments.map { $0 == file ? other : $0 })
            #expect(refused.code == 1)
            #expect(refused.errors.contains("another run"))

            let page = folder + "/report.html"
            let plot = folder + "/plot.svg"
            let report = try CommandLineRun(["report", results, "-o", page, "--plot", plot])
            #expect(report.code == 0, "\(report.errors)")
            let html = try String(contentsOfFile: page, encoding: .utf8)
            #expect(html.contains("kivi-2-sink") && html.contains("</html>"))
            #expect(try String(contentsOfFile: plot, encoding: .utf8).contains("<svg"))
            let table = try CommandLineRun(["report", results])
            #expect(table.output.contains("same choice"))
            #expect(try CommandLineRun(["report", file]).code == 1)
        }
    }

    private static func withoutTimes(_ run: CommandLineRun) throws -> String {
        var object = try run.object()
        object["runs"] = nil
        let data = try JSONSerialization.data(withJSONObject: object, options: .sortedKeys)
        return String(decoding: data, as: UTF8.self)
    }

    @Test func evaluateNamesBadLines() throws {
        try withFolder { folder in
            let lines = [
                #"{"query": "Question: a?", "choices": ["b", "c"], "gold": 0}"#,
                #"{"query": "Question: d?", "choices": ["e", "f"], "gold": 2}"#,
                #"{"query": "Question: g?", "choices": ["h", "i"], "gold": 1}"#,
            ]
            let file = try write(lines.joined(separator: "\n") + "\n", folder + "/letters.jsonl")
            let arguments = ["evaluate", "choice", "--file", file, "--caches", "q4"] + model
            let stopped = try CommandLineRun(arguments)
            #expect(stopped.code == 1)
            #expect(stopped.errors.contains("line 2"))
            let results = folder + "/results.jsonl"
            let skipped = try CommandLineRun(
                arguments + ["--bad-lines", "skip", "-o", results, "--json"])
            #expect(skipped.code == 0, "\(skipped.errors)")
            #expect(skipped.errors.contains("line 2"))
            let caches = try #require(try skipped.object()["caches"] as? [[String: Any]])
            for cache in caches {
                let tasks = try #require(cache["tasks"] as? [[String: Any]])
                #expect(tasks.map { $0["task"] as? String } == ["letters", "letters"])
                let score = try #require(tasks[0]["score"] as? [String: Any])
                #expect(score["count"] as? Int == 2)
            }
            let records = try String(contentsOfFile: results, encoding: .utf8)
            #expect(records.split(separator: "\n").count { $0.contains(#""kind":"sample""#) } == 4)
        }
    }

    @Test func evaluateAsksAndJudges() throws {
        try withFolder { folder in
            let file = try write(
                #"{"question": "1 + 1?", "answer": "It is 2.\n#### 2"}"# + "\n",
                folder + "/sums.jsonl")
            let run = try CommandLineRun(
                [
                    "evaluate", "gsm8k", "--file", file, "--shots", "0", "--max-tokens", "8",
                    "--caches", "q4",
                ] + model)
            #expect(run.code == 0, "\(run.errors)")
            #expect(run.output.contains("flexible"))
            #expect(run.output.contains("strict"))
            let list = try CommandLineRun(["evaluate", "--list"]).output
            for task in ["gsm8k", "math500", "humaneval", "mbpp", "longbench", "ruler", "passkey"] {
                #expect(list.contains(task))
            }
        }
    }
}
