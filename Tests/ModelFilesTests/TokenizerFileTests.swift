import Foundation
import ModelFiles
import Testing

@Suite("Damaged tokenizers are refused")
struct TokenizerFileTests {
    private func error(_ change: (inout TokenizerFields) -> Void) throws -> TokenizerError? {
        var fields = try TokenizerFixtures.fields("smollm")
        change(&fields)
        do {
            _ = try Tokenizer(fields: fields)
            return nil
        } catch {
            return error
        }
    }

    @Test("fields")
    func fields() throws {
        #expect(try error { _ in } == nil)
        #expect(try error { $0.pieces = [] } == .emptyVocabulary)
        #expect(try error { $0.merges = [] } == .missingMerges)
        #expect(
            try error { $0.kinds.removeLast() }
                == .countMismatch(what: "piece kinds", found: 999, expected: 1000))
        #expect(
            try error { $0.scores = [1] }
                == .countMismatch(what: "scores", found: 1, expected: 1000))
        #expect(
            try error { $0.scores = .init(repeating: .nan, count: 1000) } == .invalidScore(id: 0))
        #expect(
            try error { $0.endOfSequence = 1000 }
                == .idOutOfRange(what: "the end-of-sequence id", id: 1000, count: 1000))
        #expect(
            try error { $0.beginningOfSequence = -1 }
                == .idOutOfRange(what: "the beginning-of-sequence id", id: -1, count: 1000))
        #expect(
            try error { $0.pieces[700] = $0.pieces[30] }
                == .duplicatePiece(
                    piece: String(
                        decoding: try TokenizerFixtures.fields("smollm").pieces[30], as: UTF8.self),
                    first: 30, second: 700))
        #expect(try error { $0.pieces[700] = [] } != nil, "a merge result is gone")
        for merge in ["", " ", "a", "a ", " a", "a b c", "\u{120} zzzzz"] {
            let found = try error { $0.merges[5] = Array(merge.utf8) }
            guard case .invalidMerge(index: 5, _) = found else {
                Issue.record("\(merge.debugDescription): \(String(describing: found))")
                continue
            }
        }
        for name in [nil, "", "deepseek-v3", "default"] {
            guard case .unsupported(_, _, let supported) = try error({ $0.preTokenizer = name })
            else {
                Issue.record("\(name ?? "nil") was accepted")
                continue
            }
            for word in ["gpt-2", "smollm", "llama-bpe", "qwen2"] {
                #expect(supported.contains(word))
            }
        }
    }

    @Test("SentencePiece fields")
    func sentencePieceFields() throws {
        var fields = try TokenizerFixtures.fields("llama2")
        fields.scores = []
        #expect(throws: TokenizerError.missing(path: "the pieces' scores")) {
            try Tokenizer(fields: fields)
        }
        fields = try TokenizerFixtures.fields("llama2")
        let byte = try #require(fields.kinds.firstIndex(of: .byte))
        fields.pieces[byte] = Array("<0xZZ>".utf8)
        #expect(throws: TokenizerError.self) { try Tokenizer(fields: fields) }
        fields = try TokenizerFixtures.fields("llama2")
        fields.scores[400] = -.infinity
        fields.scores[401] = .infinity
        _ = try Tokenizer(fields: fields).encode("the endless text of all texts")
    }

    @Test("turn markers that a file calls ordinary are special all the same")
    func distrustsKinds() throws {
        for kind in [TokenizerFields.Kind.normal, .userDefined] {
            var fields = try TokenizerFixtures.fields("smollm")
            for id in 0..<3 { fields.kinds[id] = kind }
            let tokenizer = try Tokenizer(fields: fields)
            #expect(tokenizer.isSpecial(2))
            #expect(!tokenizer.encode("a<|im_end|>").contains(2))
            #expect(tokenizer.encode("a<|im_end|>", parseSpecial: true).contains(2))
        }
    }

    private func message(_ json: String) -> String {
        do {
            return try Tokenizer(json: Data(json.utf8)).description
        } catch {
            return error.description
        }
    }

    @Test("tokenizer.json that asks for something else names what is supported")
    func unsupportedParts() throws {
        let data = try TokenizerFixtures.data("llama3.tokenizer.json")
        let good = String(decoding: data, as: UTF8.self)
        #expect(message(good).hasPrefix("byte-level BPE (llama-bpe)"))
        let changes = [
            (#""type":"BPE""#, #""type":"Unigram""#), (#"{1,3}"#, #"{1,4}"#),
            (#""behavior":"Isolated""#, #""behavior":"Removed""#),
            (#""normalizer":null"#, #""normalizer":{"type":"Lowercase"}"#),
            (#""use_regex":false"#, #""use_regex":true"#),
            (#""dropout":null"#, #""dropout":0.1"#),
            (#""continuing_subword_prefix":null"#, #""continuing_subword_prefix":"@@""#),
            (#""type":"TemplateProcessing""#, #""type":"BertProcessing""#),
            (#""decoder":{"type":"ByteLevel""#, #""decoder":{"type":"WordPiece""#),
        ]
        for (old, new) in changes {
            #expect(good.contains(old), "\(old)")
            let text = message(good.replacingOccurrences(of: old, with: new))
            #expect(
                text.contains("not supported") && text.contains("Supported:"), "\(new): \(text)")
        }
    }

    @Test("tokenizer.json with members of the wrong type or missing")
    func wrongParts() throws {
        let cases: [(String, TokenizerError)] = [
            ("", .malformedJSON(file: "tokenizer.json", offset: 0, reason: "the file ends early")),
            ("[1]", .wrongType(path: "tokenizer.json", expected: "an object")),
            ("{}", .missing(path: "model")),
            (
                #"{"model": {"vocab": []}}"#,
                .wrongType(path: "model.vocab", expected: "an object from pieces to ids")
            ),
            (
                #"{"model": {"vocab": {"a": "0"}}}"#,
                .wrongType(path: "model.vocab[“a”]", expected: "an id")
            ),
            (
                #"{"model": {"vocab": {"a": 0.5}}}"#,
                .wrongType(path: "model.vocab[“a”]", expected: "an id")
            ),
            (
                #"{"model": {"vocab": {"a": -1}}}"#,
                .idOutOfRange(what: "the id of “a”", id: -1, count: 1)
            ),
            (
                #"{"model": {"vocab": {"a": 2000000000}}}"#,
                .idOutOfRange(what: "the id of “a”", id: 2_000_000_000, count: 1)
            ),
            (
                #"{"model": {"vocab": {"a": 0, "b": 0}}}"#,
                .duplicateID(id: 0, first: "a", second: "b")
            ),
            (
                #"{"model": {"vocab": {"a": 0}}, "added_tokens": 3}"#,
                .wrongType(path: "added_tokens", expected: "a list")
            ),
            (
                #"{"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 0, "content": "b"}]}"#,
                .duplicateID(id: 0, first: "a", second: "b")
            ),
        ]
        for (json, expected) in cases {
            #expect(throws: expected, "\(json)") { try Tokenizer(json: Data(json.utf8)) }
        }
        let deep = String(repeating: "[", count: 100_000)
        #expect(message(deep).contains("nested"))
        #expect(message(#"{"a": "\ud800"}"#).contains("surrogate"))
        #expect(message("{\"a\": \"\u{1}\"}").contains("control character"))
        #expect(message(#"{"a": 1} x"#).contains("after the end"))
    }

    @Test("thousands of damaged tokenizer.json files", arguments: TokenizerFixtures.all)
    func damagedJSON(name: String) throws {
        let good = Array(try TokenizerFixtures.data("\(name).tokenizer.json"))
        let text = Array("the <|im_end|> \u{301}ab<s>\n\n  x".utf8) + [0xFF, 0xC3]
        var random = SeededGenerator(seed: 15)
        var refused = 0
        for round in 0..<700 {
            var bytes = good
            switch round % 4 {
            case 0:
                bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
            case 1:
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] =
                        UInt8.random(in: 0...255, using: &random)
                }
            case 2:
                // The structure is at the beginning and the end, so damage these more.
                let index = Int.random(in: 0..<min(2500, bytes.count), using: &random)
                let at = Bool.random(using: &random) ? index : bytes.count - 1 - index
                bytes[at] = Array("{}[],:\"0129-nulltrue\\".utf8).randomElement(using: &random)!
            default:
                let from = Int.random(in: 0..<bytes.count, using: &random)
                let to = min(bytes.count, from + Int.random(in: 1...200, using: &random))
                if Bool.random(using: &random) {
                    bytes.removeSubrange(from..<to)
                } else {
                    bytes.insert(contentsOf: Array(bytes[from..<to]), at: from)
                }
            }
            do {
                let tokenizer = try Tokenizer(json: Data(bytes), config: Data(bytes))
                let ids = tokenizer.encode(bytes: text, parseSpecial: true)
                _ = tokenizer.decode(ids)
            } catch {
                #expect(!error.description.isEmpty)
                refused += 1
            }
        }
        #expect(refused > 300)
    }

    @Test("thousands of damaged fields", arguments: TokenizerFixtures.all)
    func damagedFields(name: String) throws {
        let good = try TokenizerFixtures.fields(name)
        let text = Array("the <|im_end|> \u{301}ab<s>\n\n  x".utf8) + [0xFF, 0xC3]
        var random = SeededGenerator(seed: 16)
        var refused = 0
        for _ in 0..<700 {
            var fields = good
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                damage(&fields, &random)
            }
            do {
                let tokenizer = try Tokenizer(fields: fields)
                let ids = tokenizer.encode(bytes: text, parseSpecial: true)
                _ = tokenizer.decode(ids)
            } catch {
                #expect(!error.description.isEmpty)
                refused += 1
            }
        }
        #expect(refused > 200)
    }

    private func damage(_ fields: inout TokenizerFields, _ random: inout SeededGenerator) {
        let index = Int.random(in: 0..<max(1, fields.pieces.count), using: &random)
        let id = Int32.random(in: -2...1100, using: &random)
        switch Int.random(in: 0..<12, using: &random) {
        case 0: fields.beginningOfSequence = id
        case 1: fields.endOfSequence = id
        case 2: fields.unknown = id
        case 3: fields.pieces = Array(fields.pieces.prefix(index))
        case 4 where index < fields.pieces.count:
            fields.pieces[index] = (0..<Int.random(in: 0...9, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
        case 5 where index < fields.pieces.count:
            fields.pieces[index] = fields.pieces.randomElement(using: &random)!
        case 6 where index < fields.kinds.count:
            fields.kinds[index] = .init(rawValue: Int32.random(in: 1...6, using: &random))!
        case 7: fields.kinds = Array(fields.kinds.prefix(index))
        case 8 where index < fields.scores.count:
            fields.scores[index] = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
        case 9 where !fields.merges.isEmpty:
            let at = Int.random(in: 0..<fields.merges.count, using: &random)
            fields.merges[at] = Array(fields.merges[at].shuffled(using: &random))
        case 10: fields.merges = Array(fields.merges.prefix(index))
        case 11:
            fields.preTokenizer = ["gpt-2", "qwen2", "llama-bpe", "x"].randomElement(using: &random)
        default: fields.addsSpacePrefix.toggle()
        }
    }
}
