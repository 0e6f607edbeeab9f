package import Foundation

/// A file of results: JSON lines that are added as they are measured.
public enum ResultFile {
    /// Reads every record. A last line that is cut short, as a stopped machine leaves it, is left out.
    ///
    /// - Throws: ``ResultError``.
    public static func read(_ path: String) throws(ResultError) -> [ResultRecord] {
        try load(path).records
    }

    /// Records, and the bytes of the lines that are whole.
    static func load(_ path: String) throws(ResultError) -> (records: [ResultRecord], bytes: Int) {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw .unreadable(path: path, reason: reason(of: error))
        }
        var records: [ResultRecord] = []
        var start = data.startIndex
        var number = 0
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = ResultFile.numbers
        while let end = data[start...].firstIndex(of: 0x0A) {
            number += 1
            let line = data[start..<end]
            if !line.isEmpty {
                do {
                    try check(decoder.decode(Head.self, from: line))
                    let record = try decoder.decode(ResultRecord.self, from: line)
                    if let fault = record.fault { throw Fault(text: fault) }
                    records.append(record)
                } catch {
                    throw .badLine(path: path, line: number, reason: reason(of: error))
                }
            }
            start = end + 1
        }
        return (records, start - data.startIndex)
    }

    /// What every version of a run has: looked at first, since the rest may have changed.
    private struct Head: Decodable {
        var kind: String
        var version: Int?
    }

    /// Why a line cannot be used, in words.
    struct Fault: Error { var text: String }

    private static func check(_ head: Head) throws {
        if head.kind == "run", let version = head.version, version != 1 {
            throw Fault(text: "it is of version \(version), and this program reads version 1")
        }
    }

    static let numbers = JSONDecoder.NonConformingFloatDecodingStrategy.convertFromString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")

    static func reason(of error: any Error) -> String {
        switch error {
        case let fault as Fault: fault.text
        case DecodingError.keyNotFound(let key, _): "the field '\(key.stringValue)' is missing"
        case DecodingError.typeMismatch(_, let context),
            DecodingError.valueNotFound(_, let context):
            if let field = context.codingPath.last?.stringValue {
                "the field '\(field)' has a wrong type"
            } else {
                "it is no JSON object"
            }
        case DecodingError.dataCorrupted(let context):
            if let field = context.codingPath.last?.stringValue {
                "the field '\(field)' cannot be read (\(context.debugDescription))"
            } else {
                "it is no JSON that can be read (\(context.debugDescription))"
            }
        case let error as CocoaError where error.code == .fileReadNoSuchFile:
            "there is no such file"
        default: error.localizedDescription
        }
    }
}

/// Adds records to a file, one line each, so that nothing measured is lost.
public final class ResultWriter {
    private let path: String
    private let handle: FileHandle
    private let encoder: JSONEncoder
    /// Bytes of whole lines.
    private var end: UInt64
    /// What the file held when it was opened, and what was added.
    public private(set) var records: [ResultRecord]

    /// Opens a file to go on with, or makes it.
    ///
    /// - Throws: ``ResultError``.
    public init(path: String) throws(ResultError) {
        self.path = path
        var bytes = 0
        records = []
        if FileManager.default.fileExists(atPath: path) {
            (records, bytes) = try ResultFile.load(path)
        } else if !FileManager.default.createFile(atPath: path, contents: nil) {
            throw .unwritable(
                path: path, reason: "the file cannot be made; is there such a folder?")
        }
        guard let handle = FileHandle(forUpdatingAtPath: path) else {
            throw .unwritable(path: path, reason: "it cannot be opened for writing")
        }
        self.handle = handle
        end = UInt64(bytes)
        encoder = Self.makeEncoder()
        do {
            try handle.truncate(atOffset: end)
            try handle.seek(toOffset: end)
        } catch {
            throw .unwritable(path: path, reason: ResultFile.reason(of: error))
        }
    }

    /// Writes to what is open already, from its start.
    package init(path: String, handle: FileHandle) {
        self.path = path
        self.handle = handle
        end = 0
        encoder = Self.makeEncoder()
        records = []
    }

    deinit { try? handle.close() }

    private static func makeEncoder() -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return encoder
    }

    /// Adds a line. On a full disk the file keeps its whole lines, and the run can go on from there later.
    public func add(_ record: ResultRecord) throws(ResultError) {
        do {
            let line = try encoder.encode(record) + [0x0A]
            try handle.write(contentsOf: line)
            end += UInt64(line.count)
        } catch {
            try? handle.truncate(atOffset: end)
            try? handle.seek(toOffset: end)
            throw .unwritable(path: path, reason: ResultFile.reason(of: error))
        }
        records.append(record)
    }
}
