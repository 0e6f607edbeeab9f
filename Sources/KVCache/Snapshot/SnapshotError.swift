/// Why a saved cache cannot be written or read back. Nothing is changed when one of these is thrown.
public enum SnapshotError: Error, Sendable, Equatable, CustomStringConvertible {
    case cannotRead(path: String, reason: String)
    case cannotWrite(path: String, bytes: Int, reason: String)
    case notASnapshot(path: String)
    case unsupportedVersion(path: String, Int)
    case truncated(path: String, expected: Int, found: Int)
    case damaged(path: String, String)
    case otherModel(path: String)
    case otherPolicy(path: String, saved: String, asked: String)
    case inconsistentCache

    public var description: String {
        switch self {
        case .cannotRead(let path, let reason): return "cannot read \(path): \(reason)"
        case .cannotWrite(let path, let bytes, let reason):
            return
                "cannot save the session to \(path) (\(bytes) bytes): \(reason). Free some space or choose another folder; the session itself is unharmed."
        case .notASnapshot(let path): return "\(path) is not a saved InnerQ session."
        case .unsupportedVersion(let path, let version):
            return
                "\(path) was saved in version \(version) of the format; this build reads version \(CacheSnapshot.version)."
        case .truncated(let path, let expected, let found):
            return
                "\(path) is cut short: \(found) of \(expected) bytes. Copy or save it again; it cannot be repaired."
        case .damaged(let path, let what):
            return "\(path) is damaged (\(what)). Copy or save it again; it cannot be repaired."
        case .otherModel(let path):
            return "\(path) was saved with another model. Load the model that it was saved with."
        case .otherPolicy(let path, let saved, let asked):
            return
                "\(path) holds a '\(saved)' cache, and '\(asked)' was asked. Open it with --cache \(saved), or with the same policy file."
        case .inconsistentCache:
            return "the cache was left half-way by a cancelled pass and cannot be saved."
        }
    }
}
