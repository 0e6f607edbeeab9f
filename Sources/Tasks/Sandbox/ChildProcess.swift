#if os(Linux)
    internal import Foundation
    #if canImport(Glibc)
        internal import Glibc
    #elseif canImport(Musl)
        internal import Musl
    #endif

    /// One child in a process group of its own, whose output is read to its end or to a deadline.
    ///
    /// Not Foundation's `Process`: that one can neither hand over a third pipe nor kill the group.
    enum ChildProcess {
        struct Ending {
            /// The last bytes of standard error, at most as many as were asked for.
            var errors: [UInt8]
            /// All that was written to descriptor 3, at most 4 KiB.
            var report: [UInt8]
            /// Whether the deadline passed, and the group was killed for it.
            var timedOut: Bool
        }

        /// Runs `arguments` (the first is the absolute path of the program) with an empty environment.
        ///
        /// - Parameters:
        ///   - input: The child's whole standard input.
        ///   - seconds: After so long the process group is killed.
        ///   - errorBytes: How much of the end of standard error is kept. Standard output is dropped.
        static func run(
            _ arguments: [String], input: [UInt8], seconds: Double, errorBytes: Int
        ) throws(TaskError) -> Ending {
            let source = try inputDescriptor(input)
            defer { close(source) }
            let errors = try Pipe()
            let report: Pipe
            do {
                report = try Pipe()
            } catch {
                errors.closeBoth()
                throw error
            }
            let process: pid_t
            do {
                process = try spawn(
                    arguments, input: source, errors: errors.write, report: report.write)
            } catch {
                errors.closeBoth()
                report.closeBoth()
                throw error
            }
            close(errors.write)
            close(report.write)
            defer {
                close(errors.read)
                close(report.read)
            }

            var tail = Tail(limit: errorBytes)
            var said = Tail(limit: 4096)
            let deadline = monotonicSeconds() + seconds
            var timedOut = false
            var open = [errors.read, report.read]
            var buffer = [UInt8](repeating: 0, count: 65536)
            // The pipes close when the last process that holds them ends. A child that closes them itself is
            // seen by `waitpid`; one that lives on past the deadline is killed.
            while true {
                let left = deadline - monotonicSeconds()
                if left <= 0 {
                    timedOut = true
                    break
                }
                if open.isEmpty {
                    if hasEnded(process) { break }
                    usleep(2000)
                    continue
                }
                var watched = open.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
                let ready = poll(&watched, nfds_t(watched.count), Int32(min(left * 1000, 100)) + 1)
                if ready < 0 && errno != EINTR { break }
                for entry in watched where ready > 0 && entry.revents != 0 {
                    let count = read(entry.fd, &buffer, buffer.count)
                    if count > 0 {
                        if entry.fd == errors.read {
                            tail.append(buffer[..<count])
                        } else {
                            said.append(buffer[..<count])
                        }
                    } else if count == 0 || (errno != EINTR && errno != EAGAIN) {
                        open.removeAll { $0 == entry.fd }
                    }
                }
            }
            // Also after a normal end: nothing of the group may stay. The group's number is not reused before
            // its leader is waited for.
            kill(-process, SIGKILL)
            var status: Int32 = 0
            while waitpid(process, &status, 0) < 0 && errno == EINTR {}
            return Ending(errors: tail.bytes, report: said.bytes, timedOut: timedOut)
        }

        /// Whether the child is a zombie; it stays one, so that its number stays taken.
        private static func hasEnded(_ process: pid_t) -> Bool {
            var info = siginfo_t()
            let answer = waitid(P_PID, id_t(process), &info, WEXITED | WNOHANG | WNOWAIT)
            return answer != 0 || info.si_signo != 0
        }

        private static func spawn(
            _ arguments: [String], input: Int32, errors: Int32, report: Int32
        ) throws(TaskError) -> pid_t {
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            // Descriptors from `Pipe` are 10 or more, so none of these overwrites another's source.
            posix_spawn_file_actions_adddup2(&actions, input, 0)
            posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
            posix_spawn_file_actions_adddup2(&actions, errors, 2)
            posix_spawn_file_actions_adddup2(&actions, report, 3)

            var attributes = posix_spawnattr_t()
            posix_spawnattr_init(&attributes)
            defer { posix_spawnattr_destroy(&attributes) }
            posix_spawnattr_setflags(
                &attributes,
                Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
            posix_spawnattr_setpgroup(&attributes, 0)
            var signals = sigset_t()
            sigemptyset(&signals)
            posix_spawnattr_setsigmask(&attributes, &signals)
            for signal in [SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD] {
                sigaddset(&signals, signal)
            }
            posix_spawnattr_setsigdefault(&attributes, &signals)

            var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
            words.append(nil)
            defer { for word in words { free(word) } }
            var environment: [UnsafeMutablePointer<CChar>?] = [nil]
            var process: pid_t = 0
            let code = posix_spawn(
                &process, arguments[0], &actions, &attributes, &words, &environment)
            guard code == 0 else {
                throw .sandboxUnavailable(
                    "\(arguments[0]) does not start: \(String(cString: strerror(code)))")
            }
            return process
        }

        /// A nameless file that holds `bytes`: a pipe would have to be fed while it is read.
        private static func inputDescriptor(_ bytes: [UInt8]) throws(TaskError) -> Int32 {
            let folder = FileManager.default.temporaryDirectory.path
            var template = Array("\(folder)/innerq-input-XXXXXX".utf8CString)
            let made = mkstemp(&template)
            guard made >= 0 else {
                throw .sandboxUnavailable("no temporary file can be made in \(folder)")
            }
            unlink(template)
            defer { close(made) }
            var written = 0
            while written < bytes.count {
                let count = bytes[written...].withUnsafeBytes {
                    write(made, $0.baseAddress, $0.count)
                }
                guard count > 0 || (count < 0 && errno == EINTR) else {
                    throw .sandboxUnavailable("no room for a program in \(folder)")
                }
                written += max(count, 0)
            }
            lseek(made, 0, SEEK_SET)
            let moved = duplicateHigh(made)
            guard moved >= 0 else { throw .sandboxUnavailable("too many files are open") }
            return moved
        }

        private struct Pipe {
            let read: Int32
            let write: Int32

            init() throws(TaskError) {
                var ends: [Int32] = [0, 0]
                guard pipe(&ends) == 0 else {
                    throw .sandboxUnavailable("too many files are open")
                }
                read = duplicateHigh(ends[0])
                write = duplicateHigh(ends[1])
                close(ends[0])
                close(ends[1])
                guard read >= 0, write >= 0 else {
                    closeBoth()
                    throw .sandboxUnavailable("too many files are open")
                }
            }

            func closeBoth() {
                if read >= 0 { close(read) }
                if write >= 0 { close(write) }
            }
        }

        /// The same file under a number from 10, closed in every child that does not ask for it.
        private static func duplicateHigh(_ descriptor: Int32) -> Int32 {
            fcntl(descriptor, F_DUPFD_CLOEXEC, 10)
        }

        private static func monotonicSeconds() -> Double {
            var now = timespec()
            clock_gettime(CLOCK_MONOTONIC, &now)
            return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
        }

        /// The last `limit` bytes of a stream.
        private struct Tail {
            let limit: Int
            private var kept: [UInt8] = []

            init(limit: Int) { self.limit = limit }

            mutating func append(_ more: ArraySlice<UInt8>) {
                kept += more
                // Rarely, so that a flood costs one copy a buffer at most.
                if kept.count > 2 * limit + 65536 { kept.removeFirst(kept.count - limit) }
            }

            var bytes: [UInt8] { Array(kept.suffix(limit)) }
        }
    }
#endif
