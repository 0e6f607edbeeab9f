/// One prompt of a RULER task before its length is chosen: all that is random about it is drawn already.
struct RulerPrompt {
    var tags: [String: Double] = [:]
    /// What the answer should contain.
    var references: [String]
    var question: String
    var leastUnits = 0
    /// The text before the question with so many units of filler.
    var context: (_ units: Int) -> String

    init(
        _ task: RulerTask, length: Int, turn: SampleTurn, essay: RulerEssay,
        numbers: inout SeededNumbers
    ) {
        switch task {
        case .vt: self = .variableTracking(turn: turn, numbers: &numbers)
        case .cwe: self = .commonWords(isShort: length < 4096, numbers: &numbers)
        case .fwe: self = .frequentWords(length: length, numbers: &numbers)
        case .niahSingle1: self = NeedleKind(.noise).prompt(turn, essay, &numbers)
        case .niahSingle2: self = NeedleKind(.essay).prompt(turn, essay, &numbers)
        case .niahSingle3: self = NeedleKind(.essay, value: .uuid).prompt(turn, essay, &numbers)
        case .niahMultikey1: self = NeedleKind(.essay, keys: 4).prompt(turn, essay, &numbers)
        case .niahMultikey2: self = NeedleKind(.needles).prompt(turn, essay, &numbers)
        case .niahMultikey3:
            self = NeedleKind(.needles, key: .uuid, value: .uuid).prompt(turn, essay, &numbers)
        case .niahMultivalue: self = NeedleKind(.essay, values: 4).prompt(turn, essay, &numbers)
        case .niahMultiquery:
            self = NeedleKind(.essay, keys: 4, queries: 4).prompt(turn, essay, &numbers)
        }
    }

    init(
        references: [String], question: String, leastUnits: Int = 0,
        context: @escaping (_ units: Int) -> String
    ) {
        self.references = references
        self.question = question
        self.leastUnits = leastUnits
        self.context = context
    }

    func request(units: Int, maxTokens: Int) -> GenerationRequest {
        let wanted = references.map { $0.lowercased() }
        return GenerationRequest(
            context: context(units), question: question, maxTokens: maxTokens
        ) { (answer: String) -> [TaskScore] in
            let answer = answer.lowercased()
            let found = wanted.count { answer.contains($0) }
            return [TaskScore("string-match-all", Double(found) / Double(wanted.count))]
        }
    }
}

/// A list that grows as it is read, always in the same way: longer prompts begin with what shorter ones have.
final class GrowingList<Element> {
    private var made: [Element] = []
    private let make: (Int) -> Element

    init(_ make: @escaping (Int) -> Element) { self.make = make }

    func prefix(_ count: Int) -> ArraySlice<Element> {
        while made.count < count { made.append(make(made.count)) }
        return made[..<count]
    }
}

/// The filler of the tasks whose haystack says nothing.
enum NoiseLine {
    static let text =
        "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
}

/// Puts lines among others.
enum Haystack {
    /// - Parameters:
    ///   - needles: With their depths, from 0, before all of the hay, to 1, after it. Of two at one place, the first in
    ///     the list stands first.
    ///   - separator: What stands after line `index`, if another follows.
    static func joined(
        _ hay: ArraySlice<String>, needles: [(depth: Double, text: String)],
        separator: (_ index: Int) -> String
    ) -> String {
        struct Placed {
            var place: Int
            var order: Int
            var text: String
        }
        var placed: [Placed] = []
        for (order, needle) in needles.enumerated() {
            let place = Int((needle.depth * Double(hay.count)).rounded())
            placed.append(Placed(place: place, order: order, text: needle.text))
        }
        placed.sort { ($0.place, $0.order) < ($1.place, $1.order) }
        var lines: [String] = []
        lines.reserveCapacity(hay.count + needles.count)
        var next = 0
        for (index, line) in hay.enumerated() {
            while next < placed.count, placed[next].place <= index {
                lines.append(placed[next].text)
                next += 1
            }
            lines.append(line)
        }
        lines += placed[next...].map { $0.text }
        var text = ""
        for (index, line) in lines.enumerated() {
            text += line
            if index + 1 < lines.count { text += separator(index) }
        }
        return text
    }
}
