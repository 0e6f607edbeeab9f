import Foundation
import Generation
import Testing

@Suite struct SamplerTests {
    /// Samples once from a copy of the logits.
    func sample(_ sampler: inout Sampler, _ logits: [Float], history: [Int32] = []) -> Int32 {
        var logits = logits
        return logits.withUnsafeMutableBufferPointer { sampler.sample($0, history: history) }
    }

    func sample(_ parameters: SamplingParameters, _ logits: [Float], history: [Int32] = []) -> Int32
    {
        var sampler = Sampler(parameters)
        return sample(&sampler, logits, history: history)
    }

    /// All off but the temperature.
    func plain(
        temperature: Float = 1, topK: Int = 0, topP: Float = 1, minP: Float = 0, seed: UInt64 = 7
    ) -> SamplingParameters {
        SamplingParameters(
            temperature: temperature, topK: topK, topP: topP, minP: minP, seed: seed)
    }

    /// Draws many tokens and compares their frequencies with the expected probabilities, by chi-square.
    func expectFrequencies(
        _ parameters: SamplingParameters, _ logits: [Float], _ expected: [Double],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let draws = 20_000
        var sampler = Sampler(parameters)
        var counts = [Int](repeating: 0, count: logits.count)
        for _ in 0..<draws { counts[Int(sample(&sampler, logits))] += 1 }
        var chi = 0.0
        var degrees = -1
        for (count, probability) in zip(counts, expected) {
            guard probability > 0 else {
                #expect(count == 0, sourceLocation: sourceLocation)
                continue
            }
            let mean = probability * Double(draws)
            chi += (Double(count) - mean) * (Double(count) - mean) / mean
            degrees += 1
        }
        // Mean `degrees`, variance 2·degrees: five deviations above.
        let bound = Double(degrees) + 5 * (2 * Double(max(degrees, 1))).squareRoot()
        #expect(chi < bound, "\(counts)", sourceLocation: sourceLocation)
    }

    func softmax(_ logits: [Float], temperature: Double = 1, kept: (Int) -> Bool = { _ in true })
        -> [Double]
    {
        let weights = logits.enumerated().map {
            kept($0.offset) ? exp(Double($0.element) / temperature) : 0
        }
        let total = weights.reduce(0, +)
        return weights.map { $0 / total }
    }

    static let logits: [Float] = [0.5, 2, -1, 1.5, 1.9, 0, -3, 1]

    @Test func greedyTakesTheMostLikelyAndTheFirstOfEquals() {
        #expect(sample(.greedy, Self.logits) == 1)
        #expect(sample(.greedy, [1, 3, 3, 2]) == 1)
        #expect(sample(.greedy, [-.infinity, -.infinity, -5]) == 2)
    }

    @Test func notANumberIsNeverTaken() {
        #expect(sample(.greedy, [.nan, 1, .nan, 2, .nan]) == 3)
        for seed in 0..<50 {
            #expect(
                [1, 3].contains(sample(plain(seed: UInt64(seed)), [.nan, 1, .nan, 1.5, .nan])))
        }
        // Nothing to choose from: any token, but one of the vocabulary.
        #expect((0..<3).contains(sample(plain(), [.nan, .nan, .nan])))
        #expect((0..<2).contains(sample(plain(), [-.infinity, -.infinity])))
        #expect(sample(plain(), [0, .infinity]) == 1)
    }

    @Test(arguments: [0.5, 1, 2]) func frequenciesAreTheSoftmax(temperature: Double) {
        expectFrequencies(
            plain(temperature: Float(temperature)), Self.logits,
            softmax(Self.logits, temperature: temperature))
    }

    @Test func topKKeepsTheMostLikely() {
        expectFrequencies(
            plain(topK: 3), Self.logits, softmax(Self.logits) { [1, 4, 3].contains($0) })
        #expect(sample(plain(temperature: 50, topK: 1), Self.logits) == 1)
        // Few of many go another way; ties are broken by id.
        var many = (0..<800).map { Float($0 % 40) / 10 }
        many[17] = 3.9
        let best = Set([17, 39, 79, 119, 159])
        expectFrequencies(plain(topK: 5), many, softmax(many) { best.contains($0) })
    }

    @Test func topPKeepsTheSmallestSetThatReachesIt() {
        // 0.5, 0.25, 0.15, 0.1
        let logits = [0.25, 0.5, 0.1, 0.15].map { Float(log($0)) }
        expectFrequencies(plain(topP: 0.7), logits, softmax(logits) { $0 < 2 })
        expectFrequencies(plain(topP: 0.76), logits, softmax(logits) { $0 != 2 })
        #expect(sample(plain(temperature: 9, topP: 0.01), logits) == 1)
    }

    @Test func minPDropsWhatIsFarBelowTheBest() {
        let logits = [0.25, 0.5, 0.1, 0.15].map { Float(log($0)) }
        expectFrequencies(plain(minP: 0.4), logits, softmax(logits) { $0 < 2 })
        expectFrequencies(plain(minP: 0.25), logits, softmax(logits) { $0 != 2 })
        #expect(sample(plain(temperature: 9, minP: 1), logits) == 1)
    }

    @Test func thePenaltyMakesRecentTokensLessLikely() {
        var parameters = SamplingParameters.greedy
        parameters.repetitionPenalty = 2
        #expect(sample(parameters, [3, 2, 1]) == 0)
        #expect(sample(parameters, [3, 2, 1], history: [0]) == 1)
        // Once, however often it occurred: 3 / 2 is above 1.
        #expect(sample(parameters, [3, 1, 1], history: [0, 0, 0]) == 0)
        // A negative logit is multiplied.
        #expect(sample(parameters, [-1, -1.5], history: [0]) == 1)
        // Outside of the window, and tokens outside of the vocabulary.
        parameters.repetitionWindow = 2
        #expect(sample(parameters, [3, 2, 1], history: [0, 1, 1]) == 0)
        #expect(sample(parameters, [3, 2, 1], history: [-1, 99]) == 0)
    }

    @Test func aSeedRepeatsAndARandomStateContinues() {
        var first = Sampler(plain(seed: 42))
        var second = Sampler(plain(seed: 42))
        let drawn = (0..<100).map { _ in sample(&first, Self.logits) }
        #expect(drawn == (0..<100).map { _ in sample(&second, Self.logits) })
        #expect(Set(drawn).count > 3)
        var unseeded = plain()
        unseeded.seed = nil
        var third = Sampler(unseeded, continuing: first.randomState)
        #expect(
            (0..<50).map { _ in sample(&third, Self.logits) }
                == (0..<50).map { _ in sample(&first, Self.logits) })
        // A seed begins anew.
        var fourth = Sampler(plain(seed: 42), continuing: first.randomState)
        #expect((0..<100).map { _ in sample(&fourth, Self.logits) } == drawn)
    }

    @Test func parametersOutOfRangeAreRefusedByName() {
        func message(_ change: (inout SamplingParameters) -> Void) -> String {
            var parameters = SamplingParameters()
            change(&parameters)
            do {
                try parameters.validate()
                return ""
            } catch {
                return error.description
            }
        }
        #expect(message { _ in } == "")
        #expect(message { $0.temperature = -0.1 }.contains("temperature"))
        #expect(message { $0.temperature = .nan }.contains("temperature"))
        #expect(message { $0.topK = -1 }.contains("top-k"))
        #expect(message { $0.topP = 0 }.contains("top-p"))
        #expect(message { $0.minP = 1.5 }.contains("min-p"))
        #expect(message { $0.repetitionPenalty = 0 }.contains("penalty"))
        #expect(message { $0.repetitionWindow = -1 }.contains("window"))
        #expect(throws: GenerationError.self) { try GenerationOptions(maxTokens: -1).validate() }
    }
}
