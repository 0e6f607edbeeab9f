import Foundation
import Reports
import Testing

@Suite("Files of results")
struct ResultFileTests {
    /// A path of its own in the system's temporary folder, removed at the end.
    private func withPath<Result>(_ body: (String) throws -> Result) rethrows -> Result {
        let path = NSTemporaryDirectory() + "results-\(UUID().uuidString).jsonl"
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }

    private static let everyKind: [ResultRecord] = {
        var histogram = LogHistogram()
        for value in [0.001, 0.5, 0.5, 80] { histogram.add(value) }
        return [
            .run(SampleRun.run()),
            .cache(
                CacheRecord(
                    cache: "a \"b\" \\ \n ü 日", policy: "p", keys: "k", values: "v",
                    sealedBits: 3.5,
                    isReference: false, isControl: true)),
            .memory(
                MemoryRecord(cache: "a", context: 4096, bytes: 123_456_789, bitsPerElement: 3.625)),
            .text(
                TextRecord(
                    cache: "a", text: "t", offset: 7, context: 2048, prefill: 512,
                    loss: Moments([1, 2, 4]), difference: Moments([0.1, -0.25, 0]),
                    divergence: Moments([0.001, 0.5, 0.5]), divergences: histogram, agreements: 2,
                    cacheBytes: 99, bitsPerElement: 4.25, seconds: 1.5)),
            .text(
                TextRecord(
                    cache: "broken", text: "t", offset: 0, context: 2048, prefill: 512,
                    loss: Moments([.infinity, 1]), cacheBytes: 99, bitsPerElement: 4.25, seconds: 0)
            ),
            .layer(
                LayerRecord(
                    cache: "a", layer: 3, tokens: 64, keys: 0.1, values: 0.2, output: .infinity)),
            .speed(
                SpeedRecord(cache: "a", depth: 0, decode: [1, 2.5], prefill: [], cacheBytes: 5)),
            .sample(
                SampleRecord(
                    cache: "a", task: "gsm8k", id: "4/2", tags: ["length": 4096, "depth": 12.5],
                    scores: ["strict": 0, "flexible": 1], mainMetric: "flexible", answer: "42\n",
                    promptTokens: 9, answerTokens: 2, sealedTokens: 0, seconds: 0.25)),
        ]
    }()

    private func write(_ records: [ResultRecord], to path: String) throws {
        let writer = try ResultWriter(path: path)
        for record in records { try writer.add(record) }
    }

    @Test("Every kind of record reads back as it was written")
    func roundTrip() throws {
        try withPath { path in
            try write(Self.everyKind, to: path)
            #expect(try ResultFile.read(path) == Self.everyKind)
            // One line each.
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(text.split(separator: "\n").count == Self.everyKind.count)
        }
    }

    @Test("A last line that is cut short is dropped, and the writer goes on behind the whole ones")
    func cutLine() throws {
        try withPath { path in
            try write(Self.everyKind, to: path)
            let whole = try Data(contentsOf: URL(fileURLWithPath: path))
            let kept = Array(Self.everyKind.dropLast())
            for cut in [1, 2, 40] {
                try whole.dropLast(cut).write(to: URL(fileURLWithPath: path))
                #expect(try ResultFile.read(path) == kept)
            }
            let writer = try ResultWriter(path: path)
            #expect(writer.records == kept)
            try writer.add(Self.everyKind[2])
            #expect(writer.records == kept + [Self.everyKind[2]])
            #expect(try ResultFile.read(path) == kept + [Self.everyKind[2]])
        }
    }

    @Test("An empty file holds no records, and one that is not there is named")
    func emptyAndMissing() throws {
        try withPath { path in
            #expect(throws: ResultError.unreadable(path: path, reason: "there is no such file")) {
                try ResultFile.read(path)
            }
            try Data().write(to: URL(fileURLWithPath: path))
            #expect(try ResultFile.read(path).isEmpty)
            try Data("{\"kind\":\"ru".utf8).write(to: URL(fileURLWithPath: path))
            #expect(try ResultFile.read(path).isEmpty)
        }
    }

    @Test(
        "A damaged line is named with its field",
        arguments: [
            (
                #"{"kind":"memory","cache":"a","context":1,"bytes":2}"#,
                "the field 'bitsPerElement' is missing"
            ),
            (
                #"{"kind":"memory","cache":"a","context":"x","bytes":2,"bitsPerElement":3}"#,
                "the field 'context'"
            ),
            (
                #"{"kind":"memory","cache":null,"context":1,"bytes":2,"bitsPerElement":3}"#,
                "the field 'cache'"
            ),
            (
                #"{"kind":"memory","cache":"a","context":-1,"bytes":2,"bitsPerElement":3}"#,
                "the field 'context' is out of range (-1)"
            ),
            (
                #"{"kind":"memory","cache":"a","context":1,"bytes":9223372036854775807,"bitsPerElement":3}"#,
                "the field 'bytes' is out of range"
            ),
            (
                #"{"kind":"layer","cache":"a","layer":1e99,"tokens":2,"keys":3,"values":1,"output":1}"#,
                "it is no JSON that can be read"
            ),
            (#"{"kind":"melody","cache":"a"}"#, "the field 'kind'"),
            (#"{"cache":"a"}"#, "the field 'kind' is missing"),
            ("[1, 2]", "it is no JSON object"),
            ("no json", "it is no JSON"),
            (
                #"{"kind":"text","cache":"a","text":"t","offset":0,"context":1,"prefill":0,"loss":{"count":9223372036854775807,"sum":1,"squares":1,"largest":1},"cacheBytes":1,"bitsPerElement":1,"seconds":1}"#,
                "is out of range"
            ),
            (
                #"{"kind":"text","cache":"a","text":"t","offset":0,"context":1,"prefill":0,"loss":{"count":1,"sum":1,"squares":1,"largest":1},"divergences":[3,1,9],"cacheBytes":1,"bitsPerElement":1,"seconds":1}"#,
                "the field 'divergences'"
            ),
            (
                #"{"kind":"text","cache":"a","text":"t","offset":0,"context":1,"prefill":0,"loss":{"count":1,"sum":1,"squares":1,"largest":1},"agreements":2,"cacheBytes":1,"bitsPerElement":1,"seconds":1}"#,
                "the field 'agreements'"
            ),
        ])
    func damagedLine(_ line: String, _ words: String) throws {
        try withPath { path in
            let good = #"{"bitsPerElement":3.5,"bytes":8,"cache":"a","context":4,"kind":"memory"}"#
            try Data("\(good)\n\(line)\n\(good)\n".utf8).write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: ResultError.self) { try ResultFile.read(path) }
            guard case .badLine(path, 2, let reason)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(reason.contains(words), "\(reason)")
            // The writer does not go on in it either, and leaves it as it is.
            let before = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect(throws: ResultError.self) { try ResultWriter(path: path) }
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        }
    }

    @Test("A file of another version is refused by its line, whatever else has changed in it")
    func otherVersion() throws {
        try withPath { path in
            try Data("{\"kind\":\"run\",\"version\":2,\"weights\":[]}\n".utf8).write(
                to: URL(fileURLWithPath: path))
            #expect(
                throws: ResultError.badLine(
                    path: path, line: 1,
                    reason: "it is of version 2, and this program reads version 1")
            ) { try ResultFile.read(path) }
        }
    }

    @Test("A folder that is not there, and a folder in place of a file, are named")
    func unwritable() {
        withPath { path in
            let error = #expect(throws: ResultError.self) {
                try ResultWriter(path: path + "/none/x.jsonl")
            }
            guard case .unwritable? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
        let folder = #expect(throws: ResultError.self) {
            try ResultWriter(path: NSTemporaryDirectory())
        }
        guard case .unreadable? = folder else {
            Issue.record("\(String(describing: folder))")
            return
        }
    }

    @Test(
        "A full disk is said, and nothing counts as written",
        .enabled(if: FileManager.default.fileExists(atPath: "/dev/full"), "needs /dev/full"))
    func fullDisk() throws {
        let handle = try #require(FileHandle(forWritingAtPath: "/dev/full"))
        let writer = ResultWriter(path: "/dev/full", handle: handle)
        let error = #expect(throws: ResultError.self) { try writer.add(Self.everyKind[0]) }
        guard case .unwritable("/dev/full", _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(writer.records.isEmpty)
    }
}
