import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file being written at its end. Unlike `FileHandle` it tells a full disk from other failures.
final class OutputFile: Sendable {
    private let descriptor: Int32
    private let count: Mutex<Int64>
    let path: String

    var byteCount: Int64 { count.withLock { $0 } }

    /// Opens or makes the file and cuts it to `byteCount` bytes; it must have as many.
    init(path: String, keeping byteCount: Int64) throws(ModelStoreError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .failure(path, "write", errno) }
        guard ftruncate(descriptor, off_t(byteCount)) == 0,
            lseek(descriptor, 0, SEEK_END) == off_t(byteCount)
        else {
            let code = errno
            close(descriptor)
            throw .failure(path, "write", code)
        }
        self.path = path
        self.descriptor = descriptor
        count = Mutex(byteCount)
    }

    deinit { close(descriptor) }

    /// Writes all the bytes and returns the file's new size.
    @discardableResult
    func append(_ bytes: UnsafeRawBufferPointer) throws(ModelStoreError) -> Int64 {
        var rest = bytes
        while !rest.isEmpty {
            let written = write(descriptor, rest.baseAddress, rest.count)
            if written < 0 {
                if errno == EINTR { continue }
                throw .failure(path, "write", errno, needed: Int64(rest.count))
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
        return count.withLock { count in
            count += Int64(bytes.count)
            return count
        }
    }

    /// Returns when the bytes are on the disk and not only on their way.
    func synchronize() throws(ModelStoreError) {
        guard fsync(descriptor) == 0 else { throw .failure(path, "write", errno) }
    }
}

/// A lock that one process or task at a time holds, and that ends with its holder.
final class FileLock: Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    /// Takes the lock, or returns `nil` when another holds it.
    static func take(_ path: String) throws(ModelStoreError) -> FileLock? {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw .failure(path, "open", errno) }
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            if code == EINTR { continue }
            close(descriptor)
            if code == EWOULDBLOCK { return nil }
            throw .failure(path, "lock", code)
        }
        return FileLock(descriptor: descriptor)
    }

    /// Gives the lock back. The file stays: to remove it would let two others hold two files of one name.
    func release() { flock(descriptor, LOCK_UN) }

    deinit { close(descriptor) }
}

extension ModelStoreError {
    /// The error of a system call on `path`.
    static func failure(
        _ path: String, _ operation: String, _ code: Int32, needed: Int64 = 0
    ) -> ModelStoreError {
        let folder = (path as NSString).deletingLastPathComponent
        if code == ENOSPC || code == EDQUOT {
            return .diskFull(folder: folder, needed: needed, available: freeBytes(at: folder) ?? 0)
        }
        return .fileSystem(
            path: path, operation: operation, detail: String(cString: strerror(code)))
    }

    /// The error of a `FileManager` call.
    static func failure(
        _ path: String, _ operation: String, _ error: any Error
    ) -> ModelStoreError {
        .fileSystem(path: path, operation: operation, detail: error.localizedDescription)
    }

    /// Bytes free for us in the file system that holds `folder`; `nil` if it does not say.
    static func freeBytes(at folder: String) -> Int64? {
        let attributes = try? FileManager.default.attributesOfFileSystem(forPath: folder)
        return (attributes?[.systemFreeSize] as? NSNumber)?.int64Value
    }
}

/// Makes a folder's own entries (a rename in it) durable.
func synchronizeFolder(_ path: String) throws(ModelStoreError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .failure(path, "open", errno) }
    defer { close(descriptor) }
    // Some file systems cannot do this for folders; the rename is then as safe as they make it.
    _ = fsync(descriptor)
}
