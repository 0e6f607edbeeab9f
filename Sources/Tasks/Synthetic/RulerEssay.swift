internal import Foundation

/// The prose in which RULER hides needles.
public struct RulerEssay: Sendable {
    /// The sentences of a file; nil for text that is made up.
    private let fixed: [String]?
    /// Every number of seven digits in them.
    let numbers: Set<String>

    /// Neutral English sentences from a small grammar, another text for each sample.
    public static let generated = RulerEssay(fixed: nil, numbers: [])

    private init(fixed: [String]?, numbers: Set<String>) {
        self.fixed = fixed
        self.numbers = numbers
    }

    /// Sentences of a plain text file, such as essays or a novel. Each sample begins at another one, and goes on from
    /// the start of the file at its end.
    ///
    /// - Throws: `unreadable` for a file that is not UTF-8 text, or has no sentence.
    public init(file: String) throws(TaskError) {
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: file))
        } catch {
            throw .unreadable(path: file, reason: error.localizedDescription)
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw .unreadable(path: file, reason: "it is not UTF-8 text")
        }
        let sentences = Self.sentences(of: Array(text.utf8))
        guard !sentences.isEmpty else {
            throw .unreadable(path: file, reason: "it has no sentence of text")
        }
        fixed = sentences
        numbers = Self.numbers(in: sentences)
    }

    /// In bytes. A prompt's length is met to a sentence: novels have some of a page.
    private static let longest = 300

    /// Splits text after full stops, question and exclamation marks that white space follows, at empty lines, and between
    /// words where a sentence grows long; white space becomes single spaces.
    private static func sentences(of bytes: [UInt8]) -> [String] {
        var sentences: [String] = []
        var sentence: [UInt8] = []
        var breaks = 0
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
        func finish() {
            if !sentence.isEmpty { sentences.append(String(decoding: sentence, as: UTF8.self)) }
            sentence.removeAll(keepingCapacity: true)
        }
        for (index, byte) in bytes.enumerated() {
            if !isSpace(byte) {
                if index > 0, isSpace(bytes[index - 1]), !sentence.isEmpty { sentence.append(0x20) }
                breaks = 0
                sentence.append(byte)
                continue
            }
            if byte == UInt8(ascii: "\n") { breaks += 1 }
            let isEnd = sentence.last.map { ".!?".utf8.contains($0) } ?? false
            if breaks == 2 || isEnd || sentence.count > longest { finish() }
        }
        finish()
        return sentences
    }

    private static func numbers(in sentences: [String]) -> Set<String> {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        var found: Set<String> = []
        for sentence in sentences {
            for run in sentence.utf8.split(whereSeparator: { !digits.contains($0) })
            where run.count >= 7 {
                let run = Array(run)
                for start in 0...(run.count - 7) {
                    found.insert(String(decoding: run[start..<(start + 7)], as: UTF8.self))
                }
            }
        }
        return found
    }

    /// The sentences of one sample, as many as are asked for.
    func sentences(_ numbers: SeededNumbers) -> GrowingList<String> {
        var numbers = numbers
        guard let fixed else { return GrowingList { _ in Self.sentence(&numbers) } }
        let start = numbers.below(fixed.count)
        return GrowingList { fixed[(start + $0) % fixed.count] }
    }

    private static func sentence(_ numbers: inout SeededNumbers) -> String {
        func thing(_ numbers: inout SeededNumbers) -> String {
            let adjective = numbers.below(2) == 0 ? numbers.pick(RulerWords.adjectives) + " " : ""
            return "the " + adjective + numbers.pick(RulerWords.nouns)
        }
        func deed(_ numbers: inout SeededNumbers) -> String {
            let doer = thing(&numbers)
            let verb = numbers.pick(RulerWords.verbs)
            return "\(doer) \(verb) \(thing(&numbers))"
        }
        var text: String
        switch numbers.below(6) {
        case 0: text = deed(&numbers)
        case 1:
            let place = numbers.pick(RulerWords.places)
            text = "\(deed(&numbers)) \(place) \(thing(&numbers))"
        case 2: text = "\(numbers.pick(RulerWords.openings)), \(deed(&numbers))"
        case 3:
            let link = numbers.pick(["and", "but", "while", "because", "before", "after"])
            let first = deed(&numbers)
            text = "\(first), \(link) \(deed(&numbers))"
        case 4:
            let what = thing(&numbers)
            let place = numbers.pick(RulerWords.places)
            text = "\(what) \(place) \(thing(&numbers)) was \(numbers.pick(RulerWords.adjectives))"
        default:
            let opening = numbers.pick(RulerWords.openings)
            let what = thing(&numbers)
            text = "\(opening), \(what) was more \(numbers.pick(RulerWords.adjectives)) than "
            text += thing(&numbers)
        }
        return text.prefix(1).uppercased() + text.dropFirst() + "."
    }
}
