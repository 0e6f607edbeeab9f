import Foundation
import Testing

/// Runs the built `innerq`, which lies beside the tests.
struct CommandLineRun {
    let code: Int32
    let output: String
    let errors: String

    static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()

    /// `nil` if the tool was not built.
    static let binary: String? = {
        let build = tests.deletingLastPathComponent().appendingPathComponent(".build")
        let candidates: [String?] = [
            ProcessInfo.processInfo.environment["INNERQ_BINARY"],
            URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
                .appendingPathComponent("innerq").path,
            build.appendingPathComponent("release/innerq").path,
            build.appendingPathComponent("debug/innerq").path,
        ]
        return candidates.compactMap { $0 }.first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }()

    /// A folder with a random model of 256 tokens and a byte-level tokenizer.
    static let model: String = {
        let files = FileManager.default
        let folder = files.temporaryDirectory.appendingPathComponent(
            "innerq-tiny-\(UUID().uuidString)")
        let fixtures = tests.appendingPathComponent("TransformerTests/Fixtures")
        // A test without its fixtures cannot go on.
        try! files.copyItem(at: fixtures.appendingPathComponent("llama3-bf16-shards"), to: folder)
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            try! files.copyItem(
                at: fixtures.appendingPathComponent("byte-tokenizer/\(name)"),
                to: folder.appendingPathComponent(name))
        }
        return folder.path
    }()

    static func temporaryFile(_ contents: String? = nil) throws -> String {
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("innerq-cli-\(UUID().uuidString)").path
        if let contents { try contents.write(toFile: path, atomically: true, encoding: .utf8) }
        return path
    }

    init(
        _ arguments: [String], input: String = "", environment: [String: String] = [:]
    ) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Self.binary))
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        // Files, not pipes: nothing can block.
        let paths = try [input, "", ""].map { try Self.temporaryFile($0) }
        defer { for path in paths { try? FileManager.default.removeItem(atPath: path) } }
        process.standardInput = FileHandle(forReadingAtPath: paths[0])
        process.standardOutput = FileHandle(forWritingAtPath: paths[1])
        process.standardError = FileHandle(forWritingAtPath: paths[2])
        try process.run()
        process.waitUntilExit()
        let signalled = process.terminationReason == .uncaughtSignal
        code = signalled ? 128 + process.terminationStatus : process.terminationStatus
        func text(_ path: String) throws -> String {
            String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
        }
        output = try text(paths[1])
        errors = try text(paths[2])
    }

    /// Standard output as a JSON object.
    func object() throws -> [String: Any] {
        try #require(
            JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any], "\(output)")
    }
}
