import Foundation
import ModelFiles

/// A small seeded generator (SplitMix64), the same everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension MappedFile {
    /// Bytes read as a file.
    convenience init(_ bytes: [UInt8]) throws(ModelFileError) {
        // Typed throws do not pass through `withUnsafeBytes`, so the result does.
        let storage = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(bytes.count, 1), alignment: 8)
        defer { storage.deallocate() }
        storage.copyBytes(from: bytes)
        try self.init(
            copying: UnsafeRawBufferPointer(rebasing: storage[..<bytes.count]), path: "test.bin")
    }
}

/// Runs `body` with a fresh folder that is removed afterwards.
func withTemporaryFolder<T>(_ body: (String) throws -> T) throws -> T {
    let url = FileManager.default.temporaryDirectory
        .appendingPathComponent("innerq-files-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: url) }
    return try body(url.path)
}

func write(_ bytes: some Sequence<UInt8>, _ path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}

/// Little-endian bytes of an integer.
func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { [UInt8]($0) }
}

func littleEndian(_ values: [Float]) -> [UInt8] { values.flatMap { littleEndian($0.bitPattern) } }

/// The reason of the error that `body` throws; `nil` if it succeeds or throws something else.
func reason(_ body: () throws -> Void) -> ModelFileError.Reason? {
    do {
        try body()
        return nil
    } catch {
        return (error as? ModelFileError)?.reason
    }
}
