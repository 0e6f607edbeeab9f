internal import Foundation

/// Where NVRTC may be.
///
///  1. The file that the environment variable `INNERQ_NVRTC` names; then nowhere else.
///  2. Where the system's loader looks: `LD_LIBRARY_PATH`, and what the machine's packages have installed.
///  3. The toolkit's folders: `CUDA_HOME`, `CUDA_PATH`, `/usr/local/cuda*`, `/opt/cuda`.
///  4. `innerq/nvrtc-*` in the user's cache folder, where `make test` puts one.
package struct CompilerSearch {
    /// Versions that the kernels are known to compile with, newest first.
    static let majors = [13, 12]

    package var environment: [String: String]
    /// Names of what is in a folder, in any order; empty where there is none.
    package var list: (_ folder: String) -> [String]

    package init(environment: [String: String], list: @escaping (_ folder: String) -> [String]) {
        self.environment = environment
        self.list = list
    }

    package static var system: CompilerSearch {
        CompilerSearch(
            environment: ProcessInfo.processInfo.environment,
            list: { (try? FileManager.default.contentsOfDirectory(atPath: $0)) ?? [] })
    }

    /// The file that the environment names, if it does.
    var named: String? {
        environment["INNERQ_NVRTC"].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Names and paths to try, best first.
    ///
    /// - Parameter driver: an NVRTC of a newer major version makes kernels that this driver may not load, so those come
    ///   last.
    package func candidates(driver: CUDAVersion?) -> [String] {
        if let named { return [named] }
        let (fitting, newer) = Self.majors.reduce(into: ([Int](), [Int]())) {
            if let driver, $1 > driver.major { $0.1.append($1) } else { $0.0.append($1) }
        }
        let folders = folders
        return (fitting + newer).flatMap { major in
            let name = "libnvrtc.so.\(major)"
            return [name] + folders.filter { list($0).contains(name) }.map { "\($0)/\(name)" }
        }
    }

    /// Libraries that NVRTC opens by their bare names while it compiles. It finds them only if they are in the loader's path or
    /// open already, so those beside it are opened first.
    package func helpers(of file: String) -> [String] {
        guard let slash = file.lastIndex(of: "/") else { return [] }
        let folder = String(file[..<slash])
        return list(folder).filter { $0.hasPrefix("libnvrtc-builtins.so.") }.sorted()
            .map { "\(folder)/\($0)" }
    }

    private var folders: [String] {
        var roots = ["CUDA_HOME", "CUDA_PATH"].compactMap { environment[$0] }
        // Newest first, as far as names tell.
        roots += list("/usr/local").filter { $0.hasPrefix("cuda") }.sorted(by: >)
            .map { "/usr/local/\($0)" }
        roots += ["/opt/cuda"]
        var folders = roots.flatMap { ["\($0)/lib64", "\($0)/targets/x86_64-linux/lib"] }
        if let cache {
            folders += list(cache).filter { $0.hasPrefix("nvrtc-") }.sorted(by: >).flatMap {
                ["\(cache)/\($0)/nvidia/cu13/lib", "\(cache)/\($0)/nvidia/cuda_nvrtc/lib"]
            }
        }
        return folders
    }

    private var cache: String? {
        if let folder = environment["XDG_CACHE_HOME"], folder.hasPrefix("/") {
            return folder + "/innerq"
        }
        return environment["HOME"].map { $0 + "/.cache/innerq" }
    }
}
