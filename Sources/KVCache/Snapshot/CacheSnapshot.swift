internal import Crypto
public import Foundation

/// A sequence's cache in a file, to continue bit for bit.
///
///     0        8 bytes   "INNERQKV"
///     8        UInt32    version, little endian as everything
///     12       UInt32    length H of the header
///     16       H bytes   header, JSON
///     16+H     payload   tokens (Int32 each), then each layer: key scales, key means, ranges and levels of
///                        codebooks (float32), pages of
///                        sink, body and recent in token order (TileLayout draws a tile)
///     end−32   32 bytes  SHA-256 of all bytes before
///
/// The header holds policy, shape, token counts, the model's fingerprint and the caller's own state. Lengths follow
/// from the policy, so that a file whose size does not fit is refused before it is read.
public enum CacheSnapshot {
    public static let version = 3
    private static let magic = Array("INNERQKV".utf8)
    private static let largestHeader = 1 << 24
    /// So many that no byte count overflows; see ``LayerShape/mostHeads``.
    private static let mostTokens = Int(Int32.max)

    struct Header: Codable {
        var policy: CachePolicy
        var shape: CacheShape
        /// Tokens in the cache.
        var cached: Int
        /// Tokens in the file: those in the cache and those not yet run.
        var tokens: Int
        var fingerprint: Data
        var state: Data?
    }

    /// What a file holds besides the cache.
    public struct Contents: Sendable {
        public var tokens: [Int32]
        public var state: Data?
    }

    // MARK: - Writing

    /// Saves a cache. The file appears whole or not at all: it is written beside its place and renamed.
    ///
    /// - Parameters:
    ///   - tokens: the sequence so far; at least as many as the cache holds.
    ///   - fingerprint: of the model; another model's cache is refused when read.
    ///   - state: the caller's own, returned when read.
    public static func write(
        _ cache: SequenceCache, tokens: [Int32], fingerprint: [UInt8], state: Data? = nil,
        to path: String
    ) throws(SnapshotError) {
        guard cache.isConsistent else { throw .inconsistentCache }
        let header = Header(
            policy: cache.policy, shape: cache.shape, cached: cache.tokenCount,
            tokens: tokens.count,
            fingerprint: Data(fingerprint), state: state)
        let temporary = path + ".\(ProcessInfo.processInfo.processIdentifier).partial"
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            let json = try encoder.encode(header)
            guard FileManager.default.createFile(atPath: temporary, contents: nil) else {
                throw CocoaError(.fileWriteNoPermission)
            }
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: temporary))
            defer { try? file.close() }
            var hash = SHA256()
            func put(_ bytes: UnsafeRawBufferPointer) throws {
                hash.update(bufferPointer: bytes)
                try file.write(contentsOf: Data(bytes))
            }
            func put(_ number: UInt32) throws {
                try withUnsafeBytes(of: number.littleEndian) { try put($0) }
            }
            try magic.withUnsafeBytes { try put($0) }
            try put(UInt32(version))
            try put(UInt32(json.count))
            try json.withUnsafeBytes { try put($0) }
            try tokens.withUnsafeBytes { try put($0) }
            for layer in cache.layers { try layer.forEachPage { try put($0) } }
            try file.write(contentsOf: Data(hash.finalize()))
            try file.synchronize()
            guard rename(temporary, path) == 0 else {
                throw POSIXError(.init(rawValue: errno) ?? .EIO)
            }
        } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            throw .cannotWrite(
                path: path, bytes: cache.allocatedBytes + 4 * tokens.count,
                reason: FileFailure.reason(error))
        }
    }

    // MARK: - Reading

    /// Fills `cache`, made for the same model and policy, from a file. Everything is checked before it is touched.
    public static func read(
        _ path: String, into cache: SequenceCache, fingerprint: [UInt8]
    ) throws(SnapshotError) -> Contents {
        let (header, data, payload) = try open(path)
        guard Array(header.fingerprint) == fingerprint, header.shape == cache.shape else {
            throw .otherModel(path: path)
        }
        guard header.policy == cache.policy else {
            throw .otherPolicy(path: path, saved: header.policy.name, asked: cache.policy.name)
        }
        guard SHA256.hash(data: data.prefix(data.count - 32)).elementsEqual(data.suffix(32)) else {
            throw .damaged(path: path, "its checksum does not match")
        }
        guard pagesAreSound(data, from: payload + 4 * header.tokens, cache, header.cached) else {
            throw .damaged(path: path, "its float16 tokens or key normalizers are impossible")
        }
        let tokens = data.withUnsafeBytes { bytes in
            (0..<header.tokens).map {
                Int32(
                    littleEndian: bytes.loadUnaligned(
                        fromByteOffset: payload + 4 * $0, as: Int32.self))
            }
        }
        data.withUnsafeBytes { bytes in
            var offset = payload + 4 * header.tokens
            for layer in cache.layers {
                layer.restore(tokenCount: header.cached) { target in
                    target.copyMemory(
                        from: UnsafeRawBufferPointer(
                            rebasing: bytes[offset..<offset + target.count]))
                    offset += target.count
                }
            }
        }
        return Contents(tokens: tokens, state: header.state)
    }

    /// The policy that a file's cache was made with.
    public static func policy(of path: String) throws(SnapshotError) -> CachePolicy {
        try open(path).header.policy
    }

    /// Maps a file and checks its frame: magic, version, header, and that its size is what the header implies.
    private static func open(
        _ path: String
    ) throws(SnapshotError) -> (header: Header, data: Data, payload: Int) {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
        } catch {
            throw .cannotRead(path: path, reason: FileFailure.reason(error))
        }
        guard data.count >= 48 else {
            throw data.starts(with: magic.prefix(data.count))
                ? .truncated(path: path, expected: 48, found: data.count)
                : .notASnapshot(path: path)
        }
        guard data.starts(with: magic) else { throw .notASnapshot(path: path) }
        func number(_ offset: Int) -> Int {
            data.withUnsafeBytes {
                Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            }
        }
        guard number(8) == version else {
            throw .unsupportedVersion(path: path, number(8))
        }
        let length = number(12)
        guard length <= largestHeader else {
            throw .damaged(path: path, "its header claims \(length) bytes")
        }
        guard data.count >= 48 + length else {
            throw .truncated(path: path, expected: 48 + length, found: data.count)
        }
        let header: Header
        do {
            header = try JSONDecoder().decode(Header.self, from: data[16..<16 + length])
            try header.policy.validate(for: header.shape)
        } catch {
            throw .damaged(path: path, "its header cannot be read")
        }
        guard (0...mostTokens).contains(header.cached),
            (header.cached...mostTokens).contains(header.tokens)
        else { throw .damaged(path: path, "its token counts are impossible") }
        let bytes = header.policy.byteCount(shape: header.shape, tokens: header.cached).total
        let expected = 48 + length + 4 * header.tokens + bytes
        guard data.count == expected else {
            if data.count < expected {
                throw .truncated(path: path, expected: expected, found: data.count)
            }
            throw .damaged(path: path, "\(data.count - expected) bytes follow its end")
        }
        return (header, data, 16 + length)
    }
}
