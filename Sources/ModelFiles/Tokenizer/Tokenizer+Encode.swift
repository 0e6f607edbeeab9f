/// A stretch of a prompt: what the program wrote, or what someone else did.
public enum PromptSegment: Sendable, Equatable {
    /// Text of the template. Special tokens spelled in it become special tokens.
    case control(String)
    /// Text from outside: a user, a document, a model. It never becomes a special token, whatever
    /// it spells.
    case text(String)

    public var string: String {
        switch self {
        case .control(let string), .text(let string): string
        }
    }
}

extension Tokenizer {
    /// The ids of a text.
    ///
    /// - Parameters:
    ///   - addSpecial: adds what the model expects around a text: usually its beginning of
    ///     sequence, nothing for SmolLM2 and Qwen2.
    ///   - parseSpecial: makes `<|im_end|>` and the like in the text special tokens. Leave it off
    ///     for text that others wrote. Added tokens that are not special (Qwen's `<tool_call>`)
    ///     are recognized either way, as Hugging Face does.
    public func encode(
        _ text: String, addSpecial: Bool = true, parseSpecial: Bool = false
    ) -> [Int32] {
        var text = text
        return text.withUTF8 {
            encode(buffer: $0, addSpecial, parseSpecial ? .everywhere : .nowhere)
        }
    }

    /// The ids of bytes that should be UTF-8 but need not be: see ``Tokenizer`` for what becomes of
    /// those that are not.
    public func encode(
        bytes: some Sequence<UInt8>, addSpecial: Bool = true, parseSpecial: Bool = false
    ) -> [Int32] {
        let scope: SpecialScope = parseSpecial ? .everywhere : .nowhere
        let done = bytes.withContiguousStorageIfAvailable { encode(buffer: $0, addSpecial, scope) }
        if let done { return done }
        return Array(bytes).withUnsafeBufferPointer { encode(buffer: $0, addSpecial, scope) }
    }

    /// The ids of a prompt in segments, as ``ChatTemplate`` renders it.
    ///
    /// The segments are encoded as the one text that they make together, so that words may span
    /// them; but special tokens are recognized only inside control segments. Text that spells no
    /// special token gives the same ids as encoding the joined string with `parseSpecial`.
    public func encode(_ segments: [PromptSegment], addSpecial: Bool = false) -> [Int32] {
        var bytes: [UInt8] = []
        var regions: [Range<Int>] = []
        for segment in segments {
            let start = bytes.count
            bytes.append(contentsOf: segment.string.utf8)
            guard case .control = segment, bytes.count > start else { continue }
            if let last = regions.last, last.upperBound == start {
                regions[regions.count - 1] = last.lowerBound..<bytes.count
            } else {
                regions.append(start..<bytes.count)
            }
        }
        return bytes.withUnsafeBufferPointer { encode(buffer: $0, addSpecial, .inside(regions)) }
    }

    private func encode(
        buffer: UnsafeBufferPointer<UInt8>, _ addSpecial: Bool, _ scope: SpecialScope
    ) -> [Int32] {
        var pass = EncodePass(self, buffer, scope)
        if addSpecial { for id in rules.prefix { pass.emit(id) } }
        pass.run()
        if addSpecial { for id in rules.suffix { pass.emit(id) } }
        return pass.result()
    }
}

/// Where special tokens are recognized.
enum SpecialScope {
    case nowhere
    case everywhere
    /// Inside these stretches of the input, which ascend and do not touch.
    case inside([Range<Int>])
}
