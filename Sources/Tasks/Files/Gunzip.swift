import Foundation

/// Unpacks gzip files by running the machine's own `gzip`, so that no compression library has to be linked.
package struct Gunzip: Sendable {
    /// The folders in which `gzip` is looked for.
    var folders: [String]
    /// The most bytes that may come out: a small file can unpack to more than the memory holds.
    var limit: Int

    package init(folders: [String]? = nil, limit: Int = 1 << 30) {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        self.folders =
            folders ?? path.split(separator: ":").map(String.init) + ["/usr/bin", "/bin"]
        self.limit = limit
    }

    /// - Throws: `unreadable` when there is no `gzip`, when it finds the file damaged, or past the limit.
    func contents(of path: String) throws(TaskError) -> [UInt8] {
        guard
            let tool = folders.lazy.map({ $0 + "/gzip" })
                .first(where: { FileManager.default.isExecutableFile(atPath: $0) })
        else {
            throw .unreadable(
                path: path,
                reason:
                    "it is compressed and the program gzip is not installed; install it, or unpack the file"
            )
        }
        do {
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? file.close() }
            return try unpack(file, path: path, tool: tool)
        } catch let error as TaskError {
            throw error
        } catch {
            throw .unreadable(
                path: path, reason: "gzip could not be run: \(error.localizedDescription)")
        }
    }

    private func unpack(_ file: FileHandle, path: String, tool: String) throws -> [UInt8] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: tool)
        process.arguments = ["-dc"]
        process.standardInput = file
        let output = Pipe()
        let messages = Pipe()
        process.standardOutput = output
        process.standardError = messages
        try process.run()

        var bytes: [UInt8] = []
        var isTooLong = false
        while let chunk = try output.fileHandleForReading.read(upToCount: 1 << 20), !chunk.isEmpty {
            if bytes.count + chunk.count > limit {
                isTooLong = true
                process.terminate()
                break
            }
            bytes.append(contentsOf: chunk)
        }
        try output.fileHandleForReading.close()
        // gzip says at most a line: it cannot fill this pipe while its output is read first.
        let said = try messages.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        if isTooLong {
            throw TaskError.unreadable(
                path: path, reason: "it unpacks to more than \(limit) bytes; give a part of it")
        }
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            let why = String(decoding: said, as: UTF8.self)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            throw TaskError.unreadable(
                path: path, reason: "gzip cannot unpack it\(why.isEmpty ? "" : " (\(why))")")
        }
        return bytes
    }
}
