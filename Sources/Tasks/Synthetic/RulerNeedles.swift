/// A kind of needle in a haystack: "One of the special magic numbers for swift-river is: 1234567."
struct NeedleKind {
    enum Hay { case noise, essay, needles }
    enum Item {
        case word, number, uuid

        var noun: String {
            switch self {
            case .word: "word"
            case .number: "number"
            case .uuid: "uuid"
            }
        }
    }

    var hay: Hay
    var key: Item
    var value: Item
    /// Different keys, those that are asked for included.
    var keys: Int
    var values: Int
    var queries: Int

    init(
        _ hay: Hay, key: Item = .word, value: Item = .number, keys: Int = 1, values: Int = 1,
        queries: Int = 1
    ) {
        self.hay = hay
        self.key = key
        self.value = value
        self.keys = keys
        self.values = values
        self.queries = queries
    }

    func prompt(
        _ turn: SampleTurn, _ essay: RulerEssay, _ numbers: inout SeededNumbers
    ) -> RulerPrompt {
        var items = DistinctItems(avoiding: hay == .essay ? essay : .generated)
        let needles = (0..<keys).map { _ in
            (
                key: items.draw(key, &numbers),
                values: (0..<values).map { _ in items.draw(value, &numbers) }
            )
        }
        let asked = needles.prefix(queries)
        let depths = turn.depths(keys * values, &numbers)
        var lines = needles.flatMap { needle in
            needle.values.map { line(needle.key, $0) }
        }
        numbers.shuffle(&lines)
        let placed = Array(zip(depths, lines)).map { (depth: $0, text: $1) }

        let list = filler(essay, items, numbers)
        let isEssay = hay == .essay
        let introduction = introduction
        var prompt = RulerPrompt(
            references: asked.flatMap(\.values), question: question(asked.map(\.key))
        ) { units in
            introduction + "\n"
                + Haystack.joined(list.prefix(units), needles: placed) { index in
                    isEssay && index % 8 != 7 ? " " : "\n"
                }
        }
        if placed.count == 1 { prompt.tags["depth"] = placed[0].depth * 100 }
        return prompt
    }

    private func filler(
        _ essay: RulerEssay, _ items: DistinctItems, _ numbers: SeededNumbers
    ) -> GrowingList<String> {
        var (items, numbers) = (items, numbers)
        switch hay {
        case .noise: return GrowingList { _ in NoiseLine.text }
        case .essay: return essay.sentences(numbers)
        case .needles:
            return GrowingList { _ in
                line(items.draw(key, &numbers), items.draw(value, &numbers))
            }
        }
    }

    private func line(_ key: String, _ value: String) -> String {
        "One of the special magic \(self.value.noun)s for \(key) is: \(value)."
    }

    private var isAlone: Bool { values * queries == 1 }

    private var introduction: String {
        isAlone
            ? "A special magic \(value.noun) is hidden within the following text. "
                + "Make sure to memorize it. I will quiz you about the \(value.noun) afterwards."
            : "Some special magic \(value.noun)s are hidden within the following text. "
                + "Make sure to memorize it. I will quiz you about the \(value.noun)s afterwards."
    }

    private func question(_ keys: [String]) -> String {
        let noun = isAlone ? value.noun : value.noun + "s"
        let query =
            keys.count == 1
            ? keys[0] : keys.dropLast().joined(separator: ", ") + ", and " + keys[keys.count - 1]
        return "\nWhat \(isAlone ? "is" : "are all") the special magic \(noun) for \(query) "
            + "mentioned in the provided text? The special magic \(noun) for \(query) "
            + "mentioned in the provided text \(isAlone ? "is" : "are")"
    }
}

/// Draws keys and values, none of them twice.
struct DistinctItems {
    private var used: Set<String> = []
    private let isInHay: (String) -> Bool

    /// - Parameter essay: Numbers that stand in its text are not drawn.
    init(avoiding essay: RulerEssay) { isInHay = { essay.numbers.contains($0) } }

    mutating func draw(_ kind: NeedleKind.Item, _ numbers: inout SeededNumbers) -> String {
        for attempt in 0... {
            let item =
                switch kind {
                case .number: numbers.number(digits: 7)
                case .uuid: numbers.uuid()
                case .word:
                    // There are 100 000 pairs; prompts of a million tokens need a third word.
                    (attempt > 8 ? numbers.pick(RulerWords.adjectives) + "-" : "")
                        + numbers.pick(RulerWords.adjectives) + "-"
                        + numbers.pick(RulerWords.nouns)
                }
            if !isInHay(item), used.insert(item).inserted { return item }
        }
        fatalError("the attempts do not end")
    }
}
