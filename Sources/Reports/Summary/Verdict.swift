extension CacheSummary {
    /// What each measure that was taken says.
    public func grades(by reference: CacheSummary?) -> [(measure: String, grade: Grade)] {
        var grades: [(String, Grade)] = []
        if let text {
            if let increase = text.increase { grades.append(("perplexity", .perplexity(increase))) }
            if let divergence = text.divergence {
                grades.append(("divergence", .divergence(divergence.value)))
            }
            if let agreement = text.agreement {
                grades.append(("agreement", .agreement(agreement.value)))
            }
        }
        for task in tasks where task.isMain {
            // Over the questions that both were asked: the scores themselves may be over more.
            guard let test = task.comparison, let other = test.reference else { continue }
            let score = other + test.difference.value
            grades.append((task.task, .task(score, reference: other, test)))
        }
        if let error = medianAttentionError {
            grades.append(("attention", .attention(error)))
        }
        return grades
    }

    /// Of attention's output, the median over layers.
    public var medianAttentionError: Double? {
        Spread(layers.map(\.output))?.median
    }

    mutating func judge(by reference: CacheSummary?) {
        guard !isReference else {
            verdict = "the reference" + facts(by: nil)
            return
        }
        let grades = grades(by: reference)
        guard let worst = grades.map(\.grade).max() else {
            verdict = "no quality was measured" + facts(by: reference)
            return
        }
        grade = worst
        let reasons = grades.filter { $0.grade == worst }.map(\.measure)
        var words = worst.words
        if worst == .lossless, text == nil, layers.isEmpty {
            // Questions alone tell little: a cache must be much worse for chance not to explain it.
            let asked = tasks.filter { $0.isMain }.reduce(0) { $0 + $1.score.count }
            words = "no loss seen in \(Numbers.count(asked)) questions"
        }
        if worst > .good, reasons.count < grades.count {
            words += " by " + reasons.joined(separator: ", ")
        }
        verdict = words + facts(by: reference)
    }

    /// ": perplexity +2.7 % ± 0.4, …".
    private func facts(by reference: CacheSummary?) -> String {
        var facts: [String] = []
        if let text {
            if let increase = text.increase {
                facts.append(words(increase))
            } else {
                facts.append("perplexity \(Numbers.fixed(text.perplexity.value, 2))")
            }
            if let agreement = text.agreement, text.increase != nil {
                facts.append(
                    "the same first choice at \(Numbers.percent(agreement.value)) of tokens")
            }
        }
        let asked = passkey.reduce(0) { $0 + $1.asked }
        if asked > 0 {
            facts.append("\(passkey.reduce(0) { $0 + $1.found }) of \(asked) passkeys found")
        }
        let lost = tasks.filter { $0.isMain && $0.task != PasskeyCell.task }.filter {
            $0.comparison.map { $0.isSignificant && $0.difference.value < 0 } ?? false
        }
        if !lost.isEmpty { facts.append("worse at \(lost.map(\.task).joined(separator: ", "))") }
        if let reference, bits > 0, reference.bits > 0, (reference.bits / bits).isFinite {
            let times = Numbers.fixed(reference.bits / bits, 1)
            facts.append(reference.bits > bits ? "\(times) times smaller" : "not smaller")
        }
        if let deepest = speed.last, let ratio = deepest.decodeRatio, !isReference {
            facts.append(
                "\(Numbers.fixed(ratio, 2)) times as fast at \(Numbers.count(deepest.depth)) tokens"
            )
        }
        return facts.isEmpty ? "." : ": " + facts.joined(separator: ", ") + "."
    }
}

extension CacheSummary {
    /// `perplexity +2.7 % ± 0.4`, `perplexity × 750`.
    private func words(_ increase: Estimate) -> String {
        guard increase.value.isFinite else { return "perplexity not finite" }
        guard abs(increase.value) < 2 else {
            return "perplexity × \(Numbers.significant(1 + increase.value))"
        }
        let digits = abs(increase.value) < 0.01 ? 2 : 1
        let sign = increase.value < 0 ? "−" : "+"
        return "perplexity \(sign)\(Numbers.percent(abs(increase.value), digits))"
            + Numbers.plusMinus(100 * increase.error, digits)
    }
}

extension [CacheSummary] {
    /// What a cache costs, for the Pareto set: its mean divergence, else its increase of perplexity.
    private func cost(_ cache: CacheSummary) -> Double? {
        if cache.isReference { return 0 }
        let usesDivergence = contains { $0.text?.divergence != nil }
        let cost = usesDivergence ? cache.text?.divergence?.value : cache.text?.increase?.value
        return cost?.isFinite == true ? cost : nil
    }

    /// Marks the caches that no other one beats in both bits and cost.
    mutating func markPareto() {
        let points = map { (bits: $0.bits, cost: $0.isControl ? nil : cost($0)) }
        // The reference alone is no choice.
        guard zip(self, points).contains(where: { !$0.isReference && $1.cost != nil }) else {
            return
        }
        for index in indices {
            guard let own = points[index].cost else { continue }
            self[index].isPareto = !points.indices.contains { other in
                guard other != index, let cost = points[other].cost else { return false }
                let bits = points[other].bits
                return bits <= points[index].bits && cost <= own
                    && (bits < points[index].bits || cost < own)
            }
        }
    }
}
