internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A file read and written at places, locked for this process. Closed, and the lock given back, with the object.
final class WorkFile {
    let path: String
    private let descriptor: Int32

    /// Opens or makes the file.
    init(_ path: String) throws(CalibrationError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw .fileSystem(path: path, reason: String(cString: strerror(errno)))
        }
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            if code == EINTR { continue }
            close(descriptor)
            if code == EWOULDBLOCK { throw .inUse(path: path) }
            throw .fileSystem(path: path, reason: String(cString: strerror(code)))
        }
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    func byteCount() throws(CalibrationError) -> Int {
        let end = lseek(descriptor, 0, SEEK_END)
        guard end >= 0 else { throw failure(errno) }
        return Int(end)
    }

    /// Cuts the file.
    func truncate(to byteCount: Int) throws(CalibrationError) {
        guard ftruncate(descriptor, off_t(byteCount)) == 0 else { throw failure(errno) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(CalibrationError) {
        var rest = bytes
        var place = offset
        while !rest.isEmpty {
            let written = pwrite(descriptor, rest.baseAddress, rest.count, off_t(place))
            if written < 0 {
                if errno == EINTR { continue }
                throw failure(errno, needed: rest.count)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            place += written
        }
    }

    /// Fills `bytes`; `false` if the file ends before.
    func read(
        _ bytes: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(CalibrationError) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = pread(
                descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset + done))
            if count < 0 {
                if errno == EINTR { continue }
                throw failure(errno)
            }
            if count == 0 { return false }
            done += count
        }
        return true
    }

    /// Returns when the bytes are on the disk.
    func synchronize() throws(CalibrationError) {
        guard fsync(descriptor) == 0 else { throw failure(errno) }
    }

    /// Takes the file's name away.
    func remove() { unlink(path) }

    /// Bytes free for us where the file is; `nil` if the system does not say.
    func freeBytes() -> Int? {
        let folder = (path as NSString).deletingLastPathComponent
        let attributes = try? FileManager.default.attributesOfFileSystem(
            forPath: folder.isEmpty ? "." : folder)
        return (attributes?[.systemFreeSize] as? NSNumber)?.intValue
    }

    private func failure(_ code: Int32, needed: Int = 0) -> CalibrationError {
        if code == ENOSPC || code == EDQUOT || code == EFBIG {
            return .diskFull(path: path, needed: needed, available: freeBytes() ?? 0)
        }
        return .fileSystem(path: path, reason: String(cString: strerror(code)))
    }
}
