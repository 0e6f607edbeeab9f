#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A shared library opened at run time. It stays open until the process ends: function pointers into it
/// live in tables that anything may hold.
struct DynamicLibrary: @unchecked Sendable {
    private let handle: UnsafeMutableRawPointer

    struct Failure: Error {
        let reason: String
    }

    /// - Parameter file: a path, or a bare name that the system's loader searches for.
    init(_ file: String) throws(Failure) {
        guard let handle = dlopen(file, RTLD_NOW | RTLD_LOCAL) else {
            throw Failure(reason: dlerror().map { String(cString: $0) } ?? "it cannot be opened")
        }
        self.handle = handle
    }

    func symbol(_ name: String) -> UnsafeMutableRawPointer? { dlsym(handle, name) }
}
