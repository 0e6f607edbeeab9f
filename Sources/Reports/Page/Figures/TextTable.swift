/// Every figure on text, as a table.
enum TextTable {
    private static let contexts = [4096, 32_768, 131_072]

    static func make(_ model: ModelSummary) -> DataTable? {
        let caches = model.caches.filter { $0.text != nil }
        guard !caches.isEmpty else { return nil }
        let contexts = contexts.filter { context in
            caches.contains { $0.memory.contains { $0.context == context } }
        }
        return DataTable(
            caption: "Perplexity, divergence and agreement on text, and size",
            columns: [
                "Cache", "Bits an element", "Perplexity ± error", "Increase ± error", "p",
                "KL mean (nats)", "KL 99 %", "KL largest", "Same first choice ± error",
            ] + contexts.map { "Bytes at \(Numbers.context($0))" } + [
                "Bits in the windows measured", "Tokens scored",
            ],
            rows: caches.compactMap { cache in cache.text.map { row(cache, $0, contexts) } })
    }

    private static func row(_ cache: CacheSummary, _ text: TextSummary, _ contexts: [Int])
        -> [String]
    {
        func number(_ value: Double?) -> String {
            value.map { Numbers.significant($0) } ?? Numbers.missing
        }
        let measures = [
            cache.cache, Numbers.fixed(cache.bits, 2), perplexity(text.perplexity),
            text.increase.map { Numbers.change($0) } ?? Numbers.missing,
            text.pValue.map { Numbers.pValue($0) } ?? Numbers.missing,
            number(text.divergence?.value), number(text.divergence99),
            number(text.largestDivergence),
            text.agreement.map { Numbers.percent($0.value) + Numbers.plusMinus(100 * $0.error, 1) }
                ?? Numbers.missing,
        ]
        let sizes = contexts.map { context in
            cache.memory.first { $0.context == context }.map { Numbers.bytes($0.bytes) }
                ?? Numbers.missing
        }
        return measures + sizes + [
            Numbers.fixed(text.bitsPerElement, 2), Numbers.count(text.scoredTokens),
        ]
    }

    private static func perplexity(_ estimate: Estimate) -> String {
        let digits = estimate.value < 100 ? 3 : estimate.value < 1000 ? 1 : 0
        return Numbers.fixed(estimate.value, digits) + Numbers.plusMinus(estimate.error, digits)
    }
}
