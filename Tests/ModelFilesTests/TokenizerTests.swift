import Foundation
import ModelFiles
import Testing

@Suite("Tokenizers give the ids of the reference")
struct TokenizerTests {
    @Test(
        "hard text, from tokenizer.json and from fields",
        arguments: TokenizerFixtures.all, [false, true])
    func equalsReference(name: String, fromFields: Bool) throws {
        let tokenizer = try TokenizerFixtures.tokenizer(name, fromFields: fromFields)
        let expected = try TokenizerFixtures.expected(name)
        var compared = 0
        for text in try TokenizerFixtures.cases() {
            // Broken UTF-8 has ids only where the reference can be given bytes.
            guard let ids = expected.plain[text.name] else { continue }
            compared += 1
            #expect(tokenizer.encode(bytes: text.bytes, addSpecial: false) == ids, "\(text.name)")
            guard let string = text.text else { continue }
            #expect(tokenizer.encode(string, addSpecial: false) == ids, "\(text.name)")
            #expect(
                tokenizer.encode(string, addSpecial: false, parseSpecial: true)
                    == expected.special[text.name] ?? ids, "\(text.name), special")
            let decoded = expected.decoded[text.name] ?? string
            #expect(Array(tokenizer.decode(ids).utf8) == Array(decoded.utf8), "\(text.name)")
        }
        #expect(compared > 75)
    }

    @Test("normalizers, prefixes, byte fallback and flags of added tokens")
    func variantsEqualReference() throws {
        let (texts, variants) = try TokenizerFixtures.variants()
        #expect(variants.count == 11)
        for (name, variant) in variants {
            let tokenizer = try Tokenizer(json: Self.json(of: variant))
            for (index, text) in texts.enumerated() {
                #expect(
                    tokenizer.encode(text, addSpecial: false) == variant.plain[index],
                    "\(name): \(text.debugDescription)")
                #expect(
                    tokenizer.encode(text, addSpecial: false, parseSpecial: true)
                        == variant.special[index] ?? variant.plain[index],
                    "\(name), special: \(text.debugDescription)")
            }
        }
    }

    static func json(of variant: TokenizerFixtures.Variant) throws -> Data {
        let data = try TokenizerFixtures.data("\(variant.base).tokenizer.json")
        var text = String(decoding: data, as: UTF8.self)
        for change in variant.changes {
            text = text.replacingOccurrences(of: change[0], with: change[1])
        }
        return Data(text.utf8)
    }

    @Test("what the file puts around a text is added on request only")
    func addsSpecialTokens() throws {
        for fromFields in [false, true] {
            let llama = try TokenizerFixtures.tokenizer("llama3", fromFields: fromFields)
            let begin = try #require(llama.id(ofPiece: "<|begin_of_text|>"))
            #expect(llama.encode("") == [begin])
            #expect(llama.encode("hi") == [begin] + llama.encode("hi", addSpecial: false))
            #expect(llama.isSpecial(begin))
            #expect(llama.beginningOfSequence == begin)
            let smol = try TokenizerFixtures.tokenizer("smollm", fromFields: fromFields)
            #expect(smol.encode("") == [])
        }
    }

    @Test("ends of generation are found by name and by field")
    func knowsEnds() throws {
        let smol = try TokenizerFixtures.tokenizer("smollm", fromFields: true)
        #expect(smol.endOfTurn == smol.id(ofPiece: "<|im_end|>"))
        #expect(
            smol.endOfGeneration
                == [smol.id(ofPiece: "<|endoftext|>"), smol.id(ofPiece: "<|im_end|>")])
        // In Gemma's vocabulary </s> is an HTML tag.
        let gemma = try TokenizerFixtures.tokenizer("gemma", fromFields: true)
        let tag = try #require(gemma.id(ofPiece: "</s>"))
        #expect(!gemma.endsGeneration(tag))
        #expect(gemma.endOfGeneration == [1, gemma.id(ofPiece: "<end_of_turn>")])
    }

    @Test("tokenizer_config.json names special tokens and holds the template")
    func readsConfig() throws {
        let config = """
            {"bos_token": {"content": "<|im_start|>", "lstrip": false}, "eos_token": "<|im_end|>",
             "pad_token": null, "add_bos_token": true, "add_eos_token": true,
             "chat_template": [{"name": "tool_use", "template": "t"},
                               {"name": "default", "template": "d"}]}
            """
        let json = try TokenizerFixtures.data("smollm.tokenizer.json")
        let tokenizer = try Tokenizer(json: json, config: Data(config.utf8))
        #expect(tokenizer.beginningOfSequence == 1)
        #expect(tokenizer.endOfSequence == 2)
        #expect(tokenizer.padding == nil)
        #expect(tokenizer.encode("") == [1, 2])
        #expect(tokenizer.chatTemplateSource == "d")
        let other = try Tokenizer(json: json, config: Data(config.utf8), chatTemplate: "own")
        #expect(other.chatTemplateSource == "own")
        #expect(throws: TokenizerError.missing(path: "eos_token “<none>” in the vocabulary")) {
            try Tokenizer(json: json, config: Data(#"{"eos_token": "<none>"}"#.utf8))
        }
    }

    @Test("pieces that differ only in normalization stay two")
    func keepsCanonicallyEquivalentPiecesApart() throws {
        let json = """
            {"model": {"type": "BPE", "vocab": {"<unk>": 0, "▁": 1, "e": 2, "\u{301}": 3,
             "\u{E9}": 4, "e\u{301}": 5}, "merges": [["e", "\u{301}"]], "unk_token": "<unk>"},
             "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}}
            """
        let tokenizer = try Tokenizer(json: Data(json.utf8))
        #expect(tokenizer.encode("\u{E9} e\u{301}", addSpecial: false) == [4, 1, 5])
    }
}
