import ArgumentParser
import Foundation

/// Where a prompt comes from: the argument, `--file`, or standard input.
enum PromptInput {
    /// The prompt's bytes, which need not be UTF-8, without one newline at the end of a file or of standard input.
    ///
    /// - Returns: `nil` if there is none: no argument, no file, and standard input is a terminal or not wanted.
    static func read(
        argument: String?, file: String?, usesStandardInput: Bool
    ) throws -> [UInt8]? {
        if argument != nil, file != nil {
            throw ValidationError("Give either a prompt or --file, not both.")
        }
        if let file, file != "-" { return try withoutNewline(contents(of: file)) }
        if let argument, argument != "-" { return Array(argument.utf8) }
        let isAsked = argument == "-" || file == "-"
        guard isAsked || (usesStandardInput && isatty(STDIN_FILENO) == 0) else { return nil }
        do {
            return withoutNewline(try FileHandle.standardInput.readToEnd() ?? Data())
        } catch {
            throw Failure("cannot read standard input: \(Failure.text(of: error))")
        }
    }

    static func contents(of path: String) throws -> Data {
        do {
            return try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            var isDirectory: ObjCBool = false
            let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
            let reason =
                !exists
                ? "there is no such file"
                : isDirectory.boolValue ? "it is a folder" : Failure.text(of: error)
            throw Failure("cannot read \(path): \(reason).")
        }
    }

    private static func withoutNewline(_ data: Data) -> [UInt8] {
        var bytes = Array(data)
        if bytes.last == 0x0A { bytes.removeLast() }
        if bytes.last == 0x0D { bytes.removeLast() }
        return bytes
    }
}
