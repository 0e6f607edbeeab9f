import CUDABackend
import Foundation
import Testing

@Suite("Compiled kernels on the disk")
struct KernelFolderTests {
    private func withFolder(_ body: (KernelFolder) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory
            .appending(path: "innerq-kernels-\(UUID().uuidString)").path()
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(KernelFolder(path: path))
    }

    private let cubin = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) }

    @Test("What is kept is found again, and nothing else")
    func roundTrip() throws {
        try withFolder { folder in
            #expect(folder.cubin("a") == nil)
            #expect(folder.keep(cubin, "a"))
            #expect(folder.cubin("a") == cubin)
            #expect(folder.cubin("b") == nil)
            // Nothing else is left lying there.
            let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            #expect(names == ["a.cubin"])
        }
    }

    @Test("A damaged file is noticed, thrown away and can be written anew")
    func damaged() throws {
        try withFolder { folder in
            let file = URL(fileURLWithPath: folder.file("a"))
            let damages: [(inout Data) -> Void] = [
                { $0[500] ^= 1 }, { $0[3] ^= 1 }, { $0[20] ^= 1 }, { $0 = $0.dropLast() },
                { $0 = $0.prefix(40) }, { $0 = $0.prefix(5) }, { $0 = Data() }, { $0.append(0) },
            ]
            for (number, damage) in damages.enumerated() {
                #expect(folder.keep(cubin, "a"))
                var data = try Data(contentsOf: file)
                damage(&data)
                try data.write(to: file)
                #expect(folder.cubin("a") == nil, "damage \(number)")
                #expect(!FileManager.default.fileExists(atPath: folder.file("a")))
            }
            #expect(folder.keep(cubin, "a"))
            #expect(folder.cubin("a") == cubin)
        }
    }

    @Test("Many writers of one file leave a whole one")
    func writers() async throws {
        let path = FileManager.default.temporaryDirectory
            .appending(path: "innerq-kernels-\(UUID().uuidString)").path()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let folder = KernelFolder(path: path)
        await withTaskGroup(of: Bool.self) { group in
            for writer in 0..<8 {
                group.addTask {
                    let bytes = [UInt8](repeating: UInt8(writer), count: 20_000)
                    var sound = true
                    for _ in 0..<20 {
                        folder.keep(bytes, "a")
                        // Whoever wrote it, it is of one piece.
                        let read = folder.cubin("a") ?? []
                        sound = sound && read.count == 20_000 && Set(read).count == 1
                    }
                    return sound
                }
            }
            for await sound in group { #expect(sound) }
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: path)
        #expect(names == ["a.cubin"])
    }

    @Test("A folder that cannot be written costs nothing but the keeping")
    func unwritable() {
        let folder = KernelFolder(path: "/proc/innerq/kernels")
        #expect(!folder.keep(cubin, "a"))
        #expect(folder.cubin("a") == nil)
    }

    @Test("Where it is, by the environment")
    func place() {
        func path(_ environment: [String: String]) -> String? {
            KernelFolder.default(environment: environment)?.path
        }
        #expect(path(["INNERQ_KERNEL_CACHE": "/k", "HOME": "/h"]) == "/k")
        #expect(path(["XDG_CACHE_HOME": "/x", "HOME": "/h"]) == "/x/innerq/kernels")
        #expect(path(["XDG_CACHE_HOME": "x", "HOME": "/h"]) == "/h/.cache/innerq/kernels")
        #expect(path(["HOME": "/h"]) == "/h/.cache/innerq/kernels")
        #expect(path([:]) == nil)
    }
}
