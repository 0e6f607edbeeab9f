/// Finds how much filler brings a prompt to a length, with few counts: a count reads the whole prompt.
struct PromptSizing {
    private let countTokens: (String) -> Int
    /// What a unit of filler has in tokens, and the units of the last prompt: the next one starts from them.
    private var known: (tokensPerUnit: Double, units: Int)?

    /// - Parameter countTokens: The tokens of a text.
    init(countTokens: @escaping (String) -> Int) { self.countTokens = countTokens }

    /// - Throws: `parameterOutOfRange` for a prompt that no model reads, and that would fill the memory.
    static func check(_ lengths: [Int]) throws(TaskError) {
        if let length = lengths.first(where: { $0 > 1 << 24 }) {
            throw .parameterOutOfRange(
                "a prompt of \(length) tokens is not made; ask for 16777216 at most")
        }
    }

    /// The most units with which the prompt has at most `budget` tokens, or a number near it.
    ///
    /// Steps by the mean of a unit, so it ends within about one unit of the budget, after some four counts (two of
    /// them of short texts) for the first prompt and mostly one for each further of the same kind.
    ///
    /// - Parameters:
    ///   - least: Fewer units make no prompt.
    ///   - build: The prompt with so many units.
    /// - Returns: The units, or nil when even the least are too many.
    mutating func units(
        budget: Int, least: Int, build: (Int) -> String
    ) -> Int? {
        // A unit has a token at least; a counter that says otherwise must not make texts without end.
        let most = max(budget, least)
        var fitting: Int?
        var tooMany: Int?
        var guess: Int
        let tokensPerUnit: Double
        if let known {
            tokensPerUnit = known.tokensPerUnit
            guess = min(max(known.units, least), most)
        } else {
            let base = countTokens(build(least))
            if base > budget { return nil }
            if least >= most { return least }
            fitting = least
            let trial = least + min(64, most - least)
            let more = Double(countTokens(build(trial)) - base) / Double(trial - least)
            // A counter that does not grow would never end.
            tokensPerUnit = max(more, 0.01)
            let room = Int(Double(budget - base) / tokensPerUnit)
            guess = least + min(max(room, 1), most - least)
        }
        for _ in 0..<24 {
            let tokens = countTokens(build(guess))
            if tokens <= budget {
                fitting = guess
                let room = Int(Double(budget - tokens) / tokensPerUnit)
                let upper = tooMany.map { $0 - 1 } ?? most
                if room < 1 || guess >= upper { break }
                guess += min(room, upper - guess)
            } else {
                tooMany = guess
                let lower = fitting.map { $0 + 1 } ?? least
                if guess <= lower { break }
                let step = Int((Double(tokens - budget) / tokensPerUnit).rounded(.up))
                guess = max(guess - max(step, 1), lower)
            }
        }
        if let fitting { known = (tokensPerUnit, fitting) }
        return fitting
    }
}
