import Foundation
import ModelFiles

// libFuzzer's entry point for tokenizers and chat templates, fed with text that others wrote.
//
// The first byte of an input chooses what the rest is:
//
//     j        tokenizer.json and tokenizer_config.json at once, which then encodes and decodes itself
//     t        a chat template (Jinja source), which then renders a conversation about itself
//     others   text for one of the fixtures' tokenizers: low bits the tokenizer, bit 6 special tokens as text

/// The small tokenizers of Tests/ModelFilesTests: byte-level BPE with each of its word rules, and SentencePiece.
private let tokenizers: [Tokenizer] = {
    let folder = ProcessInfo.processInfo.environment["INNERQ_FUZZ_TOKENIZERS"] ?? "."
    return ["gpt2", "smollm", "llama3", "qwen2", "llama2", "gemma"].map { name in
        let file = URL(fileURLWithPath: folder + "/\(name).tokenizer.json")
        do {
            return try Tokenizer(json: Data(contentsOf: file))
        } catch {
            fatalError("run this through Fuzz/run, or set INNERQ_FUZZ_TOKENIZERS (\(error))")
        }
    }
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = UnsafeBufferPointer(start: start, count: count)
    guard let kind = input.first else { return 0 }
    let rest = Array(input.dropFirst())
    switch kind {
    case UInt8(ascii: "j"): readTokenizer(rest)
    case UInt8(ascii: "t"): readTemplate(String(decoding: rest, as: UTF8.self))
    default:
        let tokenizer = tokenizers[Int(kind % 64) % tokenizers.count]
        encode(rest, with: tokenizer, parseSpecial: kind & 64 == 0)
    }
    return 0
}

private func readTokenizer(_ json: [UInt8]) {
    do {
        let tokenizer = try Tokenizer(json: Data(json), config: Data(json))
        for parseSpecial in [true, false] {
            let ids = tokenizer.encode(bytes: json, parseSpecial: parseSpecial)
            precondition(ids.allSatisfy { (0..<tokenizer.vocabularySize).contains(Int($0)) })
            _ = tokenizer.decode(ids)
        }
        let template = ChatTemplate.detect(
            jinja: tokenizer.chatTemplateSource, tokenizer: tokenizer)
        _ = template?.stopTokens(tokenizer)
    } catch {
        precondition(!error.description.isEmpty)
    }
}

private func readTemplate(_ jinja: String) {
    guard let template = ChatTemplate.detect(jinja: jinja, tokenizer: nil) else { return }
    let text = String(jinja.prefix(20))
    let conversations: [[ChatMessage]] = [
        [.system(text), .user(text), .assistant(text), .user(text)],
        [.user(text)], [.assistant(text), .system(text)], [],
    ]
    for messages in conversations {
        _ = try? template.render(messages, addGenerationPrompt: true)
        _ = try? template.continuation(messages, afterStopToken: false)
    }
}

private func encode(_ bytes: [UInt8], with tokenizer: Tokenizer, parseSpecial: Bool) {
    let ids = tokenizer.encode(bytes: bytes, addSpecial: false, parseSpecial: parseSpecial)
    precondition(ids.allSatisfy { (0..<tokenizer.vocabularySize).contains(Int($0)) })

    // Token after token must give the same text as all at once.
    var stream = StreamDecoder(tokenizer, skipSpecial: false)
    var text = ids.map { stream.append($0) }.joined()
    text += stream.flush()
    precondition(text.utf8.elementsEqual(tokenizer.decode(ids).utf8))

    let string = String(decoding: bytes, as: UTF8.self)
    let middle = string.index(string.startIndex, offsetBy: string.count / 2)
    _ = tokenizer.encode([
        .control(String(string[..<middle])), .text(String(string[middle...])),
    ])
}
