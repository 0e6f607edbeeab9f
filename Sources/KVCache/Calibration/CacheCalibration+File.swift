internal import Crypto
internal import Foundation

/// A calibration in a file.
///
///     0        8 bytes   "INNERQCB"
///     8        UInt32    version, little endian as everything
///     12       UInt32    length H of the header
///     16       H bytes   header, JSON
///     16+H     payload   float32, layer by layer, table by table as the header lists them:
///                            lows [KV head][channel], highs     with a range for each channel only
///                            levels [2^bits], decoded [2^bits]
///     end−32   32 bytes  SHA-256 of all bytes before
///
/// The header holds the model's fingerprint and heads, how the calibration was made, and the tables' keys, from which all
/// lengths follow.
extension CacheCalibration {
    public static let version = 1
    private static let magic = Array("INNERQCB".utf8)
    private static let largestHeader = 1 << 26
    /// Kinds of tables at most.
    private static let mostKeys = 1 << 12
    private static let frame = 16 + 32

    private struct Header: Codable {
        var fingerprint: Data
        var shapes: [CalibrationShape]
        var source: Source
        var keys: [CodebookKey]
        /// Of each layer: the keys of its tables, by index.
        var layers: [[Int]]
    }

    // MARK: - Writing

    /// Saves the calibration. The file appears whole or not at all: it is written beside its place and renamed.
    public func write(to path: String) throws(CalibrationFileError) {
        if let fault { throw .unsound(fault) }
        let keys = Set(layers.flatMap(\.keys)).sorted(by: CodebookKey.isOrdered)
        guard keys.count <= Self.mostKeys else { throw .unsound("it has \(keys.count) kinds") }
        let header = Header(
            fingerprint: Data(fingerprint), shapes: shapes, source: source, keys: keys,
            layers: layers.map { tables in keys.indices.filter { tables[keys[$0]] != nil } })
        var bytes = 0
        let temporary = path + ".\(ProcessInfo.processInfo.processIdentifier).temporary"
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            let json = try encoder.encode(header)
            var data = Data(Self.magic)
            data.append(littleEndian: UInt32(Self.version))
            data.append(littleEndian: UInt32(json.count))
            data.append(json)
            for tables in layers {
                for case let table? in keys.map({ tables[$0] }) {
                    for values in [table.lows, table.highs, table.levels, table.decoded] {
                        for value in values { data.append(littleEndian: value.bitPattern) }
                    }
                }
            }
            data.append(contentsOf: SHA256.hash(data: data))
            bytes = data.count
            guard FileManager.default.createFile(atPath: temporary, contents: nil) else {
                throw CocoaError(.fileWriteNoPermission)
            }
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: temporary))
            defer { try? file.close() }
            try file.write(contentsOf: data)
            try file.synchronize()
            guard rename(temporary, path) == 0 else {
                throw POSIXError(.init(rawValue: errno) ?? .EIO)
            }
        } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            throw .cannotWrite(path: path, bytes: bytes, reason: FileFailure.reason(error))
        }
    }

    // MARK: - Reading

    /// Reads a calibration. Nothing in the file is believed before its length, checksum and every number are checked.
    ///
    /// ``check(fingerprint:shape:)`` tells whether it is one for a given model.
    public static func read(_ path: String) throws(CalibrationFileError) -> CacheCalibration {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
        } catch {
            throw .cannotRead(path: path, reason: FileFailure.reason(error))
        }
        let (header, payload) = try open(data, path: path)
        guard SHA256.hash(data: data.prefix(data.count - 32)).elementsEqual(data.suffix(32)) else {
            throw .damaged(path: path, "its checksum does not match")
        }
        var offset = payload
        func floats(_ count: Int) -> [Float] {
            data.withUnsafeBytes { bytes in
                defer { offset += 4 * count }
                return (0..<count).map {
                    Float(
                        bitPattern: UInt32(
                            littleEndian: bytes.loadUnaligned(
                                fromByteOffset: offset + 4 * $0, as: UInt32.self)))
                }
            }
        }
        var layers: [[CodebookKey: CodebookTable]] = []
        for (shape, indices) in zip(header.shapes, header.layers) {
            var tables: [CodebookKey: CodebookTable] = [:]
            for key in indices.map({ header.keys[$0] }) {
                let ends = key.rangeCount(shape)
                let lows = floats(ends)
                let highs = floats(ends)
                let levels = floats(1 << key.bits)
                tables[key] = CodebookTable(
                    lows: lows, highs: highs, levels: levels, decoded: floats(1 << key.bits))
            }
            layers.append(tables)
        }
        let calibration = CacheCalibration(
            fingerprint: Array(header.fingerprint), shapes: header.shapes, source: header.source,
            layers: layers)
        if let fault = calibration.fault { throw .damaged(path: path, fault) }
        return calibration
    }

    /// Checks a file's frame: magic, version, header, and that its size is what the header implies.
    private static func open(
        _ data: Data, path: String
    ) throws(CalibrationFileError) -> (header: Header, payload: Int) {
        guard data.starts(with: magic.prefix(data.count)), !data.isEmpty else {
            throw .notACalibration(path: path)
        }
        guard data.count >= frame else {
            throw .truncated(path: path, expected: frame, found: data.count)
        }
        func number(_ offset: Int) -> Int {
            data.withUnsafeBytes {
                Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            }
        }
        guard number(8) == version else { throw .unsupportedVersion(path: path, number(8)) }
        let length = number(12)
        guard length <= largestHeader else {
            throw .damaged(path: path, "its header claims \(length) bytes")
        }
        guard data.count >= frame + length else {
            throw .truncated(path: path, expected: frame + length, found: data.count)
        }
        let header: Header
        do {
            header = try JSONDecoder().decode(Header.self, from: data[16..<16 + length])
        } catch {
            throw .damaged(path: path, "its header cannot be read")
        }
        guard let tables = tableBytes(header) else {
            throw .damaged(path: path, "its header is impossible")
        }
        let expected = frame + length + tables
        guard data.count == expected else {
            if data.count < expected {
                throw .truncated(path: path, expected: expected, found: data.count)
            }
            throw .damaged(path: path, "\(data.count - expected) bytes follow its end")
        }
        return (header, 16 + length)
    }

    /// Bytes of the payload; `nil` if the header cannot be.
    private static func tableBytes(_ header: Header) -> Int? {
        guard (1...CacheShape.mostLayers).contains(header.shapes.count),
            header.layers.count == header.shapes.count, header.keys.count <= mostKeys,
            Set(header.keys).count == header.keys.count,
            header.keys.allSatisfy({ $0.fault == nil })
        else { return nil }
        var floats = 0
        for (shape, indices) in zip(header.shapes, header.layers) {
            // Bounded, so that no sum overflows.
            guard (1...LayerShape.mostHeads).contains(shape.kvHeads),
                (1...256).contains(shape.headSize), Set(indices).count == indices.count
            else { return nil }
            for index in indices {
                guard header.keys.indices.contains(index) else { return nil }
                let key = header.keys[index]
                floats += 2 * key.rangeCount(shape) + 2 << key.bits
            }
        }
        return 4 * floats
    }
}

extension Data {
    fileprivate mutating func append(littleEndian number: UInt32) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }
}
