#if os(Linux)
    internal import Foundation
    #if canImport(Glibc)
        internal import Glibc
    #elseif canImport(Musl)
        internal import Musl
    #endif

    /// Finding an interpreter, and whether a way of shutting it in holds.
    extension PythonSandbox {
        /// Why this way does not hold, or nil if it does.
        func leak() throws(TaskError) -> String? {
            let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(listener) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let bound = withUnsafeMutablePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(listener, $0, size) == 0 && listen(listener, 4) == 0
                        && getsockname(listener, $0, &size) == 0
                }
            }
            // Without any network to reach, what is left of the probe decides.
            let port = bound ? UInt16(bigEndian: address.sin_port) : 9
            let patient = Self(
                limits: Limits(
                    memoryBytes: limits.memoryBytes, processes: limits.processes,
                    diskBytes: limits.diskBytes),
                mechanism: mechanism, python: python, bubblewrap: bubblewrap)
            do throws(TaskError) {
                switch try patient.run(
                    SandboxProgram.probe(port: port, processes: limits.processes))
                {
                case .passed: return nil
                case .failed(_, let errors):
                    return errors.split(separator: "\n").last.map(String.init)
                        ?? "a probe failed"
                case .timedOut: return "a probe took too long"
                case .killed(let reason): return "a probe was ended by \(reason)"
                }
            } catch {
                guard case .sandboxUnavailable(let reason) = error else { throw error }
                return reason
            }
        }

        struct Interpreter {
            var path: String
            var prefixes: [String]
        }

        /// The program behind a wrapper (such as a version manager's), and the folders of its library.
        static func interpreter(behind path: String) throws(TaskError) -> Interpreter {
            let question = """
                import os, sys
                assert sys.version_info >= (3, 8)
                for place in (sys.executable, sys.base_prefix, sys.prefix):
                    os.write(3, os.fsencode(place) + b"\\n")
                """
            let ending = try ChildProcess.run(
                ["/usr/bin/env", "PATH=\(searchPath)", path, "-I", "-c", question], input: [],
                seconds: 20, errorBytes: 4096)
            let lines = String(decoding: ending.report, as: UTF8.self).split(separator: "\n")
                .map(String.init)
            guard lines.count == 3, lines[0].hasPrefix("/") else {
                throw .sandboxUnavailable("\(path) does not run as Python 3.8 or newer")
            }
            return Interpreter(path: lines[0], prefixes: Array(lines[1...]))
        }

        static func bubblewrapArguments(
            _ bwrap: String, _ interpreter: Interpreter, _ limits: Limits
        ) -> [String] {
            var words = [bwrap, "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
            let shown = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store"]
            for place in shown + ["/etc/ld.so.cache"] { words += ["--ro-bind-try", place, place] }
            words += ["--size", "\(limits.diskBytes)", "--tmpfs", "/tmp"]
            let prefixes = interpreter.prefixes.flatMap {
                [$0, URL(fileURLWithPath: $0).resolvingSymlinksInPath().path]
            }
            for prefix in Set(prefixes).sorted()
            where !shown.contains(where: { (prefix + "/").hasPrefix($0 + "/") }) {
                words += ["--ro-bind", prefix, prefix]
            }
            for node in ["null", "zero", "random", "urandom"] {
                words += ["--dev-bind", "/dev/\(node)", "/dev/\(node)"]
            }
            return words + ["--chdir", "/tmp", "--remount-ro", "/", "--"]
        }

        private static var searchPath: String {
            ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        }

        static func find(_ name: String) -> String? {
            if name.contains("/") {
                let path = URL(fileURLWithPath: name).path
                return access(path, X_OK) == 0 ? path : nil
            }
            return searchPath.split(separator: ":").map { "\($0)/\(name)" }
                .first { $0.hasPrefix("/") && access($0, X_OK) == 0 }
        }
    }
#endif
