import Foundation
import ModelFiles
import Testing

@Suite("Tokenizers keep what they are given")
struct TokenizerRoundTripTests {
    @Test("byte-level: random UTF-8 comes back", arguments: ["gpt2", "llama3"])
    func randomText(name: String) throws {
        let tokenizer = try TokenizerFixtures.tokenizer(name)
        var random = SeededGenerator(seed: 11)
        for _ in 0..<2000 {
            var text = ""
            for _ in 0..<Int.random(in: 0...40, using: &random) {
                let limit: UInt32 = [0x80, 0x800, 0x10000, 0x110000].randomElement(using: &random)!
                let value = UInt32.random(in: 0..<limit, using: &random)
                if let scalar = Unicode.Scalar(value) { text.unicodeScalars.append(scalar) }
            }
            let ids = tokenizer.encode(text, addSpecial: false)
            #expect(Array(tokenizer.decode(ids).utf8) == Array(text.utf8))
        }
    }

    @Test("any bytes come back", arguments: ["gpt2", "llama3", "llama2", "gemma"])
    func randomBytes(name: String) throws {
        let tokenizer = try TokenizerFixtures.tokenizer(name, fromFields: true)
        var random = SeededGenerator(seed: 12)
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                Bool.random(using: &random)
                    ? UInt8.random(in: 0...255, using: &random)
                    : UInt8.random(in: 0x20...0x7E, using: &random)
            }
            let ids = tokenizer.encode(bytes: bytes, addSpecial: false)
            #expect(tokenizer.decodeBytes(ids) == bytes)
            #expect(ids.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize })
        }
    }

    @Test("Qwen2 composes: every character comes back in normalization form C")
    func composes() throws {
        let tokenizer = try TokenizerFixtures.tokenizer("qwen2")
        func composed(_ text: String) -> String {
            tokenizer.decode(tokenizer.encode(text, addSpecial: false))
        }
        // Swift compares by canonical equivalence, which is what must not change.
        for start in stride(from: UInt32(0), to: 0x30000, by: 0x400) {
            for value in start..<start + 0x400 {
                guard let scalar = Unicode.Scalar(value) else { continue }
                let text = "x\(Character(scalar))y"
                let once = composed(text)
                #expect(once == text, "U+\(String(value, radix: 16))")
                #expect(once.unicodeScalars.count <= 6)
            }
        }
        let pairs = [
            ("e\u{301}", "\u{E9}"), ("a\u{323}\u{302}", "\u{1EAD}"),
            ("a\u{302}\u{323}", "\u{1EAD}"),
            ("\u{1100}\u{1161}\u{11A8}", "\u{AC01}"), ("\u{AC00}\u{11A8}", "\u{AC01}"),
            ("\u{B0A9}", "\u{B0A9}"), ("\u{958}", "\u{915}\u{93C}"), ("\u{212B}", "\u{C5}"),
            ("\u{344}", "\u{308}\u{301}"), ("q\u{307}\u{323}", "q\u{323}\u{307}"),
            ("\u{9C7}\u{9BE}", "\u{9CB}"), ("a\u{5AE}\u{301}b", "\u{E1}\u{5AE}b"),
        ]
        for (text, wanted) in pairs {
            #expect(
                Array(composed(text).unicodeScalars) == Array(wanted.unicodeScalars), "\(wanted)")
        }
    }

    @Test("a byte without a piece is dropped, its neighbours merge")
    func dropsMissingBytes() throws {
        let tokenizer = try TokenizerFixtures.tokenizer("smollm")
        #expect(tokenizer.decode(tokenizer.encode("the\u{4}re")) == "there")
        let merged = tokenizer.encode(">=", addSpecial: false)
        #expect(merged.count == 1)
        #expect(tokenizer.encode(">\u{13}=", addSpecial: false) == merged)
    }

    @Test("streams give what decoding gives", arguments: TokenizerFixtures.all)
    func streams(name: String) throws {
        let tokenizer = try TokenizerFixtures.tokenizer(name)
        var random = SeededGenerator(seed: 13)
        var sequences = try TokenizerFixtures.cases().map {
            tokenizer.encode(bytes: $0.bytes, parseSpecial: true)
        }
        for _ in 0..<300 {
            sequences.append(
                (0..<Int.random(in: 0...30, using: &random)).map { _ in
                    Int32.random(in: -3...Int32(tokenizer.vocabularySize) + 3, using: &random)
                })
        }
        for ids in sequences {
            for skipSpecial in [false, true] {
                var stream = StreamDecoder(tokenizer, skipSpecial: skipSpecial)
                var text = ""
                for id in ids {
                    let part = stream.append(id)
                    text += part
                }
                text += stream.flush()
                #expect(
                    text.utf8.elementsEqual(tokenizer.decode(ids, skipSpecial: skipSpecial).utf8))
            }
        }
    }

    @Test("a stream holds back parts of characters, and nothing else")
    func streamsWholeCharacters() throws {
        let tokenizer = try TokenizerFixtures.tokenizer("gpt2")
        var stream = StreamDecoder(tokenizer)
        let parts = Array("a€😀".utf8).map { byte in
            stream.append(tokenizer.encode(bytes: [byte], addSpecial: false)[0])
        }
        #expect(parts == ["a", "", "", "€", "", "", "", "😀"])
        #expect(stream.append(tokenizer.encode(bytes: [0xF0], addSpecial: false)[0]) == "")
        #expect(stream.flush() == "\u{FFFD}")
        #expect(stream.flush() == "")
    }

    @Test("a reply keeps the blank that a text's first word loses")
    func streamContinues() throws {
        let tokenizer = try TokenizerFixtures.tokenizer("llama2")
        let ids = tokenizer.encode("the end", addSpecial: false)
        var fresh = StreamDecoder(tokenizer)
        var later = StreamDecoder(tokenizer, continues: true)
        #expect(ids.map { fresh.append($0) }.joined() == "the end")
        #expect(ids.map { later.append($0) }.joined() == " the end")
    }
}
