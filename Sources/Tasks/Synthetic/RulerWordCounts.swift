internal import Foundation

extension RulerPrompt {
    /// A numbered list in which ten words are there often and all others seldom. A small example with its answer
    /// stands before it. The list grows by seldom words.
    ///
    /// - Parameter isShort: Six times and once, as RULER has it below 4096 tokens, in place of thirty and three times.
    static func commonWords(isShort: Bool, numbers: inout SeededNumbers) -> RulerPrompt {
        let example = WordList(often: isShort ? 3 : 10, seldom: isShort ? 1 : 3)
        let list = WordList(often: isShort ? 6 : 30, seldom: isShort ? 1 : 3)
        let words = WordSupply(&numbers)
        let exampleSize = isShort ? 10 : 30
        let solved =
            example.text(words.exampleCommon, Array(words.rest.prefix(exampleSize)), numbers)
            + WordList.question + " " + WordList.numbered(words.exampleCommon) + "\n\n"
        let (shuffling, common) = (numbers, words.common)
        return RulerPrompt(references: common, question: WordList.question, leastUnits: 5) {
            units in
            let others = words.rest.prefix(exampleSize + units).dropFirst(exampleSize)
            return solved + list.text(common, Array(others), shuffling)
        }
    }

    /// Coded words, six letters each, so many of rank r as r⁻² of the zeta distribution says; the first in rank are
    /// dots, to be passed over.
    static func frequentWords(length: Int, numbers: inout SeededNumbers) -> RulerPrompt {
        var codes: Set<String> = []
        var vocabulary = ["...."]
        while vocabulary.count < max(length / 50, 100) {
            let letters = (0..<6).map { _ in UInt8(ascii: "a") + UInt8(numbers.below(26)) }
            let code = String(decoding: letters, as: UTF8.self)
            if codes.insert(code).inserted { vocabulary.append(code) }
        }
        let (ranked, shuffling) = (vocabulary, numbers)
        let question = """

            Question: Do not provide any explanation. Please ignore the dots '....'. What are the three most \
            frequently appeared words in the above coded text? Answer: According to the coded text above, the three \
            most frequently appeared words are:
            """
        // From a hundred on, the words of rank 4 are more than those of rank 5.
        return RulerPrompt(
            references: Array(ranked[1...3]), question: question, leastUnits: 100
        ) { units in
            var numbers = shuffling
            var words: [String] = []
            for (index, word) in ranked.enumerated() {
                let rank = Double(index + 1)
                let share = 1 / (rank * rank * (Double.pi * Double.pi / 6))
                words += Array(repeating: word, count: Int(Double(units) * share))
            }
            numbers.shuffle(&words)
            return """
                Read the following coded text and track the frequency of each coded word. Find the three most \
                frequently appeared coded words. \(words.joined(separator: " "))
                """
        }
    }
}

/// How often words stand in a numbered list.
private struct WordList {
    var often: Int
    var seldom: Int

    static let question = """

        Question: What are the 10 most common words in the above list? Answer: The top 10 words that appear most \
        often in the list are:
        """

    func text(_ common: [String], _ others: [String], _ numbers: SeededNumbers) -> String {
        var numbers = numbers
        var words = common.flatMap { Array(repeating: $0, count: often) }
        words += others.flatMap { Array(repeating: $0, count: seldom) }
        numbers.shuffle(&words)
        return """
            Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones \
            that appear most often.

            """ + Self.numbered(words)
    }

    static func numbered(_ words: [String]) -> String {
        words.enumerated().map { "\($0 + 1). \($1)" }.joined(separator: " ")
    }
}

/// The words of a prompt, all different. None contains a common one or is part of it: an answer is searched for them.
private struct WordSupply {
    let common: [String]
    let exampleCommon: [String]
    /// First the built-in words, then compounds of two.
    let rest: GrowingList<String>

    init(_ numbers: inout SeededNumbers) {
        var words = Array(Set(RulerWords.nouns + RulerWords.adjectives)).sorted()
        numbers.shuffle(&words)
        var common: [String] = []
        for word in words where common.count < 10 {
            if !Self.overlaps(word, common) { common.append(word) }
        }
        let single = words.filter { !Self.overlaps($0, common) }
        self.common = common
        exampleCommon = Array(single.prefix(10))
        let free = Array(single.dropFirst(10))
        var seen = Set(words)
        var drawing = numbers
        rest = GrowingList { index in
            if index < free.count { return free[index] }
            // 160 000 pairs, then threes: there is always another.
            for attempt in 0... {
                let parts = (0..<(attempt > 20 ? 3 : 2)).map { _ in drawing.pick(RulerWords.nouns) }
                let word = parts.joined()
                if !Self.overlaps(word, common), seen.insert(word).inserted { return word }
            }
            fatalError("the attempts do not end")
        }
    }

    private static func overlaps(_ word: String, _ others: [String]) -> Bool {
        others.contains { word.contains($0) || $0.contains(word) }
    }
}
