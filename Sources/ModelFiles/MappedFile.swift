#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A whole file mapped into memory for reading; unmapped when the last reference goes.
///
/// The bytes are paged in on first touch, so opening costs the same for any size. As with every memory map, a file
/// that another process shortens while it is mapped makes the missing pages unreadable: replace model files by
/// renaming a new one over them, never in place.
public final class MappedFile: Sendable {
    public let path: String
    /// Bytes in the file; never 0.
    public let count: Int
    // Written once in `init`, read-only memory afterwards.
    nonisolated(unsafe) private let base: UnsafeMutableRawPointer
    private let isMapping: Bool

    /// Maps the file at `path`; symbolic links are followed.
    ///
    /// - Throws: ``ModelFileError`` with reason `missing`, `isDirectory`, `notReadable` or `empty`.
    public init(path: String) throws(ModelFileError) {
        // O_NONBLOCK: opening a named pipe must not wait for a writer; it has no effect on a regular file.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let code = errno
            if code == ENOENT || code == ENOTDIR {
                throw ModelFileError(.missing, path: path, "There is no such file. Check the path.")
            }
            throw ModelFileError(
                .notReadable, path: path,
                "The file cannot be opened: \(Self.text(of: code)). Check its permissions.")
        }
        defer { close(descriptor) }

        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let code = errno
            throw ModelFileError(
                .notReadable, path: path, "The file's size cannot be read: \(Self.text(of: code)).")
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: break
        case S_IFDIR:
            throw ModelFileError(
                .isDirectory, path: path, "This is a directory. Give the path of a file in it.")
        default:
            throw ModelFileError(
                .notReadable, path: path,
                "This is not a regular file. Write the data to a file first; pipes cannot be mapped."
            )
        }
        guard status.st_size > 0, let size = Int(exactly: status.st_size) else {
            throw ModelFileError(.empty, path: path, "The file is empty. Download it again.")
        }
        guard let mapping = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0),
            mapping != MAP_FAILED
        else {
            let code = errno
            throw ModelFileError(
                .notReadable, path: path,
                "The file's \(size) bytes cannot be mapped: \(Self.text(of: code)).")
        }
        self.path = path
        count = size
        base = mapping
        isMapping = true
    }

    /// A copy of bytes that are already in memory, read like a file of that name; for tests and fuzzing.
    ///
    /// - Throws: ``ModelFileError`` with reason `empty`.
    public init(copying bytes: UnsafeRawBufferPointer, path: String) throws(ModelFileError) {
        guard !bytes.isEmpty else {
            throw ModelFileError(.empty, path: path, "The file is empty. Download it again.")
        }
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
        copy.copyMemory(from: bytes)
        self.path = path
        count = bytes.count
        base = copy.baseAddress!
        isMapping = false
    }

    deinit {
        if isMapping { munmap(base, count) } else { base.deallocate() }
    }

    /// The file's bytes. Valid while this object is referenced: a caller that keeps only the pointer must also keep
    /// the object (`withExtendedLifetime`).
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Says that `part` of ``bytes`` will not be read soon: its memory is given back, and read from the file again where it is
    /// touched. Bytes that are not mapped stay.
    public func release(_ part: UnsafeRawBufferPointer) {
        guard isMapping, let start = part.baseAddress, part.count > 0 else { return }
        precondition(
            start >= UnsafeRawPointer(base) && start + part.count <= UnsafeRawPointer(base) + count,
            "the bytes are of another file")
        // Whole pages only: neighbours may be in use.
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let first = UnsafeMutableRawPointer(mutating: start).alignedUp(toMultipleOf: page)
        let end = UnsafeMutableRawPointer(mutating: start + part.count)
            .alignedDown(toMultipleOf: page)
        // Clean pages of a private mapping: nothing is lost.
        if first < end { madvise(first, end - first, MADV_DONTNEED) }
    }

    private static func text(of code: Int32) -> String { String(cString: strerror(code)) }
}
