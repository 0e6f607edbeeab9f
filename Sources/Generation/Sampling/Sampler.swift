import Foundation

/// Chooses tokens. Its memory is reused, so that choosing does not allocate after the first time.
public struct Sampler: Sendable {
    public let parameters: SamplingParameters
    /// State of the random numbers (SplitMix64); saved with a session so that it continues alike.
    public internal(set) var randomState: UInt64
    private var candidates: [Candidate] = []
    private var seen: Set<Int32> = []

    private struct Candidate {
        var id: Int32
        var logit: Float
    }

    /// - Parameter randomState: where an earlier sampler stopped, to go on from there if the parameters have no seed.
    public init(_ parameters: SamplingParameters, continuing randomState: UInt64? = nil) {
        self.parameters = parameters
        self.randomState = parameters.seed ?? randomState ?? UInt64.random(in: .min ... .max)
    }

    /// The next token.
    ///
    /// - Parameters:
    ///   - logits: one per token of the vocabulary; changed by the repetition penalty. NaN counts as −∞.
    ///   - history: tokens so far, newest last.
    public mutating func sample(
        _ logits: UnsafeMutableBufferPointer<Float>, history: [Int32]
    ) -> Int32 {
        penalize(logits, history)
        let best = Self.argmax(logits)
        guard parameters.temperature > 0, logits[Int(best)].isFinite else { return best }
        collect(logits, best: logits[Int(best)])
        keepTopP()
        return draw()
    }

    private mutating func penalize(
        _ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32]
    ) {
        let penalty = parameters.repetitionPenalty
        guard penalty != 1 else { return }
        seen.removeAll(keepingCapacity: true)
        for id in history.suffix(parameters.repetitionWindow)
        where logits.indices.contains(Int(id)) && seen.insert(id).inserted {
            let logit = logits[Int(id)]
            logits[Int(id)] = logit > 0 ? logit / penalty : logit * penalty
        }
    }

    /// The first of the likeliest tokens.
    package static func argmax(_ logits: UnsafeMutableBufferPointer<Float>) -> Int32 {
        var best = 0
        for i in 1..<max(logits.count, 1)
        where logits[i] > logits[best] || logits[best].isNaN { best = i }
        return Int32(best)
    }

    /// Fills `candidates`, most likely first, with those that top-k and min-p leave.
    private mutating func collect(_ logits: UnsafeMutableBufferPointer<Float>, best: Float) {
        candidates.removeAll(keepingCapacity: true)
        // min-p compares probabilities, so it is a bound on logits: p ≥ m·p₁ ⇔ l ≥ l₁ + ln m.
        let bound = parameters.minP > 0 ? best + log(parameters.minP) : -.infinity
        let limit = parameters.topK > 0 ? min(parameters.topK, logits.count) : logits.count
        if limit >= logits.count / 8 {
            for i in logits.indices where logits[i] >= bound {
                candidates.append(Candidate(id: Int32(i), logit: logits[i]))
            }
            candidates.sort(by: Self.precedes)
            if candidates.count > limit { candidates.removeLast(candidates.count - limit) }
            return
        }
        // A min-heap of the best `limit`, its least likely member at the root.
        for i in logits.indices where logits[i] >= bound {
            let candidate = Candidate(id: Int32(i), logit: logits[i])
            if candidates.count < limit {
                candidates.append(candidate)
                siftUp(candidates.count - 1)
            } else if Self.precedes(candidate, candidates[0]) {
                candidates[0] = candidate
                siftDown(0)
            }
        }
        candidates.sort(by: Self.precedes)
    }

    /// More likely first; ties by id, so that the order does not depend on the way there.
    private static func precedes(_ a: Candidate, _ b: Candidate) -> Bool {
        a.logit > b.logit || (a.logit == b.logit && a.id < b.id)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard Self.precedes(candidates[parent], candidates[child]) else { return }
            candidates.swapAt(parent, child)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while 2 * parent + 1 < candidates.count {
            var child = 2 * parent + 1
            if child + 1 < candidates.count,
                Self.precedes(candidates[child], candidates[child + 1])
            {
                child += 1
            }
            guard Self.precedes(candidates[parent], candidates[child]) else { return }
            candidates.swapAt(parent, child)
            parent = child
        }
    }

    private mutating func keepTopP() {
        guard parameters.topP < 1, let best = candidates.first?.logit else { return }
        var total: Float = 0
        for candidate in candidates { total += exp(candidate.logit - best) }
        var sum: Float = 0
        for (index, candidate) in candidates.enumerated() {
            sum += exp(candidate.logit - best)
            if sum >= parameters.topP * total {
                candidates.removeLast(candidates.count - index - 1)
                return
            }
        }
    }

    private mutating func draw() -> Int32 {
        let best = candidates[0].logit
        var total: Float = 0
        for candidate in candidates {
            total += exp((candidate.logit - best) / parameters.temperature)
        }
        var left = uniform() * total
        for candidate in candidates {
            left -= exp((candidate.logit - best) / parameters.temperature)
            if left < 0 { return candidate.id }
        }
        return candidates[candidates.count - 1].id
    }

    /// Uniform in [0, 1).
    private mutating func uniform() -> Float {
        randomState &+= 0x9E37_79B9_7F4A_7C15
        var z = randomState
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Float((z ^ (z >> 31)) >> 40) / Float(1 << 24)
    }
}
