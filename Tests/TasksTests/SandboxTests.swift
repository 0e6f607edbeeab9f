import Foundation
import Tasks
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Each test runs in every way of shutting in that this machine allows.
extension InSandbox {
    @Suite struct SandboxTests {
        @Test(arguments: Sandboxes.all)
        func `a program that reaches its end passes`(box: PythonSandbox) throws {
            #expect(try box.run("x = sorted([3, 1, 2])\nassert x == [1, 2, 3]") == .passed)
            #expect(try box.run("") == .passed)
            // The text is UTF-8, as files are inside.
            let letters = "name = 'žluťoučký 🐎'\nopen('a', 'w').write(name)\nassert len(name) == 11"
            #expect(try box.run(letters + "\nassert open('a').read() == name") == .passed)
            // Longer than a pipe holds.
            #expect(try box.run(String(repeating: "x = 1  # padding\n", count: 20_000)) == .passed)
        }

        @Test(arguments: Sandboxes.all)
        func `a failed assertion fails, with its traceback`(box: PythonSandbox) throws {
            guard case .failed(1, let errors) = try box.run("def f():\n  return 1\nassert f() == 2")
            else {
                Issue.record("it did not fail")
                return
            }
            #expect(errors.contains("AssertionError"))
            #expect(errors.contains("assert f() == 2"))
        }

        @Test(
            arguments: Sandboxes.all,
            [
                "import sys; sys.exit(0)", "raise SystemExit", "import os; os._exit(0)", "exit()",
                "raise KeyboardInterrupt", "def f(:", "\0", "import nothing_of_that_name",
            ])
        func `a program that does not reach its end does not pass`(
            box: PythonSandbox, program: String
        ) throws {
            guard case .failed = try box.run(program) else {
                Issue.record("\(program) did not fail")
                return
            }
        }

        @Test(arguments: Sandboxes.all)
        func `an endless loop is stopped by the clock and by processor time`(
            box: PythonSandbox
        ) throws {
            let hasty = try Sandboxes.hasty(box)
            let start = ContinuousClock.now
            #expect(try hasty.run("while True: pass") == .timedOut)
            #expect(try hasty.run("import time\ntime.sleep(600)") == .timedOut)
            let counted = try PythonSandbox(
                limits: .init(seconds: 60, processorSeconds: 1), mechanisms: [box.mechanism])
            #expect(try counted.run("while True: pass") == .timedOut)
            #expect(ContinuousClock.now - start < .seconds(30))
        }

        @Test(arguments: Sandboxes.all)
        func `memory is limited`(box: PythonSandbox) throws {
            guard case .failed(_, let errors) = try box.run("x = bytearray(4 << 30)") else {
                Issue.record("4 GiB were to be had")
                return
            }
            #expect(errors.contains("MemoryError"))
            #expect(try box.run("x = bytearray(64 << 20)") == .passed)
        }

        @Test(arguments: Sandboxes.all)
        func `a fork bomb is limited and does not outlive the program`(box: PythonSandbox) throws {
            let bomb = """
                import os
                made = 0
                try:
                    while made < 1000:
                        if os.fork() == 0:
                            import time
                            time.sleep(600)
                        made += 1
                except OSError:
                    pass
                assert 0 < made < 8, made
                """
            #expect(try box.run(bomb) == .passed)
            // A second time: the first one's processes no longer count.
            #expect(try box.run(bomb) == .passed)
            #expect(try Sandboxes.hasty(box).run("import os\nwhile True: os.fork()") != .passed)
        }

        @Test(arguments: Sandboxes.all)
        func `processes that leave their session are killed too`(box: PythonSandbox) throws {
            let mark = "innerq-left-\(getpid())-\(box.mechanism.rawValue)"
            let program = """
                import os, subprocess, sys
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "\(mark)"],
                                 start_new_session=True)
                """
            #expect(try box.run(program) == .passed)
            #expect(hasGone(mark))
            #expect(
                try Sandboxes.hasty(box).run(program + "\nwhile True: pass") == .timedOut)
            #expect(hasGone(mark))
        }

        @Test(arguments: Sandboxes.all)
        func `neither this machine's network nor another is reachable`(box: PythonSandbox) throws {
            let listener = try Listener()
            func program(_ host: String, _ port: UInt16) -> String {
                """
                import socket
                try:
                    socket.create_connection(("\(host)", \(port)), 1)
                except OSError:
                    pass
                else:
                    raise AssertionError("connected")
                """
            }
            #expect(try box.run(program("127.0.0.1", listener.port)) == .passed)
            #expect(try box.run(program("192.0.2.1", 80)) == .passed)
            // The same program outside finds the listener: what it says above is not about the program.
            #expect(try listener.isReached())
            #expect(
                try box.run("import socket\nsocket.getaddrinfo('example.com', 80)") != .passed)
        }

        @Test(arguments: Sandboxes.all)
        func `nothing outside the working folder can be written`(box: PythonSandbox) throws {
            let folder = FileManager.default.temporaryDirectory
                .appendingPathComponent("innerq-outside-\(getpid())-\(box.mechanism.rawValue)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            chmod(folder.path, 0o777)
            let program = """
                import os, sys
                for place in ("/", "/usr", "/usr/bin", "/dev", "/bin", sys.prefix, "\(folder.path)",
                              "\(FileManager.default.currentDirectoryPath)"):
                    try:
                        open(place + "/innerq-written", "w")
                    except OSError:
                        continue
                    raise AssertionError(place)
                for path in ("/bin/sh", sys.executable, os.__file__):
                    try:
                        open(path, "r+")
                    except OSError:
                        continue
                    raise AssertionError(path)
                try:
                    os.chmod("/usr", 0o777)
                except OSError:
                    pass
                else:
                    raise AssertionError("chmod")
                # Not only for lack of rights: a Python of the user's own would be theirs to change.
                for place in ("/", "/usr", "/usr/bin", sys.prefix, os.__file__, sys.executable):
                    assert os.statvfs(place).f_flag & os.ST_RDONLY, place
                open("here", "w").write("x" * 1000)
                assert open("here").read() == "x" * 1000
                """
            #expect(try box.run(program) == .passed)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
            // Nothing stays for the next program either.
            #expect(try box.run("import os\nassert os.listdir('.') == []") == .passed)
        }

        @Test(arguments: Sandboxes.all)
        func `the library can be read, the homes and settings of the machine cannot`(
            box: PythonSandbox
        ) throws {
            let program = """
                import os, json, collections, math, re, hashlib, decimal
                assert len(open(os.__file__).read()) > 1000
                for place in ("/home", "/etc/passwd", "/proc/1", "/sys", "/var", "/.machine"):
                    assert not os.path.exists(place), place
                assert os.getcwd() == "/tmp"
                assert "HOME" in os.environ and "USER" not in os.environ, os.environ
                """
            #expect(try box.run(program) == .passed)
        }

        @Test(arguments: Sandboxes.all)
        func `no right and no open file of this process is inherited`(box: PythonSandbox) throws {
            let file = open("/etc/passwd", O_RDONLY)
            try #require(file >= 0)
            defer { close(file) }
            let program = """
                import ctypes, os
                for number in range(3, 1024):
                    try:
                        os.fstat(number)
                    except OSError:
                        continue
                    raise AssertionError(number)
                libc = ctypes.CDLL(None, use_errno=True)
                assert libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == -1
                assert libc.umount2(b"/tmp", 2) == -1
                assert libc.sethostname(b"x", 1) == -1
                assert libc.prctl(39, 0, 0, 0, 0) == 1  # no new privileges
                header = (ctypes.c_uint32 * 2)(0x20080522, 0)
                rights = (ctypes.c_uint32 * 6)()
                assert libc.capget(header, rights) == 0
                assert list(rights) == [0] * 6, list(rights)
                """
            #expect(try box.run(program) == .passed)
        }

        @Test(arguments: Sandboxes.all)
        func `output and disk are limited`(box: PythonSandbox) throws {
            #expect(try box.run("for _ in range(300): print('x' * 100_000)") == .passed)
            let flood = """
                import sys
                for _ in range(100): sys.stderr.write('y' * 100_000)
                raise ValueError("at the end")
                """
            guard case .failed(_, let errors) = try box.run(flood) else {
                Issue.record("it did not fail")
                return
            }
            #expect(errors.utf8.count == box.limits.outputBytes)
            #expect(errors.hasSuffix("ValueError: at the end\n"))
            let disk = """
                total = 0
                try:
                    for number in range(100):
                        with open(str(number), "wb") as file:
                            total += file.write(bytes(1 << 20))
                except OSError:
                    pass
                assert total <= 4 << 20, total
                """
            #expect(try box.run(disk) == .passed)
        }

        @Test(arguments: Sandboxes.all)
        func `a crash is told from a failure`(box: PythonSandbox) throws {
            let outcome = try box.run("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")
            guard case .killed(let reason) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(reason.contains("11"))
            #expect(
                try box.run("import os\nos.kill(-1, 9)\nos.kill(os.getppid(), 9)\nos._exit(0)")
                    != .passed)
        }

        @Test(arguments: Sandboxes.all)
        func `an environment in the temporary folder is found`(box: PythonSandbox) throws {
            let folder = try TestFolder()
            let real = URL(fileURLWithPath: box.python).deletingLastPathComponent().path
            _ = try folder.write("home = \(real)\n", as: "pyvenv.cfg")
            try FileManager.default.createDirectory(
                atPath: folder.path + "/bin", withIntermediateDirectories: true)
            let python = folder.path + "/bin/python3"
            try FileManager.default.createSymbolicLink(
                atPath: python, withDestinationPath: box.python)
            let other = try PythonSandbox(python: python, mechanisms: [box.mechanism])
            #expect(other.python == python)
            let program = """
                import decimal, os, sys
                assert sys.prefix == "\(folder.path)", sys.prefix
                assert os.path.exists("\(folder.path)/pyvenv.cfg")
                assert os.statvfs("\(folder.path)").f_flag & os.ST_RDONLY
                """
            #expect(try other.run(program) == .passed)
        }

        @Test func `no temporary file stays`() throws {
            let box = try #require(Sandboxes.all.first)
            _ = try box.run("open('x', 'w').write('y')")
            _ = try Sandboxes.hasty(box).run("while True: pass")
            let left = try FileManager.default.contentsOfDirectory(
                atPath: FileManager.default.temporaryDirectory.path
            ).filter { $0.hasPrefix("innerq-sandbox-\(getpid())-") }
            #expect(left == [])
        }

        /// Whether no process has `mark` in its command line; the kernel may take a moment to end a namespace.
        private func hasGone(_ mark: String) -> Bool {
            for _ in 0..<100 {
                let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
                let isThere = names.filter { Int($0) != nil }.contains { number in
                    FileManager.default.contents(atPath: "/proc/\(number)/cmdline")
                        .map { String(decoding: $0, as: UTF8.self).contains(mark) } ?? false
                }
                if !isThere { return true }
                usleep(20_000)
            }
            return false
        }
    }

}

@Suite struct SandboxSettingsTests {
    /// Elsewhere a sandbox that no longer holds would only leave its tests out.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["INNERQ_SANDBOX"] == "required"))
    func `a machine that should have a sandbox has one`() throws {
        _ = try PythonSandbox()
    }

    @Test func `an interpreter that is missing is named`() {
        #expect {
            try PythonSandbox(python: "/nowhere/python3")
        } throws: {
            "\($0)".contains("/nowhere/python3")
        }
    }

    @Test func `something else than Python is refused`() {
        #expect(throws: TaskError.self) { try PythonSandbox(python: "/bin/true") }
    }

    @Test func `limits that cannot hold a program are refused`() {
        for limits in [
            PythonSandbox.Limits(seconds: 0), .init(seconds: .nan), .init(memoryBytes: 1),
            .init(processes: 0), .init(diskBytes: 0), .init(outputBytes: -1),
            .init(processorSeconds: 0),
        ] {
            #expect {
                try PythonSandbox(limits: limits)
            } throws: {
                if case TaskError.parameterOutOfRange = $0 { true } else { false }
            }
        }
    }

    @Test func `without a way to shut in there is no sandbox`() {
        #expect {
            try PythonSandbox(mechanisms: [])
        } throws: {
            if case TaskError.sandboxUnavailable = $0 { true } else { false }
        }
    }
}
