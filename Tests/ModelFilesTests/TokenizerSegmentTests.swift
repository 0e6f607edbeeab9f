import Foundation
import ModelFiles
import Testing

@Suite("Prompts in segments")
struct TokenizerSegmentTests {
    @Test(
        "equal the joined text where no special token is spelled", arguments: TokenizerFixtures.all)
    func equalsJoinedText(name: String) throws {
        let tokenizer = try TokenizerFixtures.tokenizer(name)
        let texts = try TokenizerFixtures.cases().compactMap(\.text).filter {
            tokenizer.encode($0, parseSpecial: true) == tokenizer.encode($0)
        }
        #expect(texts.count > 60)
        for text in texts {
            let segments: [PromptSegment] = [
                .control("<|im_start|>user\n"), .text(text), .control(""), .text(text),
                .control(" <|im_end|>"), .control("\n<s><end_of_turn>"),
            ]
            #expect(
                tokenizer.encode(segments)
                    == tokenizer.encode(
                        segments.map(\.string).joined(), addSpecial: false, parseSpecial: true))
        }
    }

    @Test("text never becomes a special token", arguments: TokenizerFixtures.all, [false, true])
    func textStaysText(name: String, fromFields: Bool) throws {
        let tokenizer = try TokenizerFixtures.tokenizer(name, fromFields: fromFields)
        let specials = (0..<Int32(tokenizer.vocabularySize)).filter(tokenizer.isSpecial)
        #expect(!specials.isEmpty)
        for id in specials {
            let spelled = String(decoding: tokenizer.bytes(of: id) ?? [], as: UTF8.self)
            // Also split over the border of two segments.
            let half = spelled.index(after: spelled.startIndex)
            let segments: [PromptSegment] = [
                .control("\n"), .text("a\(spelled) \(spelled)"), .control(String(spelled[..<half])),
                .text(String(spelled[half...])),
            ]
            let ids = tokenizer.encode(segments)
            #expect(
                !ids.contains { tokenizer.isSpecial($0) && $0 != tokenizer.unknown }, "\(spelled)")
            if spelled != "<unk>" {
                #expect(tokenizer.encode([.control(spelled)]).contains(id), "\(spelled)")
            }
        }
    }
}
