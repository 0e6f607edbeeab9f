internal import Crypto
internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Compiled kernels on the disk, so that they are compiled once.
///
/// A file:
///
///     bytes 0–7     "IQCUBIN1"
///     bytes 8–39    SHA-256 of what follows
///     bytes 40–     the cubin
///
/// A file is written under another name and then renamed: programs that write the same one at a time
/// each write a whole one, and a reader sees none or a whole one. One that is damaged all the same is noticed by its checksum,
/// thrown away and made again. A folder that cannot be used only costs the time of compiling.
package struct KernelFolder: Sendable {
    package let path: String

    private static let magic = Array("IQCUBIN1".utf8)
    private static let headerBytes = 40
    /// No cubin of this project comes near; a bigger file is not ours.
    private static let mostBytes = 1 << 26

    package init(path: String) { self.path = path }

    /// `INNERQ_KERNEL_CACHE`, or `innerq/kernels` in the user's cache folder (`XDG_CACHE_HOME`, or `~/.cache`); `nil` where
    /// there is neither.
    package static func `default`(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> KernelFolder? {
        if let path = environment["INNERQ_KERNEL_CACHE"], !path.isEmpty {
            return KernelFolder(path: path)
        }
        // The XDG specification: a relative path is to be ignored.
        if let path = environment["XDG_CACHE_HOME"], path.hasPrefix("/") {
            return KernelFolder(path: path + "/innerq/kernels")
        }
        guard let home = environment["HOME"], !home.isEmpty else { return nil }
        return KernelFolder(path: home + "/.cache/innerq/kernels")
    }

    package func file(_ key: String) -> String { "\(path)/\(key).cubin" }

    /// The cubin kept under a key, if there is a sound one.
    package func cubin(_ key: String) -> [UInt8]? {
        let file = file(key)
        guard let size = try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int
        else { return nil }
        if size > Self.headerBytes, size <= Self.mostBytes,
            let data = FileManager.default.contents(atPath: file),
            data.count > Self.headerBytes, data.starts(with: Self.magic)
        {
            let cubin = data.dropFirst(Self.headerBytes)
            let digest = data[data.startIndex + 8..<data.startIndex + Self.headerBytes]
            if SHA256.hash(data: cubin).elementsEqual(digest) { return [UInt8](cubin) }
        }
        // Cut, changed, or of another make: away with it, so that it is written anew.
        unlink(file)
        return nil
    }

    /// Keeps a cubin under a key.
    ///
    /// - Returns: whether it could be written.
    @discardableResult
    package func keep(_ cubin: [UInt8], _ key: String) -> Bool {
        let manager = FileManager.default
        try? manager.createDirectory(
            atPath: path, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        // Of this process and this call alone.
        let unique = "\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let temporary = "\(path)/.\(key).\(unique)"
        var content = Data(Self.magic)
        content.append(contentsOf: SHA256.hash(data: cubin))
        content.append(contentsOf: cubin)
        guard (try? content.write(to: URL(fileURLWithPath: temporary))) != nil,
            rename(temporary, file(key)) == 0
        else {
            unlink(temporary)
            return false
        }
        return true
    }
}
