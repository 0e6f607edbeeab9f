import Tasks
import Testing

/// Stand-ins for a tokenizer.
struct Counting: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var count: @Sendable (String) -> Int

    /// Words and a third.
    static let words = Counting(testDescription: "words") { text in
        var count = 0
        var wasSpace = true
        for byte in text.utf8 {
            let isSpace = byte == 0x20 || byte == 0x0A
            if wasSpace && !isSpace { count += 1 }
            wasSpace = isSpace
        }
        return (count * 13 + 9) / 10
    }
    /// A token for every started three letters, digit and mark, and one at the start: as uneven as tokenizers are.
    static let pieces = Counting(testDescription: "pieces") { text in
        var count = 1
        var letters = 0
        for byte in text.utf8 {
            switch byte {
            case 0x61...0x7A, 0x41...0x5A:
                letters += 1
                if letters % 3 == 1 { count += 1 }
            case 0x20: letters = 0
            default:
                letters = 0
                count += 1
            }
        }
        return count
    }
    static let all = [words, pieces]
}

final class Counter { var value = 0 }

extension TaskSample {
    var prompt: String { get throws { try generation().context + generation().question } }
}
