import Foundation

/// A file of JSON lines, plain or compressed with gzip, which its first bytes tell and not its name.
public struct TaskFile: Sendable {
    public var path: String
    public var badLines: BadLines
    var unzip: Gunzip

    public init(path: String, badLines: BadLines = .stop) {
        self.init(path: path, badLines: badLines, unzip: Gunzip())
    }

    package init(path: String, badLines: BadLines, unzip: Gunzip) {
        self.path = path
        self.badLines = badLines
        self.unzip = unzip
    }

    /// Reads every usable line, in order. Lines without a character but white space are passed over, and counted.
    ///
    /// - Parameters:
    ///   - line: What a line is decoded as.
    ///   - limit: Reading ends after so many usable lines, whatever follows.
    ///   - make: Turns a decoded line into what is wanted, or says what is wrong with it.
    /// - Throws: `unreadable` for a file that cannot be read or unpacked; `badLine` at the first line that is not UTF-8,
    ///   not JSON, lacks a field, or that `make` refuses, unless such lines are skipped.
    public func read<Line: Decodable, Value>(
        _ line: Line.Type, limit: Int? = nil, _ make: (Line) throws(LineFault) -> Value
    ) throws(TaskError) -> TaskLines<Value> {
        try readNumbered(line, limit: limit) { (_, line) throws(LineFault) in try make(line) }
    }

    /// The same for a `make` that needs the number of the line.
    func readNumbered<Line: Decodable, Value>(
        _ line: Line.Type, limit: Int? = nil,
        _ make: (_ number: Int, _ line: Line) throws(LineFault) -> Value
    ) throws(TaskError) -> TaskLines<Value> {
        var lines = TaskLines<Value>()
        let bytes = try contents()
        let decoder = JSONDecoder()
        var number = 0
        var start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        while start < bytes.count {
            if let limit, lines.values.count >= limit { break }
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            let text = bytes[start..<end]
            number += 1
            start = end + 1
            if text.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) { continue }
            do throws(LineFault) {
                let decoded = try Self.decode(line, from: text, with: decoder)
                lines.values.append((number, try make(number, decoded)))
            } catch {
                let bad = TaskError.badLine(path: path, line: number, reason: error.reason)
                if badLines == .stop { throw bad }
                lines.skipped.append(bad)
            }
        }
        return lines
    }

    /// The bytes of the file, unpacked.
    private func contents() throws(TaskError) -> [UInt8] {
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue
        {
            throw .unreadable(path: path, reason: "it is a folder; name a file of JSON lines in it")
        }
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch CocoaError.fileReadNoSuchFile {
            throw .unreadable(path: path, reason: "there is no such file")
        } catch CocoaError.fileReadNoPermission {
            throw .unreadable(path: path, reason: "reading it is not permitted")
        } catch {
            throw .unreadable(path: path, reason: "\(error.localizedDescription)")
        }
        guard data.starts(with: [0x1F, 0x8B]) else { return [UInt8](data) }
        return try unzip.contents(of: path)
    }

    private static func decode<Line: Decodable>(
        _ line: Line.Type, from bytes: ArraySlice<UInt8>, with decoder: JSONDecoder
    ) throws(LineFault) -> Line {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw LineFault("it is not UTF-8 text")
        }
        do {
            return try decoder.decode(line, from: Data(bytes))
        } catch let fault as LineFault {
            throw fault
        } catch let error as DecodingError {
            throw LineFault(decoding: error)
        } catch {
            throw LineFault("it cannot be read: \(error.localizedDescription)")
        }
    }
}
