import ModelFiles
import Testing

@Suite struct FileJSONTests {
    private func parse(_ text: String) throws -> FileJSON { try parse(Array(text.utf8)) }

    private func parse(_ bytes: [UInt8]) throws -> FileJSON {
        try bytes.withUnsafeBytes { try FileJSON(parsing: $0, offset: 100, path: "x.json") }
    }

    @Test func readsEveryKindOfValue() throws {
        let json = try parse(
            """
             { "a" : [1, -2.5e3, true, false, null, "x\\n\\u00e9\\ud83d\\ude00/\\/"],
            \t"o": {}, "e": [ ], "big": 9223372036854775807, "bigger": 9223372036854775808 } \r\n
            """)
        let items = try #require(json["a"]?.array)
        #expect(items.count == 6)
        #expect(items[0].integer == 1)
        #expect(items[1].number == -2500)
        #expect(items[1].integer == nil)
        #expect(items[2].bool == true)
        #expect(items[3].bool == false)
        if case .null = items[4] {} else { Issue.record("not null") }
        #expect(items[5].string == "x\né😀//")
        #expect(json["o"]?.members?.isEmpty == true)
        #expect(json["e"]?.array?.isEmpty == true)
        #expect(json["big"]?.integer == .max)
        #expect(json["bigger"]?.integer == nil)
        #expect(json["bigger"]?.number == 0x1p63)
        #expect(json["none"] == nil)
    }

    @Test(arguments: [
        "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"", "{\"a\":", "{\"a\":1,}", "{a:1}", "nul",
        "truth", "+1", "1 2", "--1", "1e999", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"",
        "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\u{1}\"", "{\"a\":1,\"a\":2}", "NaN", "[1}",
    ]) func refusesWhatIsNotJSON(text: String) {
        #expect(reason { _ = try parse(text) } == .malformed)
    }

    @Test func refusesBrokenUTF8AndDeepNesting() {
        #expect(reason { _ = try parse([0x22, 0xC3, 0x28, 0x22]) } == .malformed)
        let deep = String(repeating: "[", count: 100_000)
        #expect(reason { _ = try parse(deep) } == .malformed)
    }

    @Test func errorsSayWhere() {
        do {
            _ = try parse("[1, x]")
            Issue.record("no error")
        } catch {
            #expect((error as? ModelFileError)?.offset == 104)
        }
    }
}
