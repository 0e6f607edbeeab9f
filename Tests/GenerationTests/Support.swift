import Generation

extension GenerationOptions {
    /// The most likely tokens, `count` of them whatever they are.
    static func greedy(_ count: Int?) -> GenerationOptions {
        GenerationOptions(sampling: .greedy, maxTokens: count, ignoresEndOfGeneration: true)
    }

    static func random(_ count: Int?, seed: UInt64?) -> GenerationOptions {
        GenerationOptions(
            sampling: SamplingParameters(
                temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1.1, seed: seed),
            maxTokens: count, ignoresEndOfGeneration: true)
    }
}

extension TokenStream {
    /// Ids and text of all tokens.
    func collect() async throws -> (ids: [Int32], text: String) {
        var ids: [Int32] = []
        var text = ""
        for try await token in self {
            if let id = token.id { ids.append(id) }
            text += token.text
        }
        return (ids, text)
    }
}
