import Foundation

extension TextSummary {
    /// - Returns: `nil` without a scored token.
    init?(_ records: [TextRecord]) {
        // A fixed order, so that sums do not depend on a dictionary's.
        let records = records.sorted {
            ($0.text, $0.offset, $0.context, $0.prefill) < (
                $1.text, $1.offset, $1.context, $1.prefill
            )
        }
        var loss = Moments()
        var difference = Moments()
        var divergence = Moments()
        var divergences = LogHistogram()
        var compared = 0
        var agreements = 0
        for record in records {
            loss += record.loss
            if let value = record.difference { difference += value }
            if let value = record.divergence { divergence += value }
            if let value = record.divergences { divergences += value }
            if let value = record.agreements {
                agreements += value
                compared += record.loss.count
            }
        }
        guard loss.count > 0, let last = records.last else { return nil }
        scoredTokens = loss.count
        windows = records.count
        let perplexity = exp(loss.mean)
        self.perplexity = Estimate(
            value: perplexity, error: perplexity * loss.standardError, count: loss.count)
        if difference.count > 0 {
            increase = Estimate(
                value: exp(difference.mean) - 1,
                error: exp(difference.mean) * difference.standardError, count: difference.count)
            pValue = PairedTest(difference).pValue
        }
        if divergence.count > 0 {
            self.divergence = Estimate(divergence)
            divergence99 = divergences.quantile(0.99)
            largestDivergence = divergence.largest
        }
        if compared > 0 {
            let share = Double(agreements) / Double(compared)
            agreement = Estimate(
                value: share, error: (share * (1 - share) / Double(compared)).squareRoot(),
                count: compared)
        }
        bitsPerElement = last.bitsPerElement
    }
}

extension PasskeyCell {
    /// The task that makes the grid.
    static let task = "passkey"

    private struct Place: Hashable {
        var length: Int
        var depth: Double
    }

    static func cells(_ samples: [SampleRecord]) -> [PasskeyCell] {
        var cells: [Place: PasskeyCell] = [:]
        for sample in samples where sample.task == task {
            guard let length = sample.tags["length"].flatMap(Int.init(exactly:)),
                let depth = sample.tags["depth"], depth.isFinite
            else { continue }
            let score = sample.scores[sample.mainMetric] ?? 0
            let place = Place(length: length, depth: depth)
            var cell = cells[place] ?? PasskeyCell(length: length, depth: depth, found: 0, asked: 0)
            cell.asked += 1
            cell.found += score >= 1 ? 1 : 0
            cells[place] = cell
        }
        return cells.values.sorted { ($0.length, $0.depth) < ($1.length, $1.depth) }
    }
}

extension TaskSummary {
    /// - Parameters: `answers` and `reference`: by question.
    static func make(
        of answers: [String: SampleRecord], reference: [String: SampleRecord]?
    ) -> [TaskSummary] {
        var result: [TaskSummary] = []
        let byTask = Dictionary(grouping: answers.sorted { $0.key < $1.key }) { $0.value.task }
        for (task, answers) in byTask.sorted(by: { $0.key < $1.key }) {
            let main = answers[0].value.mainMetric
            let metrics = Set(answers.flatMap { $0.value.scores.keys })
            for metric in metrics.sorted(by: { ($0 != main ? 1 : 0, $0) < ($1 != main ? 1 : 0, $1) }
            ) {
                let scores = answers.compactMap { $0.value.scores[metric] }
                // Only questions that both were asked are compared.
                let pairs = answers.compactMap { key, answer -> (Double, Double)? in
                    guard let own = answer.scores[metric],
                        let other = reference?[key]?.scores[metric]
                    else { return nil }
                    return (own, other)
                }
                let sealed = answers.map {
                    Double($0.value.sealedTokens)
                        / max(1, Double($0.value.promptTokens) + Double($0.value.answerTokens))
                }
                result.append(
                    TaskSummary(
                        task: task, metric: metric, isMain: metric == main,
                        score: Estimate(Moments(scores)),
                        comparison: PairedTest(of: pairs.map(\.0), with: pairs.map(\.1)),
                        sealedShare: Moments(sealed).mean))
            }
        }
        return result
    }
}

extension SpeedSummary {
    init?(_ record: SpeedRecord, reference: SpeedRecord?) {
        guard let decode = Spread(record.decode) else { return nil }
        depth = record.depth
        self.decode = decode
        prefill = Spread(record.prefill)
        decodeRatio = reference.flatMap { Spread($0.decode) }
            .flatMap { $0.median > 0 ? decode.median / $0.median : nil }
    }
}
