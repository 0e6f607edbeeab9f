import Crypto
import Foundation
import KVCache
import Testing

@Suite struct CalibrationFileTests {
    private static let shape = CalibrationShape(kvHeads: 2, headSize: 16)
    private let keys = CodebookKey(
        tensor: .keys, bits: 3, vector: .channel, outliers: 0.01, preRotary: true)
    private let values = CodebookKey(
        tensor: .values, bits: 2, vector: .token, outliers: 0, preRotary: false)

    private func table(_ key: CodebookKey, offset: Float) -> CodebookTable {
        let levels = (0..<1 << key.bits).map { Float($0) / 8 - 0.6 + offset }
        let ends = key.vector == .channel ? Self.shape.channels : 0
        return CodebookTable(
            lows: (0..<ends).map { -Float($0) - offset },
            highs: (0..<ends).map { Float($0) * 2 + offset }, levels: levels,
            decoded: key.bits == 2 ? levels.map { $0 * 1.2 } : nil)
    }

    private var calibration: CacheCalibration {
        CacheCalibration(
            fingerprint: (0..<32).map { UInt8($0) }, shapes: [Self.shape, Self.shape],
            source: CacheCalibration.Source(
                text: "made up", tokenDigest: "00", samples: 2, length: 16, weights: .fisher,
                skippedTokens: 1),
            layers: [
                [keys: table(keys, offset: 0), values: table(values, offset: 0.1)],
                // A layer may have fewer.
                [keys: table(keys, offset: 0.2)],
            ])
    }

    private func withFile(_ body: (String) throws -> Void) throws {
        let path =
            FileManager.default.temporaryDirectory.path + "/innerq-table-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    @Test func comesBackAsItWas() throws {
        try withFile { path in
            try calibration.write(to: path)
            #expect(try CacheCalibration.read(path) == calibration)
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect(bytes.starts(with: Array("INNERQCB".utf8)))
            // Written again, over itself: the same bytes.
            try calibration.write(to: path)
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
            let folder = (path as NSString).deletingLastPathComponent
            let name = (path as NSString).lastPathComponent
            let left = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(left.filter { $0.hasPrefix(name) } == [name])
        }
    }

    @Test func everyTruncationIsRefused() throws {
        try withFile { path in
            try calibration.write(to: path)
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            for count in 0..<bytes.count {
                try bytes.prefix(count).write(to: URL(fileURLWithPath: path))
                let error = try #require(throws: CalibrationFileError.self) {
                    try CacheCalibration.read(path)
                }
                switch error {
                case .truncated(path, let expected, count): #expect(expected > count)
                case .notACalibration(path): #expect(count == 0)
                default: Issue.record("\(count): \(error)")
                }
            }
            try (bytes + [0]).write(to: URL(fileURLWithPath: path))
            #expect(throws: CalibrationFileError.damaged(path: path, "1 bytes follow its end")) {
                try CacheCalibration.read(path)
            }
        }
    }

    @Test func everyFlippedBitIsRefused() throws {
        try withFile { path in
            try calibration.write(to: path)
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            for place in bytes.indices {
                var flipped = bytes
                flipped[place] ^= UInt8(1 << (place % 8))
                try flipped.write(to: URL(fileURLWithPath: path))
                #expect(throws: CalibrationFileError.self) { try CacheCalibration.read(path) }
            }
            var version = bytes
            version[8] = 9
            try version.write(to: URL(fileURLWithPath: path))
            #expect(throws: CalibrationFileError.unsupportedVersion(path: path, 9)) {
                try CacheCalibration.read(path)
            }
        }
    }

    /// A right checksum is no excuse.
    @Test func impossibleNumbersAreRefused() throws {
        try withFile { path in
            try calibration.write(to: path)
            let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            let header = bytes.withUnsafeBytes {
                Int($0.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
            }
            let payload = 16 + header
            let levels = payload + 4 * 2 * Self.shape.channels
            for (place, value, what) in [
                (levels, Float.nan, "level"), (levels, 1.5, "level"), (levels + 4, -0.9, "rise"),
                (payload, .infinity, "range"), (payload, 1e6, "range"),
                (payload + 4, 60000, "range"), (levels + 4 * 8, .nan, "stands for"),
                (levels + 4 * 9, -0.9, "rise"),
            ] {
                var changed = bytes.dropLast(32)
                withUnsafeBytes(of: value.bitPattern.littleEndian) {
                    changed.replaceSubrange(place..<place + 4, with: $0)
                }
                changed.append(contentsOf: SHA256.hash(data: changed))
                try changed.write(to: URL(fileURLWithPath: path))
                let error = try #require(throws: CalibrationFileError.self) {
                    try CacheCalibration.read(path)
                }
                guard case .damaged(path, let fault) = error else {
                    Issue.record("\(error)")
                    continue
                }
                #expect(fault.contains(what), "\(fault)")
            }
        }
    }

    @Test func nonsenseIsNotWritten() throws {
        try withFile { path in
            var bad = calibration
            bad.layers[0][values]?.levels[1] = .nan
            #expect(throws: CalibrationFileError.self) { try bad.write(to: path) }
            bad = calibration
            bad.layers.removeLast()
            #expect(throws: CalibrationFileError.self) { try bad.write(to: path) }
            #expect(!FileManager.default.fileExists(atPath: path))
            let nowhere = "/nowhere/at/all"
            let error = try #require(throws: CalibrationFileError.self) {
                try calibration.write(to: nowhere)
            }
            #expect(error.description.contains(nowhere))
            #expect(throws: CalibrationFileError.self) { try CacheCalibration.read(nowhere) }
            try Data("Dear calibration".utf8).write(to: URL(fileURLWithPath: path))
            #expect(throws: CalibrationFileError.notACalibration(path: path)) {
                try CacheCalibration.read(path)
            }
        }
    }

    @Test func anotherModelIsRefusedWithTheReason() throws {
        func shape(_ kvHeads: Int, _ headSize: Int, layers: Int = 2) -> CacheShape {
            let layer = LayerShape(queryHeads: 4, kvHeads: kvHeads, headSize: headSize)
            return CacheShape(layers: Array(repeating: layer, count: layers))
        }
        let fingerprint = calibration.fingerprint
        try calibration.check(fingerprint: fingerprint, shape: shape(2, 16))
        func refuses(_ shape: CacheShape, _ fingerprint: [UInt8], saying texts: String...) throws {
            let error = try #require(throws: CalibrationMismatch.self) {
                try calibration.check(fingerprint: fingerprint, shape: shape)
            }
            for text in texts + ["innerq calibrate"] {
                #expect(error.description.contains(text), "\(error)")
            }
        }
        try refuses(shape(2, 16), [1, 2], saying: "another model")
        try refuses(shape(2, 64), fingerprint, saying: "size 16", "64")
        try refuses(shape(4, 16), fingerprint, saying: "2 key and value heads", "4")
        try refuses(shape(2, 16, layers: 3), fingerprint, saying: "2 layers", "3")
    }
}
