import Foundation
import Tasks
import Testing

@Suite("Files of JSON lines")
struct TaskFileTests {
    private struct Line: Decodable, Equatable {
        var name: String
        var count: Int
        var parts: [Part]?

        struct Part: Decodable, Equatable { var size: Double }
    }

    private let folder: TestFolder

    init() throws { folder = try TestFolder() }

    private func read(
        _ text: String, _ badLines: BadLines = .stop, limit: Int? = nil
    ) throws(TaskError) -> TaskLines<Line> {
        let path: String
        do { path = try folder.write(text) } catch {
            throw .unreadable(path: "", reason: "\(error)")
        }
        return try TaskFile(path: path, badLines: badLines).read(Line.self, limit: limit) {
            (line) throws(LineFault) in
            if line.count < 0 { throw LineFault(reason: "the field 'count' is below 0") }
            return line
        }
    }

    private func reason(_ text: String) throws -> String {
        let error = try taskError { () throws(TaskError) in try read(text) }
        guard case .badLine(_, let line, let reason) = error else { return "\(error)" }
        return "\(line): \(reason)"
    }

    @Test(
        "Empty lines, line ends of Windows and a byte order mark are passed over, and lines counted"
    )
    func linesAreNumbered() throws {
        let lines = try read(
            "\u{FEFF}{\"name\":\"a\",\"count\":1}\r\n\n  \t\n{\"name\":\"b\",\"count\":2}")
        #expect(lines.values.map(\.line) == [1, 4])
        #expect(lines.values.map(\.value.name) == ["a", "b"])
        #expect(lines.skipped.isEmpty)
    }

    @Test("What is wrong with a line is said in words")
    func reasons() throws {
        let good = "{\"name\":\"a\",\"count\":1}\n"
        #expect(try reason(good + "{\"count\":1}") == "2: the field 'name' is missing")
        #expect(try reason("{\"name\":7,\"count\":1}") == "1: the field 'name' is not text")
        #expect(
            try reason("{\"name\":\"a\",\"count\":\"1\"}")
                == "1: the field 'count' is not a whole number")
        #expect(try reason("{\"name\":\"a\",\"count\":null}") == "1: the field 'count' is null")
        #expect(try reason(good + "\n{\"name\":") == "3: it is not JSON")
        #expect(try reason("[1]") == "1: it is not a JSON object")
        #expect(
            try reason("{\"name\":\"a\",\"count\":1,\"parts\":3}")
                == "1: the field 'parts' is not a list")
        #expect(
            try reason("{\"name\":\"a\",\"count\":1,\"parts\":[{\"size\":1},{\"size\":\"x\"}]}")
                == "1: the field 'parts[1].size' is not a number")
        #expect(try reason("{\"name\":\"a\",\"count\":-1}") == "1: the field 'count' is below 0")
    }

    @Test("Bytes that are not UTF-8 are named")
    func notUTF8() throws {
        let path = try folder.write(
            Data("{\"name\":\"".utf8) + Data([0xFF]) + Data("\",\"count\":1}\n".utf8), as: "bytes")
        let error = try taskError { () throws(TaskError) in
            try TaskFile(path: path).read(Line.self) { (line) throws(LineFault) in line }
        }
        #expect(error == .badLine(path: path, line: 1, reason: "it is not UTF-8 text"))
    }

    @Test("Bad lines are left out and named when asked, and the others read")
    func badLinesAreSkipped() throws {
        let lines = try read(
            "{}\n{\"name\":\"a\",\"count\":1}\nno\n{\"name\":\"b\",\"count\":2}\n", .skip)
        #expect(lines.values.map(\.line) == [2, 4])
        #expect(lines.skipped.count == 2)
        #expect("\(lines.skipped[1])".contains("line 3: it is not JSON. Mend the line"))
    }

    @Test("Reading ends at the limit, before later bad lines")
    func limit() throws {
        let lines = try read("{\"name\":\"a\",\"count\":1}\nno\n", limit: 1)
        #expect(lines.values.count == 1)
    }

    @Test("A missing file and a folder are errors with a reason")
    func unreadable() throws {
        func error(_ path: String) throws -> TaskError {
            try taskError { () throws(TaskError) in
                try TaskFile(path: path).read(Line.self) { (line) throws(LineFault) in line }
            }
        }
        let missing = folder.path + "/none"
        #expect(try error(missing) == .unreadable(path: missing, reason: "there is no such file"))
        #expect("\(try error(folder.path))".contains("it is a folder"))
    }

    // The line {"name":"z","count":3}, compressed.
    private let packed = Data(
        base64Encoded:
            "H4sIAAAAAAACA6tWykvMTVWyUqpS0lFKzi/NK1GyMq7lAgAsuMWYFwAAAA==")!

    private func unpack(_ data: Data, _ unzip: Gunzip = Gunzip()) throws -> TaskLines<Line> {
        // The name says nothing: the first bytes do.
        let path = try folder.write(data, as: "packed.txt")
        return try TaskFile(path: path, badLines: .stop, unzip: unzip).read(Line.self) {
            (line) throws(LineFault) in line
        }
    }

    @Test("A compressed file is unpacked, whatever its name")
    func compressed() throws {
        let line = Line(name: "z", count: 3)
        #expect(try unpack(packed).values.map(\.value) == [line])
    }

    @Test(
        "A damaged compressed file, a missing gzip and too long an output are errors with a reason")
    func compressedFaults() throws {
        func message(_ data: Data, _ unzip: Gunzip = Gunzip()) -> String {
            do {
                _ = try unpack(data, unzip)
                return "nothing thrown"
            } catch { return "\(error)" }
        }
        #expect(
            message(packed.prefix(30)).contains(
                "gzip cannot unpack it (gzip: stdin: unexpected end"))
        #expect(
            message(packed, Gunzip(folders: [folder.path])).contains(
                "gzip is not installed; install it"))
        #expect(message(packed, Gunzip(limit: 10)).contains("it unpacks to more than 10 bytes"))
    }
}
