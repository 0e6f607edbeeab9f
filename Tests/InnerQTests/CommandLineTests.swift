import Foundation
import InnerQ
import Testing

/// The tool as a user runs it, on a random model.
@Suite(.enabled(if: CommandLineRun.binary != nil, "innerq is not built"))
struct CommandLineTests {
    let model = ["--model", CommandLineRun.model]
    static let commands = [
        "generate", "chat", "perplexity", "plan", "inspect", "formats", "pull",
        "calibrate", "compare", "evaluate", "report", "advise",
    ]

    // MARK: - Usage

    @Test func helpTeachesByExamples() throws {
        let help = try CommandLineRun(["--help"])
        #expect(help.code == 0)
        for command in Self.commands {
            #expect(help.output.contains("  \(command)"))
            let own = try CommandLineRun([command, "--help"])
            #expect(own.code == 0)
            #expect(own.output.contains("innerq \(command)"), "an example of \(command)")
            #expect(own.output.contains("--json"))
        }
        for command in ["bench decode", "bench attention", "verify kernels", "verify logits"] {
            let own = try CommandLineRun(
                command.split(separator: " ").map(String.init) + ["--help"])
            #expect(own.output.contains("innerq \(command)"), "an example of \(command)")
            #expect(own.output.contains("--json"))
        }
    }

    @Test(arguments: [
        ["nonsense"], ["generate", "--tempreature", "1"], ["generate", "a", "--file", "b"],
        ["generate", "a", "--temperature=-1"], ["generate", "a", "--top-p", "0"],
        ["generate", "a", "--threads", "0"], ["generate", "a", "--system", "b"],
        ["generate", "a", "--chat", "--raw"], ["generate", "a", "--max-tokens=-1"],
        ["perplexity"], ["perplexity", "--file", "f", "--offsets", "1,x"],
        ["perplexity", "--file", "f", "--offsets", "1", "--windows", "2"],
        ["plan", "--memory", "lots"], ["plan", "--batch", "0"], ["pull"],
        ["calibrate", "-o", "f"], ["calibrate", "--text", "f"],
        ["calibrate", "--text", "f", "-o", "f", "--bits", "5"],
        ["calibrate", "--text", "f", "-o", "f", "--outliers", "0.5"],
        ["calibrate", "--text", "f", "-o", "f", "--outliers", "x"],
        ["calibrate", "--text", "f", "-o", "f", "--weights", "mine"],
        ["compare", "--suite", "slow"], ["compare", "--measures", "text,beauty"],
        ["compare", "--windows", "0"], ["evaluate"], ["evaluate", "gsm8k", "--samples", "0"],
        ["evaluate", "passkey", "--depths", "50,101"], ["report"], ["advise", "--sample", "10"],
        ["advise", "--memory", "lots"],
        ["bench", "attention", "--heads", "5", "--kv-heads", "2"],
        ["bench", "attention", "--batch", "65"], ["bench", "attention", "--lengths", "many"],
        ["bench", "attention", "--head-size", "100"], ["verify", "--device", "tpu"],
    ])
    func wrongUsageIsExitCode64(arguments: [String]) throws {
        let run = try CommandLineRun(arguments)
        #expect(run.code == 64)
        #expect(run.output.isEmpty)
        #expect(run.errors.contains("Usage:"))
    }

    @Test func failuresSayWhatToDo() throws {
        func fails(_ arguments: [String], saying text: String) throws {
            let run = try CommandLineRun(
                arguments, environment: ["XDG_CACHE_HOME": "/tmp/innerq-none"])
            #expect(run.code == 1)
            #expect(run.output.isEmpty)
            #expect(run.errors.hasPrefix("innerq: "))
            #expect(run.errors.contains(text), "\(run.errors)")
        }
        try fails(["generate", "a"], saying: "innerq pull smollm2-135m")
        try fails(["inspect", "smollm2-135n"], saying: "smollm2-135m")
        try fails(["inspect", "/nowhere/at/all.gguf"], saying: "no file")
        try fails(["generate", "a", "--cache", "q5"] + model, saying: "innerq-base")
        try fails(["generate", "--file", "/nowhere"] + model, saying: "no such file")
        try fails(["generate", "a", "--resume", "/nowhere"] + model, saying: "no such file")
        try fails(["generate", ""] + model, saying: "prompt has no tokens")
        let long = String(repeating: "ab", count: 200)
        try fails(["generate", long] + model, saying: "context of 256")
        try fails(["perplexity", "--file", "/nowhere"] + model, saying: "/nowhere")
        try fails(["verify", "--vectors", "/nowhere"], saying: "/nowhere")
        try fails(["calibrate", "--text", "/nowhere", "-o", "f"] + model, saying: "no such file")
        try fails(["compare", "--file", "/nowhere"] + model, saying: "/nowhere")
        try fails(["evaluate", "trivia"] + model, saying: "gsm8k")
        try fails(["evaluate", "gsm8k"] + model, saying: "needs a file")
        try fails(["evaluate", "gsm8k", "--file", "/nowhere"] + model, saying: "/nowhere")
        try fails(["evaluate", "humaneval", "--file", "/nowhere"] + model, saying: "--run-code")
        try fails(["report", "/nowhere", "-o", "page.html"], saying: "/nowhere")
        try fails(["advise", "--context", "257"] + model, saying: "256")
        try fails(["pull", "gpt-5"], saying: "smollm2-135m")
    }

    // MARK: - Generating

    @Test func generateWritesTextAndStatisticsApart() throws {
        let arguments =
            ["generate", "Once upon", "--temperature", "0", "--max-tokens", "12", "--ignore-end"]
            + model
        let run = try CommandLineRun(arguments)
        #expect(run.code == 0)
        #expect(run.output.hasSuffix("\n"))
        for word in ["prompt", "generated", "12 tokens", "cache", "bits an element"] {
            #expect(run.errors.contains(word), "\(run.errors)")
        }
        // The same prompt from standard input, from - and from a file; a newline at the end is left out.
        let file = try CommandLineRun.temporaryFile("Once upon\n")
        let rest = Array(arguments.dropFirst(2))
        for (source, input) in [([], "Once upon\n"), (["-"], "Once upon"), (["--file", file], "")] {
            let same = try CommandLineRun(["generate"] + source + rest, input: input)
            #expect(same.output == run.output)
        }
    }

    @Test func generateReportsInJSON() throws {
        let run = try CommandLineRun(
            ["generate", "Once upon", "--seed", "3", "--max-tokens", "9", "--ignore-end", "--json"]
                + model)
        #expect(run.code == 0)
        #expect(run.errors.isEmpty)
        let report = try run.object()
        #expect(report["cache"] as? String == "innerq-base")
        #expect((report["tokens"] as? [Int])?.count == 9)
        #expect(report["text"] is String)
        let statistics = try #require(report["statistics"] as? [String: Any])
        #expect(statistics["promptTokens"] as? Int == 9)
        #expect(statistics["generatedTokens"] as? Int == 9)
        #expect(statistics["stopReason"] as? String == "maxTokens")
        let planned = try CachePolicy.innerQBase.byteCount(
            shape: Checkpoint.open(path: CommandLineRun.model).configuration.cacheShape, tokens: 17)
        #expect(statistics["cacheBytes"] as? Int == planned.total)
        for key in ["prefillTokensPerSecond", "decodeTokensPerSecond", "bitsPerElement"] {
            #expect(statistics[key] is Double)
        }
    }

    @Test func aSavedRunGoesOn() throws {
        let path = try CommandLineRun.temporaryFile()
        defer { try? FileManager.default.removeItem(atPath: path) }
        func tokens(_ arguments: [String]) throws -> [Int] {
            let run = try CommandLineRun(
                ["generate", "--ignore-end", "--json", "--cache", "kivi-2"] + arguments + model)
            return try #require(run.object()["tokens"] as? [Int])
        }
        let whole = try tokens(["Once", "--seed", "3", "--max-tokens", "200"])
        let first = try tokens(["Once", "--seed", "3", "--max-tokens", "180", "--save", path])
        let rest = try tokens(["--resume", path, "--max-tokens", "20"])
        #expect(first + rest == whole)
        let other = try CommandLineRun(["generate", "--resume", path, "--cache", "q4"] + model)
        #expect(other.code == 1)
        #expect(other.output.isEmpty)
    }

    @Test func chatKeepsItsCacheBetweenLines() throws {
        let run = try CommandLineRun(
            ["chat", "--json", "--temperature", "0", "--max-tokens", "8", "--ignore-end"] + model,
            input: "Hello\n\nAnd\\\nnow?\n/stats\n/exit\nnever\n")
        #expect(run.code == 0, "\(run.errors)")
        let turns = try run.output.split(separator: "\n").map {
            try #require(
                JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        #expect(turns.map { $0["message"] as? String } == ["Hello", "And\nnow?"])
        let statistics = try turns.map { try #require($0["statistics"] as? [String: Any]) }
        let cached = statistics.compactMap { $0["cachedTokens"] as? Int }
        let read = statistics.compactMap { $0["promptTokens"] as? Int }
        #expect(cached.count == 2 && read.count == 2)
        // The second turn read only what was new: 7 of the 8 tokens of the reply had run.
        #expect(cached[1] == cached[0] + read[1] + 7)
        #expect(run.errors.contains("tokens/s"))
        let wrong = try CommandLineRun(["chat"] + model, input: "/nonsense\n")
        #expect(wrong.code == 1)
    }

    // MARK: - Measuring and looking

    @Test func perplexityComparesCaches() throws {
        let text = (0..<60).map { "Sentence number \($0 * 7919 % 101). " }.joined()
        let file = try CommandLineRun.temporaryFile(text)
        defer { try? FileManager.default.removeItem(atPath: file) }
        let arguments =
            [
                "perplexity", "--file", file, "--context", "250", "--prefill", "20", "--offsets",
                "0,100",
            ]
            + ["--cache", "float16", "--cache", "kivi-2"] + model
        let report = try CommandLineRun(arguments + ["--json"]).object()
        let results = try #require(report["results"] as? [[String: Any]])
        #expect(results.map { $0["cache"] as? String } == ["float16", "kivi-2"])
        #expect(results.allSatisfy { $0["scoredTokens"] as? Int == 460 })
        #expect(results[0]["comparison"] == nil)
        let comparison = try #require(results[1]["comparison"] as? [String: Any])
        let values = results.compactMap { $0["perplexity"] as? Double }
        let increase = try #require(comparison["relativeIncrease"] as? Double)
        #expect(abs(values[1] / values[0] - 1 - increase) < 1e-6)
        #expect(results[0]["losses"] == nil)
        let table = try CommandLineRun(arguments)
        #expect(table.output.contains("against float16"))
        #expect(table.code == 0)
    }

    @Test func calibrateWritesAFileForTheModel() throws {
        let text = (0..<60).map { "Sentence number \($0 * 7919 % 101). " }.joined()
        let file = try CommandLineRun.temporaryFile(text)
        let output = try CommandLineRun.temporaryFile()
        defer {
            for path in [file, output, output + ".partial"] {
                try? FileManager.default.removeItem(atPath: path)
            }
        }
        let arguments =
            ["calibrate", "--text", file, "-o", output, "--samples", "4", "--length", "100"] + model
        let short = try CommandLineRun(arguments + ["--samples", "100"])
        #expect(short.code == 1)
        #expect(short.errors.contains("Give a longer text"))
        let run = try CommandLineRun(arguments + ["--bits", "3,2", "--outliers", "0.01", "--json"])
        #expect(run.code == 0, "\(run.errors)")
        let report = try run.object()
        let result = try #require(report["result"] as? [String: Any])
        #expect(result["resumedSamples"] as? Int == 0)
        #expect((result["perplexity"] as? Double ?? 0) > 1)
        #expect((result["spoolBytes"] as? Int ?? 0) > 4 * 100 * 128 * 8 * 2)
        // Keys and values, two kinds of bits, two layers.
        #expect((result["fits"] as? [Any])?.count == 8)
        let calibration = try CacheCalibration.read(output)
        let checkpoint = try Checkpoint.open(path: CommandLineRun.model)
        try calibration.check(
            fingerprint: checkpoint.fingerprint(), shape: checkpoint.configuration.cacheShape)
        #expect(calibration.source.length == 100)
        let table = try CommandLineRun(arguments + ["--memory", "1GiB"])
        #expect(table.code == 0)
        #expect(table.output.contains("keys, 4 bits, per channel, 1 % outliers, before RoPE"))
        #expect(table.errors.contains("perplexity"))
    }

    @Test func planCountsWhatIsAllocated() throws {
        let shape = try Checkpoint.open(path: CommandLineRun.model).configuration.cacheShape
        let run = try CommandLineRun(
            ["plan", "--context", "1000", "--batch", "3", "--memory", "150KiB", "--json"] + model)
        let report = try run.object()
        let plans = try #require(report["plans"] as? [[String: Any]])
        #expect(plans.count == CachePolicy.presets.count)
        for (plan, policy) in zip(plans, CachePolicy.presets) {
            #expect(plan["cache"] as? String == policy.name)
            let count = policy.byteCount(shape: shape, tokens: 1000)
            #expect(plan["totalBytes"] as? Int == 3 * count.total)
            let layers = try #require(plan["perLayer"] as? [[String: Int]])
            #expect(layers.compactMap { $0["total"] }.reduce(0, +) == 3 * count.total)
            #expect(
                plan["longestContext"] as? Int
                    == policy.longestContext(shape: shape, bytes: 150 * 1024 / 3, limit: 256))
        }
        let text = try CommandLineRun(["plan", "--cache", "innerq-base", "--layers"] + model).output
        #expect(text.contains("layers 0-1"))
        // Sizes in any spelling.
        for (size, bytes) in [("1.5KB", 1500), ("2k", 2048), ("1MiB", 1 << 20), ("12345", 12345)] {
            let memory = try CommandLineRun(["plan", "--memory", size, "--json"] + model).object()
            #expect(memory["memory"] as? Int == bytes)
        }
    }

    @Test func inspectShowsTheModel() throws {
        let report = try CommandLineRun(["inspect", CommandLineRun.model, "--json", "--tensors"])
            .object()
        let configuration = try #require(report["configuration"] as? [String: Any])
        #expect(configuration["architecture"] as? String == "llama")
        #expect(configuration["headSize"] as? Int == 64)
        #expect(report["chatTemplate"] as? String == "chatml")
        #expect((report["fingerprint"] as? String)?.count == 64)
        #expect((report["tensors"] as? [Any])?.count == 21)
        let text = try CommandLineRun(["inspect", CommandLineRun.model]).output
        #expect(text.contains("2 KV heads of 64"))
    }

    // MARK: - The GPU

    /// With or without a driver; where there is a GPU it is hidden.
    @Test(arguments: [["verify"], ["bench", "attention"]])
    func withoutAGPUOneSentenceSaysSo(command: [String]) throws {
        let run = try CommandLineRun(
            command + ["--device", "cuda"], environment: ["CUDA_VISIBLE_DEVICES": ""])
        #expect(run.code == 1)
        #expect(run.output.isEmpty)
        #expect(run.errors.hasPrefix("innerq: "))
        #expect(run.errors.contains("use the CPU"))
        #expect(run.errors.split(separator: "\n").count == 1, "\(run.errors)")
    }

    @Test func attentionIsMeasuredOnTheCPU() throws {
        let report = try CommandLineRun([
            "bench", "attention", "--lengths", "0,64,700", "--heads", "4", "--kv-heads", "2",
            "--head-size", "64", "--batch", "1,3", "--repeats", "2", "--threads", "1",
            "--cache", "float16", "--cache", "innerq-small", "--json",
        ]).object()
        let rows = try #require(report["rows"] as? [[String: Any]])
        #expect(rows.count == 3 * 2 * 2)
        #expect((report["probe"] as? Double ?? 0) > 0)
        for row in rows {
            #expect((row["microseconds"] as? Double ?? 0) > 0)
            #expect((row["speedUp"] as? Double ?? 0) > 0)
        }
        let longest = rows.filter { $0["tokens"] as? Int == 700 && $0["batch"] as? Int == 1 }
        let bytes = longest.compactMap { $0["bytes"] as? Int }
        // 22 tiles of float16; 17 of 896 and 640 bytes, and 5 of float16; queries and results.
        #expect(bytes == [2 * 22 * 8192 + 2048, 2 * (17 * 1536 + 5 * 8192) + 2048])
    }

    @Test func formatsListsEveryPresetAndPrintsOneAsAFile() throws {
        let report = try CommandLineRun(["formats", "--json"]).object()
        let presets = try #require(report["presets"] as? [[String: Any]])
        #expect(presets.map { $0["name"] as? String } == CachePolicy.presets.map(\.name))
        let kernels = try #require(report["kernels"] as? [[String: Any]])
        #expect(kernels.filter { $0["isUsed"] as? Bool == true }.count == 1)
        for policy in CachePolicy.presets {
            let json = try CommandLineRun(["formats", "--preset", policy.name]).output
            #expect(try CachePolicy.decode(Data(json.utf8)) == policy)
        }
    }

    @Test func aPolicyFileIsACache() throws {
        let json = #"{"name": "mine", "keys": {"bits": 4, "axis": "channel"}, "values": "float16"}"#
        let path = try CommandLineRun.temporaryFile(json) + ".json"
        try json.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let run = try CommandLineRun(
            ["generate", "Hi", "--cache", path, "--max-tokens", "3", "--json"] + model)
        #expect(try run.object()["cache"] as? String == "mine")
        try #"{"keys": {"bits": 7, "axis": "channel"}, "values": "float16"}"#
            .write(toFile: path, atomically: true, encoding: .utf8)
        let bad = try CommandLineRun(["plan", "--cache", path] + model)
        #expect(bad.code == 1)
        #expect(bad.errors.contains("7 bits"))
    }

    @Test func benchMeasuresEveryDepth() throws {
        let report = try CommandLineRun(
            ["bench", "decode", "--depths", "0,100", "--tokens", "4", "--prefill", "16"]
                + ["--repeats", "2", "--cache", "innerq-base", "--json", "--threads", "1"] + model
        ).object()
        let results = try #require(report["results"] as? [[String: Any]])
        #expect(results.map { $0["depth"] as? Int } == [0, 100])
        for result in results {
            let decode = try #require(result["decode"] as? [String: Any])
            #expect((decode["all"] as? [Double])?.count == 2)
            #expect((decode["median"] as? Double ?? 0) > 0)
        }
    }

    @Test func pullListsItsModels() throws {
        let run = try CommandLineRun(
            ["pull", "--list", "--json"], environment: ["XDG_CACHE_HOME": "/tmp/innerq-none"])
        let list = try #require(
            JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [[String: Any]])
        #expect(list.map { $0["name"] as? String } == ModelCatalog.entries.map(\.name))
        #expect(list.allSatisfy { $0["isInstalled"] as? Bool == false })
    }
}
