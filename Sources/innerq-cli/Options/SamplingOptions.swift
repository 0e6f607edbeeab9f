import ArgumentParser
import InnerQ

/// How tokens are chosen, and when to stop.
struct SamplingOptions: ParsableArguments {
    @Option(help: "Divides the logits; 0 takes the most likely token always.")
    var temperature: Float = 0.8

    @Option(help: "Keep the K most likely tokens; 0 keeps all.")
    var topK = 40

    @Option(help: "Keep the smallest set of tokens with this much probability; 1 keeps all.")
    var topP: Float = 0.95

    @Option(help: "Drop tokens less likely than this times the most likely one; 0 drops none.")
    var minP: Float = 0.05

    @Option(help: "Divides the logits of tokens among the last 64; 1 is none.")
    var repetitionPenalty: Float = 1

    @Option(help: "Same seed, same model, same prompt: same text.")
    var seed: UInt64?

    @Option(
        help: ArgumentHelp(
            "End before this text; may be given several times.", valueName: "text"))
    var stop: [String] = []

    @Option(
        help: ArgumentHelp(
            "Generate at most this many tokens; 0 only reads the prompt.", valueName: "n"))
    var maxTokens: Int?

    @Flag(help: "Go on where the model would end.")
    var ignoreEnd = false

    var parameters: SamplingParameters {
        SamplingParameters(
            temperature: temperature, topK: topK, topP: topP, minP: minP,
            repetitionPenalty: repetitionPenalty, seed: seed)
    }

    /// - Parameter limit: most tokens if `--max-tokens` is not given.
    func options(limit: Int?) -> GenerationOptions {
        GenerationOptions(
            sampling: parameters, maxTokens: maxTokens ?? limit, stopStrings: stop,
            ignoresEndOfGeneration: ignoreEnd)
    }

    func validate() throws {
        do {
            try options(limit: nil).validate()
        } catch {
            throw ValidationError(error.description)
        }
    }
}
