extension Tokenizer {
    /// The bytes that a token stands for; `nil` outside of the vocabulary.
    ///
    /// A token may hold a part of a character only. Special tokens give the text that spells them.
    public func bytes(of id: Int32) -> [UInt8]? {
        guard id >= 0, Int(id) < vocabularySize else { return nil }
        return Array(texts[Int(id)])
    }

    /// The bytes of a whole text; ids outside of the vocabulary are passed over.
    ///
    /// - Parameter skipSpecial: leaves special tokens out.
    public func decodeBytes(
        _ ids: some Sequence<Int32>, skipSpecial: Bool = false
    ) -> [UInt8] {
        var result: [UInt8] = []
        var isFirst = true
        for id in ids {
            guard id >= 0, Int(id) < vocabularySize, !(skipSpecial && special[Int(id)]) else {
                continue
            }
            let text = texts[Int(id)]
            let drops = isFirst && rules.dropsLeadingSpace && text.first == 0x20
            result.append(contentsOf: drops ? text.dropFirst() : text[...])
            isFirst = false
        }
        return result
    }

    /// The text of a whole sequence of ids. Bytes that are not UTF-8 become U+FFFD.
    ///
    /// - Parameter skipSpecial: leaves special tokens out.
    public func decode(_ ids: some Sequence<Int32>, skipSpecial: Bool = false) -> String {
        String(decoding: decodeBytes(ids, skipSpecial: skipSpecial), as: UTF8.self)
    }
}

/// Decodes tokens as they come, giving out whole characters only.
///
/// A character may be spread over tokens; its bytes are kept until the last one has come. The
/// strings given out, with that of ``flush()`` at the end, make together what
/// ``Tokenizer/decode(_:skipSpecial:)`` makes of all the ids.
public struct StreamDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipSpecial: Bool
    private var isFirst: Bool
    private var tail: [UInt8] = []

    /// - Parameters:
    ///   - skipSpecial: leaves special tokens out.
    ///   - continues: the tokens follow others, such as a prompt; then a first blank, which at the
    ///     beginning of a text only marks a word, is part of the text.
    public init(_ tokenizer: Tokenizer, skipSpecial: Bool = true, continues: Bool = false) {
        self.tokenizer = tokenizer
        self.skipSpecial = skipSpecial
        isFirst = !continues
    }

    /// The characters that this token completes; often none.
    public mutating func append(_ id: Int32) -> String {
        guard id >= 0, Int(id) < tokenizer.vocabularySize,
            !(skipSpecial && tokenizer.special[Int(id)])
        else { return "" }
        let text = tokenizer.texts[Int(id)]
        let drops = isFirst && tokenizer.rules.dropsLeadingSpace && text.first == 0x20
        tail.append(contentsOf: drops ? text.dropFirst() : text[...])
        isFirst = false
        let kept = incompleteTail(tail)
        let complete = String(decoding: tail.dropLast(kept), as: UTF8.self)
        tail.removeFirst(tail.count - kept)
        return complete
    }

    /// What is left: U+FFFD for a character that was never completed, or nothing.
    public mutating func flush() -> String {
        defer { tail.removeAll() }
        return String(decoding: tail, as: UTF8.self)
    }
}
