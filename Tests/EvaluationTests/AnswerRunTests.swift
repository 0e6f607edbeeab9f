import Evaluation
import Foundation
import Generation
import KVCache
import ModelFiles
import ModelFixtures
import Reports
import Tasks
import Testing
import Transformer

@Suite struct AnswerRunTests {
    private static let context =
        "The quick brown fox jumps over the lazy dog. " + "One, two, three. "

    private func sample(
        context: String = context, question: String = "What?", maxTokens: Int = 12,
        stops: [String] = []
    ) -> TaskSample {
        TaskSample(
            task: "test", id: "1", tags: ["length": 3],
            request: .generation(
                GenerationRequest(
                    context: context, question: question, maxTokens: maxTokens, stops: stops
                ) { answer throws(TaskError) in [TaskScore("bytes", Double(answer.utf8.count))] }))
    }

    @Test func answersAreThoseOfASession() async throws {
        let model = try Fixture.model()
        let caches = [CacheCandidate.reference, CacheCandidate(.presetNamed("q4"))]
        let records = try AnswerRun(model: model).answer(
            sample(), candidates: caches, isCancelled: { false })
        #expect(records.map(\.cache) == ["float16", "q4"])
        let text = try await model.makeSession(policy: .float16).generate(
            Self.context + "What?",
            options: GenerationOptions(sampling: .greedy, maxTokens: 12)
        ).text()
        #expect(!text.isEmpty)
        #expect(records[0].answer == text)
        #expect(records[0].scores == ["bytes": Double(text.utf8.count)])
        #expect(records[0].mainMetric == "bytes")
        #expect(records[0].tags == ["length": 3])
        #expect(
            records[0].promptTokens
                == model.tokenizer.encode(Self.context + "What?").count)
        #expect(records[0].sealedTokens == 0)
    }

    @Test func stopsEndAnswersBeforeThem() throws {
        let model = try Fixture.model()
        let run = try AnswerRun(model: model)
        let whole = try run.answer(
            sample(maxTokens: 20), candidates: [.reference], isCancelled: { false })[0]
        let letters = Array(whole.answer)
        try #require(letters.count > 6)
        let stop = String(letters[3...4])
        let cut = try run.answer(
            sample(maxTokens: 20, stops: [stop]), candidates: [.reference],
            isCancelled: { false })[0]
        let expected = whole.answer.range(of: stop).map { String(whole.answer[..<$0.lowerBound]) }
        #expect(cut.answer == expected)
    }

    @Test func theMiddleOfALongPromptGoesOnlyIfItMay() throws {
        let model = try Fixture.model()
        let run = try AnswerRun(model: model)
        let long = String(repeating: "abc ", count: 200)
        #expect(throws: EvaluationError.self) {
            try run.answer(sample(context: long), candidates: [.reference], isCancelled: { false })
        }
        var short = sample(context: long)
        guard case .generation(var request) = short.request else { return }
        request.mayBeShortened = true
        short.request = .generation(request)
        let record = try run.answer(short, candidates: [.reference], isCancelled: { false })[0]
        #expect(record.promptTokens == 256 - 12)
    }

    @Test func choicesAreWeighedByTheirLogLikelihood() throws {
        let model = try Fixture.model()
        let context = "Answer:"
        let choices = [" yes", " no", " perhaps not"]
        let sample = TaskSample(
            task: "choice", id: "7",
            request: .choice(
                ChoiceRequest(
                    choices: choices.map { (context, $0) }, gold: 1, mainMetric: "accuracy")))
        let record = try AnswerRun(model: model).answer(
            sample, candidates: [.reference], isCancelled: { false })[0]
        // The same by perplexity of the whole text, the context's tokens not scored.
        let sums = try choices.map { choice -> Double in
            let tokens = model.tokenizer.encode(context + choice)
            let first = model.tokenizer.encode(context).count
            let result = try model.transformer.perplexity(
                of: tokens, policy: .float16,
                options: PerplexityOptions(
                    context: tokens.count, prefill: 1, scoredFrom: first))
            return -result.negativeLogLikelihoods.reduce(0) { $0 + Double($1) }
        }
        let best = sums.indices.max { sums[$0] < sums[$1] }!
        #expect(record.answer == "\(best)")
        #expect(record.scores["accuracy"] == (best == 1 ? 1 : 0))
        #expect(record.mainMetric == "accuracy")
    }

    @Test func aModelWithoutATemplateCannotChat() throws {
        let model = try Fixture.endlessModel()
        #expect(throws: GenerationError.noChatTemplate) {
            try AnswerRun(model: model, options: AnswerOptions(usesChatTemplate: true))
        }
    }

    @Test func aChatPromptIsWrapped() throws {
        let model = try Fixture.model()
        let plain = try AnswerRun(model: model).answer(
            sample(), candidates: [.reference], isCancelled: { false })[0]
        let chat = try AnswerRun(model: model, options: AnswerOptions(usesChatTemplate: true))
            .answer(sample(), candidates: [.reference], isCancelled: { false })[0]
        #expect(chat.promptTokens > plain.promptTokens)
    }
}
