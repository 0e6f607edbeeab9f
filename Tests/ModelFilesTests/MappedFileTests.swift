import Foundation
import ModelFiles
import Testing

@Suite struct MappedFileTests {
    @Test func mapsTheWholeFile() throws {
        try withTemporaryFolder { folder in
            let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
            try write(content, folder + "/data")
            let file = try MappedFile(path: folder + "/data")
            #expect(file.count == content.count)
            #expect(file.bytes.elementsEqual(content))
            #expect(file.path == folder + "/data")
        }
    }

    @Test func releasedPagesAreReadFromTheFileAgain() throws {
        try withTemporaryFolder { folder in
            let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
            try write(content, folder + "/data")
            let file = try MappedFile(path: folder + "/data")
            #expect(file.bytes.elementsEqual(content))
            // Ends in the middle of pages; less than a page; nothing.
            for part in [0..<100_000, 5000..<60_001, 10..<20, 7..<7] {
                file.release(UnsafeRawBufferPointer(rebasing: file.bytes[part]))
                #expect(file.bytes.elementsEqual(content))
            }
            let copy = try content.withUnsafeBytes { try MappedFile(copying: $0, path: "memory") }
            copy.release(copy.bytes)
            #expect(copy.bytes.elementsEqual(content))
        }
    }

    @Test func namesWhatIsWrong() throws {
        try withTemporaryFolder { folder in
            try write([], folder + "/empty")
            #expect(reason { _ = try MappedFile(path: folder + "/none") } == .missing)
            #expect(reason { _ = try MappedFile(path: folder + "/empty/below") } == .missing)
            #expect(reason { _ = try MappedFile(path: folder) } == .isDirectory)
            #expect(reason { _ = try MappedFile(path: folder + "/empty") } == .empty)
            #expect(reason { _ = try MappedFile(path: "/dev/zero") } == .notReadable)
            #expect(mkfifo(folder + "/pipe", 0o600) == 0)
            #expect(reason { _ = try MappedFile(path: folder + "/pipe") } == .notReadable)
        }
    }

    @Test(.enabled(if: getuid() != 0, "root may read everything"))
    func refusesAFileWithoutPermission() throws {
        try withTemporaryFolder { folder in
            try write([1], folder + "/secret")
            #expect(chmod(folder + "/secret", 0) == 0)
            #expect(reason { _ = try MappedFile(path: folder + "/secret") } == .notReadable)
        }
    }

    @Test func keepsTheBytesWhileAViewLives() throws {
        let view = try #require(
            try GGUFReader(file: MappedFile(TinyModel.gguf().bytes())).tensor(
                named: "output_norm.weight"))
        // The reader and its own reference to the file are gone.
        #expect(view.floats() == TinyModel.values([32], seed: 19))
    }

    @Test func errorsReadAsSentences() {
        let error = ModelFileError(.truncated, path: "a.gguf", offset: 12, "It is cut off.")
        #expect("\(error)" == "a.gguf, byte 12: It is cut off.")
        #expect((error as any Error).localizedDescription == "a.gguf, byte 12: It is cut off.")
    }
}
