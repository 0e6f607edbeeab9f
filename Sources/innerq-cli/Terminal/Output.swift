import ArgumentParser
import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Thrown when nobody reads standard output any more.
struct BrokenPipe: Error {}

/// Standard output: results only. Written at once, so that text streams through pipes.
enum Output {
    static let isTerminal = isatty(STDOUT_FILENO) == 1

    /// Makes a closed pipe an error instead of a signal, so that sessions can still be saved.
    static func prepare() { signal(SIGPIPE, SIG_IGN) }

    static func write(_ text: String) throws {
        try write(Array(text.utf8))
    }

    static func line(_ text: String) throws { try write(text + "\n") }

    static func write(_ bytes: [UInt8]) throws {
        var start = 0
        while start < bytes.count {
            let count = bytes.withUnsafeBytes {
                #if canImport(Glibc)
                    Glibc.write(STDOUT_FILENO, $0.baseAddress! + start, $0.count - start)
                #elseif canImport(Musl)
                    Musl.write(STDOUT_FILENO, $0.baseAddress! + start, $0.count - start)
                #else
                    Darwin.write(STDOUT_FILENO, $0.baseAddress! + start, $0.count - start)
                #endif
            }
            if count > 0 {
                start += count
            } else if errno == EPIPE {
                throw BrokenPipe()
            } else if errno != EINTR {
                throw Failure(
                    "cannot write to standard output: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// A result as JSON, with sorted keys.
    /// - Parameter pretty: indented; otherwise on one line.
    static func json(_ value: some Encodable, pretty: Bool = true) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty
            ? [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            : [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        try write(Array(encoder.encode(value)) + [0x0A])
    }
}

/// Standard error: progress, statistics and complaints.
enum Console {
    static let isTerminal = isatty(STDERR_FILENO) == 1

    static func say(_ text: String = "") {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    static func complain(_ text: String) { say("innerq: " + text) }

    /// Replaces the line that the cursor is on. On a terminal only.
    static func replaceLine(_ text: String) {
        guard isTerminal else { return }
        FileHandle.standardError.write(Data("\r\u{1B}[2K\(text)".utf8))
    }
}

/// `--json`, which every command takes.
struct OutputOptions: ParsableArguments {
    @Flag(
        help:
            "Print the result as JSON on standard output; progress and prose go to standard error.")
    var json = false
}
