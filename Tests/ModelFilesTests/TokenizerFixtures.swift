import Foundation
import ModelFiles

/// The files in `Fixtures/tokenizers`, which `Scripts/fixtures/tokenizer_files.py` writes.
enum TokenizerFixtures {
    static let byteLevel = ["gpt2", "smollm", "llama3", "qwen2"]
    static let sentencePiece = ["llama2", "gemma"]
    static let all = byteLevel + sentencePiece

    struct Case: Decodable {
        var name: String
        var text: String?
        var hex: String?

        var bytes: [UInt8] {
            if let text { return Array(text.utf8) }
            let digits = Array((hex ?? "").utf8).compactMap {
                Character(Unicode.Scalar($0)).hexDigitValue
            }
            return stride(from: 0, to: digits.count - 1, by: 2).map {
                UInt8(digits[$0] << 4 | digits[$0 + 1])
            }
        }
    }

    struct Expected: Decodable {
        /// Ids without special tokens recognized.
        var plain: [String: [Int32]]
        /// Ids with special tokens recognized, where they differ.
        var special: [String: [Int32]]
        /// What decoding gives, where it is not the text itself.
        var decoded: [String: String]
    }

    private struct Cases: Decodable { var cases: [Case] }

    private struct Fields: Decodable {
        var model: String
        var preTokenizer: String?
        var pieces: [String]
        var scores: [Float]?
        var kinds: [Int32]
        var merges: [String]?
        var beginningOfSequence: Int32?
        var endOfSequence: Int32?
        var unknown: Int32?
        var addsBeginningOfSequence: Bool
        var addsSpacePrefix: Bool
    }

    struct Variant: Decodable {
        var base: String
        var changes: [[String]]
        var plain: [[Int32]]
        var special: [[Int32]?]
    }

    static func data(_ name: String) throws -> Data {
        let folder = Bundle.module.resourceURL!.appendingPathComponent("Fixtures/tokenizers")
        return try Data(contentsOf: folder.appendingPathComponent(name))
    }

    static func decode<Value: Decodable>(_ type: Value.Type, _ name: String) throws -> Value {
        try JSONDecoder().decode(type, from: data(name))
    }

    static func cases() throws -> [Case] { try decode(Cases.self, "hard-text.json").cases }

    static func expected(_ name: String) throws -> Expected {
        try decode(Expected.self, "\(name).expected.json")
    }

    static func fields(_ name: String) throws -> TokenizerFields {
        let file = try decode(Fields.self, "\(name).fields.json")
        return TokenizerFields(
            model: file.model == "sentencePiece" ? .sentencePiece : .byteLevelBPE,
            preTokenizer: file.preTokenizer, pieces: file.pieces.map { Array($0.utf8) },
            scores: file.scores ?? [],
            kinds: file.kinds.map { TokenizerFields.Kind(rawValue: $0) ?? .normal },
            merges: (file.merges ?? []).map { Array($0.utf8) },
            beginningOfSequence: file.beginningOfSequence, endOfSequence: file.endOfSequence,
            unknown: file.unknown, addsBeginningOfSequence: file.addsBeginningOfSequence,
            addsSpacePrefix: file.addsSpacePrefix)
    }

    /// The tokenizer from `tokenizer.json` or from fields such as GGUF's.
    static func tokenizer(_ name: String, fromFields: Bool = false) throws -> Tokenizer {
        if fromFields { return try Tokenizer(fields: fields(name)) }
        return try Tokenizer(json: data("\(name).tokenizer.json"))
    }

    /// The variants, with the texts that their ids belong to.
    static func variants() throws -> (texts: [String], variants: [String: Variant]) {
        let object = try JSONSerialization.jsonObject(with: data("variants.json"))
        var members = object as! [String: Any]
        let texts = members.removeValue(forKey: "texts") as! [String]
        let rest = try JSONSerialization.data(withJSONObject: members)
        return (texts, try JSONDecoder().decode([String: Variant].self, from: rest))
    }
}
