extension RulerPrompt {
    /// A chain `VAR A = 12345`, `VAR B = VAR A`, … of four assignments after the first, in order, among lines of
    /// filler; two more chains of other values lead astray. A small example with its answer stands before it.
    static func variableTracking(turn: SampleTurn, numbers: inout SeededNumbers) -> RulerPrompt {
        var draw = VariableNames()
        let example = VariableChain(&draw, &numbers)
        let chain = VariableChain(&draw, &numbers)
        let others = (0..<2).map { _ in VariableChain(&draw, &numbers) }
        let shown = VariableTracking.text(
            hay: ArraySlice(repeating: NoiseLine.text, count: 3), chains: [example],
            depths: [VariableTracking.depths(turn, &numbers)])
        let solved =
            VariableTracking.introduction + shown + VariableTracking.question(example) + " "
            + example.names.joined(separator: " ") + "\n\n"
        let depths = (0..<3).map { _ in VariableTracking.depths(turn, &numbers) }
        let noise = GrowingList { _ in NoiseLine.text }
        return RulerPrompt(references: chain.names, question: VariableTracking.question(chain)) {
            units in
            solved + VariableTracking.introduction
                + VariableTracking.text(
                    hay: noise.prefix(units), chains: [chain] + others, depths: depths)
        }
    }
}

/// Names that have one value.
private struct VariableChain {
    var value: String
    var names: [String]

    init(_ draw: inout VariableNames, _ numbers: inout SeededNumbers) {
        value = draw.value(&numbers)
        names = (0..<5).map { _ in draw.name(&numbers) }
    }

    /// In the order in which they have to be read.
    var assignments: [String] {
        ["VAR \(names[0]) = \(value)"]
            + zip(names, names.dropFirst()).map { "VAR \($1) = VAR \($0)" }
    }
}

/// Draws names and values, none of them twice.
private struct VariableNames {
    private var used: Set<String> = []

    mutating func name(_ numbers: inout SeededNumbers) -> String {
        while true {
            let letters = (0..<5).map { _ in UInt8(ascii: "A") + UInt8(numbers.below(26)) }
            let name = String(decoding: letters, as: UTF8.self)
            if used.insert(name).inserted { return name }
        }
    }

    mutating func value(_ numbers: inout SeededNumbers) -> String {
        while true {
            let value = numbers.number(digits: 5)
            if used.insert(value).inserted { return value }
        }
    }
}

private enum VariableTracking {
    static let introduction = """
        Memorize and track the chain(s) of variable assignment hidden in the following text.


        """

    /// Without RULER's space at the end, which most tokenizers would join to the first name.
    static func question(_ chain: VariableChain) -> String {
        "\nQuestion: Find all variables that are assigned the value \(chain.value) in the text above. "
            + "Answer: According to the chain(s) of variable assignment in the text above, "
            + "\(chain.names.count) variables are assigned the value \(chain.value), they are:"
    }

    /// Places for the five assignments of a chain, in order.
    static func depths(_ turn: SampleTurn, _ numbers: inout SeededNumbers) -> [Double] {
        turn.depths(5, &numbers).sorted()
    }

    static func text(
        hay: ArraySlice<String>, chains: [VariableChain], depths: [[Double]]
    ) -> String {
        let needles = zip(chains, depths).flatMap { chain, depths in
            zip(depths, chain.assignments).map { (depth: $0, text: $1) }
        }
        return Haystack.joined(hay, needles: needles) { _ in "\n" }
    }
}
