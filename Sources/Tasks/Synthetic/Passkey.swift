extension TaskSet {
    /// Passkey retrieval: five digits to be found in text that repeats itself (Mohtashami and Jaggi 2023, arXiv
    /// 2305.16300, appendix; the wording of its code, run_test.py).
    ///
    /// The metric is `exact`: 1 if the first number of the answer is the key. Tags are `length` and `depth`, as asked.
    ///
    /// - Parameters:
    ///   - lengths: Of the whole prompts, in tokens. A prompt has at most so many, and about a sentence of filler less
    ///     at most.
    ///   - depths: Where in the filler the key stands, in per cent: 0 before all of it, 100 after it.
    ///   - samples: Prompts for each length and depth, each with a key of its own.
    ///   - countTokens: The tokens of a text by the model's tokenizer, with those that it puts before and after. Called
    ///     about once a prompt.
    /// - Throws: `parameterOutOfRange` for a length that cannot hold the question, or a depth outside 0 to 100.
    public static func passkey(
        lengths: [Int], depths: [Double], samples: Int = 1, seed: UInt64 = 0, maxTokens: Int = 12,
        countTokens: @escaping (String) -> Int
    ) throws(TaskError) -> TaskSet {
        guard !lengths.isEmpty, !depths.isEmpty, samples > 0 else {
            throw .parameterOutOfRange("passkey needs a length, a depth and a sample at least")
        }
        if let depth = depths.first(where: { !(0...100 ~= $0) }) {
            throw .parameterOutOfRange("the depth \(depth) is not within 0 and 100 per cent")
        }
        try PromptSizing.check(lengths)
        var made: [TaskSample] = []
        for length in lengths {
            var sizing = PromptSizing(countTokens: countTokens)
            for depth in depths {
                for sample in 0..<samples {
                    var numbers = SeededNumbers(
                        seed: seed, "passkey", "\(length)", "\(depth)", "\(sample)")
                    let prompt = PasskeyPrompt(key: numbers.number(digits: 5), depth: depth)
                    let units = sizing.units(budget: length, least: 0) {
                        prompt.context(sentences: $0) + PasskeyPrompt.question
                    }
                    guard let units else {
                        throw .parameterOutOfRange(
                            "a passkey prompt needs more than \(length) tokens; ask for 128 or more"
                        )
                    }
                    made.append(
                        TaskSample(
                            task: "passkey", id: "passkey/\(length)/\(depth)/\(sample)/\(seed)",
                            tags: ["length": Double(length), "depth": depth],
                            request: .generation(
                                prompt.request(sentences: units, maxTokens: maxTokens))))
                }
            }
        }
        return TaskSet(samples: made)
    }
}

private struct PasskeyPrompt {
    var key: String
    /// In per cent.
    var depth: Double

    static let introduction = """
        There is an important info hidden inside a lot of irrelevant text. Find it and memorize it. \
        I will quiz you about the important information there.
        """
    static let filler = [
        "The grass is green.", "The sky is blue.", "The sun is yellow.", "Here we go.",
        "There and back again.",
    ]
    static let question = "\nWhat is the pass key? The pass key is"

    func context(sentences: Int) -> String {
        let before = Int((Double(sentences) * depth / 100).rounded())
        let lines = [
            Self.introduction, Self.filler(0..<before),
            "The pass key is \(key). Remember it. \(key) is the pass key.",
            Self.filler(before..<sentences),
        ]
        return lines.filter { !$0.isEmpty }.joined(separator: "\n")
    }

    private static func filler(_ sentences: Range<Int>) -> String {
        sentences.map { filler[$0 % filler.count] }.joined(separator: " ")
    }

    func request(sentences: Int, maxTokens: Int) -> GenerationRequest {
        let key = key
        return GenerationRequest(
            context: context(sentences: sentences), question: Self.question, maxTokens: maxTokens
        ) { (answer: String) -> [TaskScore] in
            let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
            let number = answer.utf8.drop { !digits.contains($0) }.prefix { digits.contains($0) }
            return [TaskScore("exact", number.elementsEqual(key.utf8) ? 1 : 0)]
        }
    }
}
