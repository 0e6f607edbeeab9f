import InnerQ

/// The statistics of a run as every command prints them.
struct RunReport: Encodable {
    var promptTokens: Int
    var prefillSeconds: Double
    var prefillTokensPerSecond: Double
    var generatedTokens: Int
    var decodeSeconds: Double
    var decodeTokensPerSecond: Double
    var cachedTokens: Int
    var cacheBytes: Int
    var float16Bytes: Int
    var compression: Double
    var bitsPerElement: Double
    var stopReason: StopReason?

    init(_ statistics: GenerationStatistics) {
        promptTokens = statistics.promptTokens
        prefillSeconds = statistics.prefillSeconds
        prefillTokensPerSecond = statistics.prefillRate
        generatedTokens = statistics.generatedTokens
        decodeSeconds = statistics.decodeSeconds
        decodeTokensPerSecond = statistics.decodeRate
        cachedTokens = statistics.cachedTokens
        cacheBytes = statistics.cacheBytes
        float16Bytes = statistics.float16Bytes
        compression = statistics.compression
        bitsPerElement = statistics.bitsPerElement
        stopReason = statistics.stopReason
    }

    static func say(_ statistics: GenerationStatistics) {
        func line(_ what: String, _ tokens: Int, _ seconds: Double, _ rate: Double) -> String {
            "\(what) \(Format.count(tokens)) tokens in \(Format.fixed(seconds, 2)) s, \(Format.fixed(rate, 1)) tokens/s"
        }
        var end = ""
        switch statistics.stopReason {
        case .endOfGeneration: end = " (ended by the model)"
        case .maxTokens: end = " (--max-tokens reached)"
        case .stopString: end = " (--stop found)"
        case .contextFull: end = " (the model's context is full)"
        case .cancelled: end = " (stopped)"
        case nil: break
        }
        Console.say()
        Console.say(
            line(
                "prompt   ", statistics.promptTokens, statistics.prefillSeconds,
                statistics.prefillRate))
        Console.say(
            line(
                "generated", statistics.generatedTokens, statistics.decodeSeconds,
                statistics.decodeRate)
                + end)
        let compression =
            statistics.compression >= 1
            ? "\(Format.fixed(statistics.compression, 2)) times smaller" : "not smaller yet"
        Console.say(
            "cache     \(Format.count(statistics.cachedTokens)) tokens in \(Format.bytes(statistics.cacheBytes)) "
                + "(float16: \(Format.bytes(statistics.float16Bytes)), \(compression)), "
                + "\(Format.fixed(statistics.bitsPerElement, 2)) bits an element")
    }
}
