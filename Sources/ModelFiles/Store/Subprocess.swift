import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Runs a program and hands over its standard output as it comes.
///
/// The output goes through a pipe and not into a file of the program's own: when this process dies, even
/// by SIGKILL, the program's next write fails and it ends too, so that it never writes beside a later pull.
enum Subprocess {
    struct Outcome: Sendable {
        /// The exit code, or 128 + the signal's number.
        let code: Int32
        /// The end of what it said on standard error, one line.
        let complaint: String
    }

    /// `env`'s exit code when it finds no such program.
    static let notFound: Int32 = 127

    private static let pieceSize = 1 << 18
    private static let complaintLimit = 4096

    /// Runs `program` (found on the PATH) until it ends. An error that `consume` throws ends the program and
    /// is thrown here; so does cancellation.
    static func run(
        _ program: String, _ arguments: [String],
        consume: @escaping @Sendable (UnsafeRawBufferPointer) throws(ModelStoreError) -> Void
    ) async throws(ModelStoreError) -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        let complaints = Pipe()
        process.standardOutput = output
        process.standardError = complaints
        if Task.isCancelled { throw .cancelled }
        do { try process.run() } catch {
            throw .fileSystem(path: program, operation: "run", detail: error.localizedDescription)
        }
        let running = Running(process)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // A thread of its own: reading blocks, and must not hold one of the pool that tasks share.
                Thread.detachNewThread {
                    continuation.resume(
                        returning: running.drain(
                            output.fileHandleForReading, complaints.fileHandleForReading, consume))
                }
            }
        } onCancel: {
            running.end()
        }
        let outcome = try result.get()
        if Task.isCancelled { throw .cancelled }
        return outcome
    }

    /// The process, shared between the reading thread and the cancellation handler.
    ///
    /// Unchecked: after `run()` only `terminate`, `waitUntilExit` and the exit status are used, and
    /// `terminate` may be called from any thread.
    private final class Running: @unchecked Sendable {
        private let process: Process

        init(_ process: Process) { self.process = process }

        func end() { process.terminate() }

        /// Reads both pipes to their ends, then waits for the process.
        func drain(
            _ output: FileHandle, _ complaints: FileHandle,
            _ consume: (UnsafeRawBufferPointer) throws(ModelStoreError) -> Void
        ) -> Result<Outcome, ModelStoreError> {
            let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceSize, alignment: 16)
            defer { piece.deallocate() }
            var said: [UInt8] = []
            var failure: ModelStoreError?
            var polled = [
                pollfd(fd: output.fileDescriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: complaints.fileDescriptor, events: Int16(POLLIN), revents: 0),
            ]
            while polled.contains(where: { $0.fd >= 0 }) {
                guard poll(&polled, nfds_t(polled.count), -1) >= 0 else {
                    if errno == EINTR { continue }
                    break
                }
                for index in polled.indices
                where polled[index].fd >= 0 && polled[index].revents != 0 {
                    let count = read(polled[index].fd, piece.baseAddress, piece.count)
                    if count < 0, errno == EINTR { continue }
                    guard count > 0 else {
                        polled[index].fd = -1  // poll skips it from now on
                        continue
                    }
                    let bytes = UnsafeRawBufferPointer(rebasing: piece[..<count])
                    if index == 1 {
                        said.append(contentsOf: bytes)
                        said.removeFirst(max(0, said.count - complaintLimit))
                    } else if failure == nil {
                        do throws(ModelStoreError) { try consume(bytes) } catch {
                            failure = error
                            end()
                        }
                    }
                }
            }
            process.waitUntilExit()
            if let failure { return .failure(failure) }
            let code = process.terminationStatus
            let exited = process.terminationReason == .exit
            return .success(
                Outcome(code: exited ? code : 128 + code, complaint: lastLine(of: said)))
        }

        /// Programs end their complaints with the reason.
        private func lastLine(of bytes: [UInt8]) -> String {
            let lines = bytes.split(whereSeparator: { $0 == 10 || $0 == 13 })
            let last = lines.last { !$0.allSatisfy { $0 <= 32 } } ?? []
            return String(decoding: last, as: UTF8.self).trimmingCharacters(in: .whitespaces)
        }
    }
}
