import Foundation
import Reports
import Testing

/// The page in headless Chromium, where that is installed: `Scripts/check-report.py` says what is looked at.
@Suite("The report page in a browser", .serialized)
struct BrowserTests {
    private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Scripts/check-report.py").path

    private static func program(_ name: String) -> String? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map {
            "\($0)/\(name)"
        }
        .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    private static let canRun =
        program("chromium") != nil && program("python3") != nil
        && FileManager.default.fileExists(atPath: script)

    private func check(_ html: String) throws -> (status: Int32, output: String) {
        let path = NSTemporaryDirectory() + "report-\(UUID().uuidString).html"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try html.write(toFile: path, atomically: true, encoding: .utf8)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Self.program("python3")))
        process.arguments = [Self.script, path, "--quick"]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    @Test(
        "Stays whole at every width, theme and with many caches",
        .enabled(if: canRun, "needs python3 and chromium"))
    func manyCaches() throws {
        var caches = SampleRun.caches
        for (index, name) in [
            "innerq-base-centred", "kvquant-nuq3-0.5%-fisher-long-name-of-a-policy",
            "turboquant-3-2", "kivi-4", "my-own-cache", "q4-blocks", "turboquant-2-2", "x",
        ].enumerated() {
            var cache = caches[3 + index % 8]
            cache.name = name
            cache.bits += 0.11 * Double(index % 3)
            cache.increase *= 1.1
            caches.append(cache)
        }
        // Better than float16, as chance has it; and broken beyond the others.
        var odd = Array(SampleRun.caches.prefix(7))
        odd[3].increase = -0.03
        odd[4].increase = -0.01
        odd[6].increase = 842
        let models = [
            (SampleRun.model(), caches),
            (
                SampleRun.model("Qwen2.5-Coder-1.5B", fingerprint: "b"),
                odd
            ),
        ]
        .enumerated().map { SampleRun.records(model: $1.0, caches: $1.1, seed: UInt64($0 + 1)) }
        let result = try check(try ReportPage(ModelSummary.make(of: models)).html)
        #expect(result.status == 0, "\(result.output)")
    }

    @Test(
        "The check finds what it is there for", .enabled(if: canRun, "needs python3 and chromium"))
    func findsFaults() throws {
        let html = try ReportPage([
            SmallRun.summary([
                SmallRun.reference, SmallRun.cache("a"),
                .memory(MemoryRecord(cache: "a", context: 4096, bytes: 77, bitsPerElement: 4)),
            ])
        ]).html
            .replacingOccurrences(of: "default-src &#39;none&#39;", with: "default-src *")
            .replacingOccurrences(
                of: "</header>",
                with:
                    "</header><img src=\"https://example.invalid/a.png\"/><p style=\"width:2000px;color:#ddd\">wide</p>"
            )
        let result = try check(html)
        #expect(result.status == 1)
        for words in ["asks for https://example.invalid/a.png", "scrolls sideways", "contrast of"] {
            #expect(result.output.contains(words), "\(words): \(result.output)")
        }
    }
}
