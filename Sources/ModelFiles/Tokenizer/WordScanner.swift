/// Cuts text into the words that byte-pair merges stay inside.
///
/// Each method gives the end of the word that begins at `start`, exactly where the regular
/// expression named beside it would end its match. Bytes that are not UTF-8 count as characters
/// that are neither letter, number nor whitespace, one byte each.
struct WordScanner {
    let text: UnsafePointer<UInt8>
    let classes: ScalarClasses

    @inline(__always)
    private func read(_ index: Int, _ end: Int) -> (scalar: UInt32, length: Int, kind: UInt8) {
        let (scalar, length) = readScalar(text, index, end)
        return (scalar, length, classes[scalar])
    }

    /// The end of the run of characters of one class that begins at `index`.
    @inline(__always)
    private func run(of kind: UInt8, from index: Int, _ end: Int) -> Int {
        var index = index
        while index < end {
            let next = read(index, end)
            if next.kind != kind { break }
            index += next.length
        }
        return index
    }

    /// The end of a run of letters, with a shortcut for ASCII.
    @inline(__always)
    private func letters(from index: Int, _ end: Int) -> Int {
        var index = index
        while index < end {
            let byte = text[index]
            if byte < 0x80 {
                if (byte | 0x20) &- 0x61 < 26 {
                    index += 1
                    continue
                }
                return index
            }
            let next = read(index, end)
            if next.kind != ScalarClass.letter { return index }
            index += next.length
        }
        return index
    }

    /// The length of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` at `index`, or 0.
    @inline(__always)
    private func contraction(_ index: Int, _ end: Int, anyCase: Bool) -> Int {
        guard text[index] == 0x27, index + 1 < end else { return 0 }
        let fold: UInt8 = anyCase ? 0x20 : 0
        let first = text[index + 1] | fold
        switch first {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            return 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"):
            return index + 2 < end && text[index + 2] | fold == UInt8(ascii: "e") ? 3 : 0
        case UInt8(ascii: "l"):
            return index + 2 < end && text[index + 2] | fold == UInt8(ascii: "l") ? 3 : 0
        case 0xE5 where anyCase:
            // U+017F (C5 BF), the long s, is an s when case is ignored.
            return index + 2 < end && text[index + 1] == 0xC5 && text[index + 2] == 0xBF ? 3 : 0
        default:
            return 0
        }
    }

    /// `\s+(?!\S)|\s+` for whitespace at `start` whose run ends at `runEnd`: all of it at the end
    /// of the text, otherwise all but the last character, which the next word may want.
    @inline(__always)
    private func whitespace(_ start: Int, runEnd: Int, last: Int, _ end: Int) -> Int {
        runEnd == end || last == start ? runEnd : last
    }

    /// The run of whitespace at `start`: its end, where its last character begins, and the end of
    /// its last line break (or `start` if it has none).
    @inline(__always)
    private func spaces(_ start: Int, _ end: Int) -> (end: Int, last: Int, lineBreak: Int) {
        var index = start
        var last = start
        var lineBreak = start
        while index < end {
            let next = read(index, end)
            if next.kind != ScalarClass.space { break }
            last = index
            index += next.length
            if next.scalar == 0x0A || next.scalar == 0x0D { lineBreak = index }
        }
        return (index, last, lineBreak)
    }

    /// GPT-2: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
    @inline(__always)
    func gpt2(_ start: Int, _ end: Int) -> Int {
        let shortened = contraction(start, end, anyCase: false)
        if shortened > 0 { return start + shortened }
        let body = text[start] == 0x20 && start + 1 < end ? start + 1 : start
        let head = read(body, end)
        switch head.kind {
        case ScalarClass.letter:
            return letters(from: body + head.length, end)
        case ScalarClass.space:
            let run = spaces(start, end)
            return whitespace(start, runEnd: run.end, last: run.last, end)
        default:
            return run(of: head.kind, from: body + head.length, end)
        }
    }

    /// Llama 3 and Qwen2: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|`
    /// ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`, with `digits` for the 3.
    @inline(__always)
    func llama3(_ start: Int, _ end: Int, digits: Int) -> Int {
        let shortened = contraction(start, end, anyCase: true)
        if shortened > 0 { return start + shortened }
        let head = read(start, end)
        let second = start + head.length
        switch head.kind {
        case ScalarClass.letter:
            return letters(from: second, end)
        case ScalarClass.number:
            var index = second
            var count = 1
            while count < digits, index < end {
                let next = read(index, end)
                if next.kind != ScalarClass.number { break }
                index += next.length
                count += 1
            }
            return index
        default:
            break
        }
        let following =
            second < end ? read(second, end) : (scalar: 0, length: 0, kind: ScalarClass.space)
        let isLineBreak = head.scalar == 0x0A || head.scalar == 0x0D
        if following.kind == ScalarClass.letter, !isLineBreak {
            return letters(from: second + following.length, end)
        }
        if head.kind == ScalarClass.other {
            return lineBreaks(from: run(of: ScalarClass.other, from: second, end), end)
        }
        if head.scalar == 0x20, second < end, following.kind == ScalarClass.other {
            return lineBreaks(from: run(of: ScalarClass.other, from: second, end), end)
        }
        let run = spaces(start, end)
        if run.lineBreak > start { return run.lineBreak }
        return whitespace(start, runEnd: run.end, last: run.last, end)
    }

    /// The end of `[\r\n]*` at `index`.
    @inline(__always)
    private func lineBreaks(from index: Int, _ end: Int) -> Int {
        var index = index
        while index < end, text[index] == 0x0A || text[index] == 0x0D { index += 1 }
        return index
    }

    /// Where the next number character lies (`end` if none), and its length: SmolLM's first cut.
    @inline(__always)
    func nextNumber(_ start: Int, _ end: Int) -> (index: Int, length: Int) {
        var index = start
        while index < end {
            let next = read(index, end)
            if next.kind == ScalarClass.number { return (index, next.length) }
            index += next.length
        }
        return (end, 0)
    }
}
