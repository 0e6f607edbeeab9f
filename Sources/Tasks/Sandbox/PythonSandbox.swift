#if os(Linux)
    internal import Foundation
    internal import Synchronization
    #if canImport(Glibc)
        internal import Glibc
    #elseif canImport(Musl)
        internal import Musl
    #endif
#endif

/// Runs generated Python where it can do no harm: no network, no file of the machine writable, few of them to be seen,
/// limits of time, memory, processes and disk. Linux only.
///
/// The program runs in namespaces of its own (mount, network, process numbers, IPC), below a root that holds the
/// system's `/usr` and Python, read-only, and an empty `/tmp`, its working directory; without capabilities, and
/// under another user's number if this process is root's. Where the kernel does not let this process make namespaces,
/// `bwrap` (bubblewrap) is tried. ``init(limits:python:)`` tries to break out once by each way; without a way that
/// holds, nothing is ever run.
///
/// It guards against what a model may write by mistake. It is not proof against an attacker with a hole in the kernel.
public struct PythonSandbox: Sendable {
    public struct Limits: Sendable, Hashable {
        /// Seconds on the clock: more than of processor time, as other work may take turns.
        public var seconds: Double
        /// Seconds of processor time of each process.
        public var processorSeconds: Int
        /// Address space of each process.
        public var memoryBytes: Int
        /// Processes and threads, the program itself included.
        public var processes: Int
        /// Everything in the working directory together, which is memory, and each file in it.
        public var diskBytes: Int
        /// How much of the end of standard error is kept.
        public var outputBytes: Int

        public init(
            seconds: Double = 60, processorSeconds: Int = 15, memoryBytes: Int = 1 << 30,
            processes: Int = 8, diskBytes: Int = 64 << 20, outputBytes: Int = 64 << 10
        ) {
            self.seconds = seconds
            self.processorSeconds = processorSeconds
            self.memoryBytes = memoryBytes
            self.processes = processes
            self.diskBytes = diskBytes
            self.outputBytes = outputBytes
        }
    }

    public enum Outcome: Sendable, Hashable {
        /// The last line was reached. A program that ends itself, even with status 0, has not.
        case passed
        /// An uncaught exception or another end; the tail of standard error, where the traceback is.
        case failed(exit: Int32, errors: String)
        /// Either limit of time was reached.
        case timedOut
        /// Ended by a signal, such as a crash.
        case killed(reason: String)
    }

    /// How the program is shut in.
    public enum Mechanism: String, Sendable, Codable, CaseIterable {
        /// Namespaces made by root; the program runs as another user.
        case root
        /// Namespaces below a user namespace, which need no rights.
        case user
        /// Namespaces made by `bwrap`.
        case bubblewrap
    }

    public let limits: Limits
    public let mechanism: Mechanism
    /// The interpreter's absolute path.
    public let python: String
    let bubblewrap: [String]

    /// Finds the interpreter and a way to shut it in, by trying.
    ///
    /// - Parameter python: A path, or a name that is looked for on `PATH`; Python 3.8 or newer.
    /// - Throws: `TaskError.sandboxUnavailable`, saying what to install or allow; `parameterOutOfRange`.
    public init(limits: Limits = Limits(), python: String = "python3") throws(TaskError) {
        try self.init(limits: limits, python: python, mechanisms: Mechanism.allCases)
    }

    /// The same, with the ways that may be tried, in their order.
    package init(
        limits: Limits = Limits(), python: String = "python3", mechanisms: [Mechanism]
    ) throws(TaskError) {
        guard limits.seconds > 0, limits.seconds <= 3600, limits.processorSeconds >= 1,
            limits.processorSeconds <= 3600, limits.memoryBytes >= 64 << 20,
            limits.processes >= 1, limits.processes <= 4096, limits.diskBytes >= 1 << 16,
            limits.outputBytes >= 0, limits.outputBytes <= 64 << 20
        else {
            throw .parameterOutOfRange(
                "a sandbox needs 1 to 3600 seconds, 64 MiB of memory, 64 KiB of disk, "
                    + "1 to 4096 processes, and at most 64 MiB of output")
        }
        #if os(Linux)
            guard let named = Self.find(python) else {
                throw .sandboxUnavailable("there is no \(python); install Python 3 or name another")
            }
            let interpreter = try Self.interpreter(behind: named)
            var reasons: [String] = []
            for mechanism in mechanisms {
                var arguments: [String] = []
                switch mechanism {
                case .root where geteuid() != 0:
                    reasons.append("root: not root")
                    continue
                case .root, .user: break
                case .bubblewrap:
                    guard let bwrap = Self.find("bwrap") else {
                        reasons.append("bubblewrap: bwrap is not installed")
                        continue
                    }
                    arguments = Self.bubblewrapArguments(bwrap, interpreter, limits)
                }
                let candidate = Self(
                    limits: limits, mechanism: mechanism, python: interpreter.path,
                    bubblewrap: arguments)
                guard let reason = try candidate.leak() else {
                    self = candidate
                    return
                }
                reasons.append("\(mechanism.rawValue): \(reason)")
            }
            throw .sandboxUnavailable(
                "no way to shut a program in works (\(reasons.joined(separator: "; "))). "
                    + "Install bubblewrap, or allow user namespaces "
                    + "(sysctl kernel.unprivileged_userns_clone, "
                    + "kernel.apparmor_restrict_unprivileged_userns)")
        #else
            throw .sandboxUnavailable(
                "the sandbox is made of Linux namespaces; run this task on Linux")
        #endif
    }

    /// Runs one program to its end or to a limit, then kills all that it started.
    ///
    /// - Parameter program: Python source text. It runs as a module named `program`, not `__main__`.
    /// - Throws: `TaskError.sandboxUnavailable` when the sandbox cannot be set up this time, such as without disk.
    public func run(_ program: String) throws(TaskError) -> Outcome {
        #if os(Linux)
            let folder = FileManager.default.temporaryDirectory.path
            var template = Array("\(folder)/innerq-sandbox-\(getpid())-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else {
                throw .sandboxUnavailable("no temporary folder can be made in \(folder)")
            }
            // Empty for this process: what is mounted on it is seen inside only.
            defer { rmdir(template) }
            let root = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
            let settings = StageSettings(
                mechanism: mechanism == .bubblewrap ? "inside" : mechanism.rawValue, root: root,
                user: Self.nextUser(), limits: limits)
            let ending = try ChildProcess.run(
                bubblewrap + [
                    python, "-I", "-X", "utf8", "-c", SandboxProgram.stage, try settings.json(),
                ],
                input: Array(program.utf8), seconds: limits.seconds,
                errorBytes: limits.outputBytes)
            let lines = String(decoding: ending.report, as: UTF8.self).split(separator: "\n")
            let errors = String(decoding: ending.errors, as: UTF8.self)
            guard lines.first == "ready" else {
                let reason = errors.split(separator: "\n").last.map(String.init)
                throw .sandboxUnavailable(reason ?? "the sandbox was not ready in time")
            }
            if ending.timedOut { return .timedOut }
            // A program may end what watches it, to no avail.
            guard lines.count == 2 else { return .killed(reason: "an end of the whole sandbox") }
            let words = lines[1].split(separator: " ")
            let number = words.count == 2 ? Int32(words[1]) ?? -1 : -1
            switch words[0] {
            case "end": return .passed
            case "signal" where number == SIGXCPU: return .timedOut
            case "signal":
                return .killed(reason: "signal \(number) (\(Self.name(ofSignal: number)))")
            default: return .failed(exit: number, errors: errors)
            }
        #else
            throw .sandboxUnavailable("the sandbox is made of Linux namespaces")
        #endif
    }
}

#if os(Linux)
    extension PythonSandbox {
        init(
            limits: Limits, mechanism: Mechanism, python: String, bubblewrap: [String]
        ) {
            self.limits = limits
            self.mechanism = mechanism
            self.python = python
            self.bubblewrap = bubblewrap
        }

        /// What the settings are that the stage reads.
        private struct StageSettings: Encodable {
            var mechanism: String
            var root: String
            var user: Int
            var processorSeconds: Int
            var memoryBytes: Int
            var processes: Int
            var diskBytes: Int
            // One thread for numeric libraries: their threads count as processes.
            var environment = [
                "PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8",
                "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
            ]

            init(mechanism: String, root: String, user: Int, limits: Limits) {
                self.mechanism = mechanism
                self.root = root
                self.user = user
                processorSeconds = limits.processorSeconds
                memoryBytes = limits.memoryBytes
                processes = limits.processes
                diskBytes = limits.diskBytes
            }

            func json() throws(TaskError) -> String {
                do {
                    return String(decoding: try JSONEncoder().encode(self), as: UTF8.self)
                } catch {
                    throw .sandboxUnavailable("\(error)")
                }
            }
        }

        private static let runs = Atomic<Int>(0)

        /// A user number that no distribution gives to anyone (between systemd's ranges), another for each run: the
        /// kernel counts processes by user.
        private static func nextUser() -> Int {
            let run = runs.add(1, ordering: .relaxed).newValue
            return 60_600 + (Int(getpid()) &* 31 &+ run) % 500
        }

        private static func name(ofSignal number: Int32) -> String {
            number > 0 ? String(cString: strsignal(number)) : "unknown"
        }
    }
#endif
