/// The synthetic tasks of RULER (Hsieh et al. 2024, arXiv 2404.06654, table 2 and appendix B, with the settings of its
/// scripts/synthetic.yaml); its two question answering tasks need published text and are not among them.
public enum RulerTask: String, Sendable, CaseIterable, Codable {
    /// A number for a word, in text that repeats itself.
    case niahSingle1 = "niah-single-1"
    /// The same in prose.
    case niahSingle2 = "niah-single-2"
    /// A UUID for a word, in prose.
    case niahSingle3 = "niah-single-3"
    /// One of four needles with different keys, in prose.
    case niahMultikey1 = "niah-multikey-1"
    /// One of many needles: the haystack is nothing else.
    case niahMultikey2 = "niah-multikey-2"
    /// The same, with UUIDs as keys and as values.
    case niahMultikey3 = "niah-multikey-3"
    /// The four values of one key, in prose.
    case niahMultivalue = "niah-multivalue"
    /// The values of four keys, in prose.
    case niahMultiquery = "niah-multiquery"
    /// Variable tracking: five names that have one value through four assignments.
    case vt
    /// Common words extraction: the ten words of a list that are there most often.
    case cwe
    /// Frequent words extraction: three coded words, whose frequencies fall as the square of their rank.
    case fwe

    /// What stands before this in the name of a sample's task.
    static let prefix = "ruler-"

    public var name: String { Self.prefix + rawValue }

    /// The room for an answer, in tokens, of the published settings.
    public var answerTokens: Int {
        switch self {
        case .vt: 30
        case .cwe: 120
        case .fwe: 50
        default: 128
        }
    }
}

extension TaskSet {
    /// Prompts of RULER's synthetic tasks at any length.
    ///
    /// The metric is RULER's `string-match-all`: the share of the expected words that the answer contains, whatever
    /// their case. The tag `length` is as asked; needles that stand alone have `depth` (per cent) too. Needles of the
    /// samples of a length are spread over all depths.
    ///
    /// - Parameters:
    ///   - lengths: In tokens, of the whole prompt and the room for its answer together. A prompt has at most so many,
    ///     and about a line of its filler less at most.
    ///   - samples: Prompts for each length.
    ///   - essay: The prose of those tasks that hide needles in some.
    ///   - answerTokens: Room for the answer; the task's own where nil.
    ///   - countTokens: The tokens of a text by the model's tokenizer, with those that it puts before and after. Called
    ///     about once a prompt.
    /// - Throws: `parameterOutOfRange` for a length that cannot hold the task.
    public static func ruler(
        _ task: RulerTask, lengths: [Int], samples: Int = 1, seed: UInt64 = 0,
        essay: RulerEssay = .generated, answerTokens: Int? = nil,
        countTokens: @escaping (String) -> Int
    ) throws(TaskError) -> TaskSet {
        guard !lengths.isEmpty, samples > 0 else {
            throw .parameterOutOfRange("\(task.name) needs a length and a sample at least")
        }
        let room = answerTokens ?? task.answerTokens
        guard room > 0 else {
            throw .parameterOutOfRange("\(task.name) needs room for an answer, not \(room) tokens")
        }
        try PromptSizing.check(lengths)
        var made: [TaskSample] = []
        for length in lengths {
            var sizing = PromptSizing(countTokens: countTokens)
            for index in 0..<samples {
                var numbers = SeededNumbers(seed: seed, task.name, "\(length)", "\(index)")
                let turn = SampleTurn(task: task, length: length, seed: seed, index: index)
                let prompt = RulerPrompt(
                    task, length: length, turn: turn, essay: essay, numbers: &numbers)
                let units = sizing.units(budget: length - room, least: prompt.leastUnits) {
                    prompt.context($0) + prompt.question
                }
                guard let units else {
                    throw .parameterOutOfRange(
                        "\(task.name) does not fit in \(length) tokens with an answer of \(room); "
                            + "ask for a greater length")
                }
                made.append(
                    TaskSample(
                        task: task.name, id: "\(task.name)/\(length)/\(index)/\(seed)",
                        tags: prompt.tags.merging(["length": Double(length)]) { $1 },
                        request: .generation(prompt.request(units: units, maxTokens: room))))
            }
        }
        return TaskSet(samples: made)
    }
}

/// Which sample of a length it is, by which needles take turns at the depths.
struct SampleTurn {
    /// From 0 to just below 1.
    let offset: Double

    init(task: RulerTask, length: Int, seed: UInt64, index: Int) {
        var numbers = SeededNumbers(seed: seed, task.name, "\(length)", "turn")
        // Multiples of the golden ratio: however many there are, they are spread evenly.
        let place = numbers.unit() + Double(index) * 0.618_033_988_749_895
        offset = place - place.rounded(.down)
    }

    /// Places for `count` needles, from 0 to just below 1, one in each of as many equal parts.
    func depths(_ count: Int, _ numbers: inout SeededNumbers) -> [Double] {
        if count == 1 { return [offset] }
        return (0..<count).map { part in
            let place = (Double(part) + numbers.unit()) / Double(count) + offset
            return place - place.rounded(.down)
        }
    }
}
