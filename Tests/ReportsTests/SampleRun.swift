import Foundation
import Reports

/// Seeded numbers (SplitMix64).
struct SeededNumbers {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func bits() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// From 0 to 1.
    mutating func share() -> Double { Double(bits() >> 11) / 9_007_199_254_740_992 }

    /// Like a normal number: the sum of three, of mean 0 and variance 1.
    mutating func normal() -> Double { 2 * (share() + share() + share() - 1.5) }
}

/// Records of a run as a real one looks: a model of 30 layers and a dozen caches.
struct SampleRun {
    struct Cache {
        var name: String
        var keys: String
        var values: String
        /// At 32,768 tokens.
        var bits: Double
        /// Of perplexity, relative.
        var increase: Double
        /// Decode speed of an empty cache, tokens a second, and what each 1,000 tokens take from it.
        var speed: Double
        var slope: Double
        var isControl = false
    }

    static let caches = [
        Cache(
            name: "float16", keys: "float16", values: "float16", bits: 16, increase: 0, speed: 41,
            slope: 2.9),
        Cache(
            name: "q8", keys: "8-bit blocks of 32", values: "8-bit blocks of 32", bits: 8.5,
            increase: 0.000_04, speed: 41.2, slope: 2.1),
        Cache(
            name: "q4", keys: "4-bit blocks of 32", values: "4-bit blocks of 32", bits: 4.5,
            increase: 0.051, speed: 41.1, slope: 1.7),
        Cache(
            name: "innerq-base", keys: "3-bit, 32 channels a scale, normalized",
            values: "3-bit, 32 tokens a scale", bits: 3.56, increase: 0.027, speed: 40.6, slope: 1.5
        ),
        Cache(
            name: "innerq-hybrid", keys: "3-bit hybrid, normalized", values: "3-bit hybrid",
            bits: 3.3, increase: 0.039, speed: 40.4, slope: 1.5),
        Cache(
            name: "innerq-small", keys: "3-bit, normalized", values: "2-bit", bits: 3.05,
            increase: 0.049, speed: 40.5, slope: 1.4),
        Cache(
            name: "kivi-2-sink", keys: "2-bit, 32 tokens a scale",
            values: "2-bit, 32 channels a scale", bits: 3.1, increase: 0.159, speed: 40.2,
            slope: 1.6),
        Cache(
            name: "kvquant-nuq4-1%", keys: "4-bit codebook a channel, 1 % outliers",
            values: "4-bit codebook a token, 1 % outliers", bits: 4.37, increase: 0.014,
            speed: 37.5, slope: 2.6),
        Cache(
            name: "kvquant-nuq3-1%", keys: "3-bit codebook a channel, 1 % outliers",
            values: "3-bit codebook a token, 1 % outliers", bits: 3.37, increase: 0.044,
            speed: 37.7, slope: 2.5),
        Cache(
            name: "kvquant-nuq2-1%", keys: "2-bit codebook a channel, 1 % outliers",
            values: "2-bit codebook a token, 1 % outliers", bits: 2.37, increase: 0.239,
            speed: 37.9, slope: 2.4),
        Cache(
            name: "turboquant-4-3", keys: "4-bit rotated codebook",
            values: "3-bit rotated codebook", bits: 3.7, increase: 0.010, speed: 38.6, slope: 2.2),
        Cache(
            name: "innerq-base, codes shuffled", keys: "as innerq-base, codes in a wrong order",
            values: "as innerq-base, codes in a wrong order", bits: 3.56, increase: 740,
            speed: 40.6, slope: 1.5, isControl: true),
    ]

    static func model(_ name: String = "SmolLM2-135M", fingerprint: String = "9d1f07c2a6b85e34")
        -> ModelRecord
    {
        ModelRecord(
            name: name, fingerprint: fingerprint, layers: 30, queryHeads: 9, kvHeads: 3,
            headSize: 64,
            contextLength: 8192, weightBytes: 144_811_072)
    }

    static func run(_ model: ModelRecord = model()) -> RunRecord {
        RunRecord(
            model: model,
            settings: [
                "suite": "full", "text": "wiki.test.raw", "windows": "24", "context": "2048",
                "seed": "1",
            ],
            machine: MachineRecord(
                processor: "AMD EPYC 7763 64-Core Processor", threads: 2, kernels: "avx2"),
            date: "2026-11-21T09:30:00Z",
            command:
                "innerq compare --model \(model.name).Q8_0.gguf --caches float16,q8,q4,innerq-base,innerq-hybrid,innerq-small,kivi-2-sink,kvquant-nuq4-1%,kvquant-nuq3-1%,kvquant-nuq2-1%,turboquant-4-3 --control innerq-base --suite full --output results.jsonl"
        )
    }

    /// - Parameter `seed`: another one gives a run of other numbers.
    static func records(
        model: ModelRecord = model(), caches: [Cache] = caches, seed: UInt64 = 1
    ) -> [ResultRecord] {
        var numbers = SeededNumbers(seed)
        var records: [ResultRecord] = [.run(run(model))]
        for cache in caches {
            records.append(
                .cache(
                    CacheRecord(
                        cache: cache.name, policy: "p-\(cache.name)", keys: cache.keys,
                        values: cache.values,
                        sealedBits: cache.bits - (cache.bits < 16 ? 0.06 : 0),
                        isReference: cache.name == "float16",
                        isControl: cache.isControl)))
            records += memory(cache, model)
            records += texts(cache, &numbers)
            records += layers(cache, model.layers, &numbers)
            records += speeds(cache, &numbers)
            records += samples(cache, &numbers)
        }
        return records
    }

    static func summaries(seed: UInt64 = 1) -> [ModelSummary] {
        ModelSummary.make(of: [records(seed: seed)])
    }

    private static func memory(_ cache: Cache, _ model: ModelRecord) -> [ResultRecord] {
        let elements = model.layers * model.kvHeads * model.headSize * 2
        return [1024, 4096, 8192, 32_768, 131_072].map { context in
            let sealed = cache.bits - (16 - cache.bits) * 160 / 32_768
            let windows = Double(min(context, 160))
            let bits = (windows * 16 + (Double(context) - windows) * sealed) / Double(context)
            let bytes = Int(Double(context * elements) * bits / 8)
            return .memory(
                MemoryRecord(
                    cache: cache.name, context: context, bytes: bytes, bitsPerElement: bits))
        }
    }

    private static func texts(_ cache: Cache, _ numbers: inout SeededNumbers) -> [ResultRecord] {
        let isReference = cache.name == "float16"
        let shift = log(1 + cache.increase)
        return (0..<6).map { window in
            var loss = Moments()
            var difference = Moments()
            var divergence = Moments()
            var divergences = LogHistogram()
            var agreements = 0
            for _ in 0..<400 {
                let own = max(0.01, 2.56 + 2.2 * numbers.normal())
                let change =
                    shift + (0.02 + 1.2 * min(1, abs(shift)).squareRoot()) * 0.5 * numbers.normal()
                let kl = max(1e-6, shift * 1.1) * exp(1.1 * numbers.normal() - 0.6)
                loss.add(own + (isReference ? 0 : change))
                difference.add(change)
                divergence.add(kl)
                divergences.add(kl)
                agreements +=
                    numbers.share() < exp(-0.55 * max(0, shift).squareRoot()) - 0.004 ? 1 : 0
            }
            return .text(
                TextRecord(
                    cache: cache.name, text: "wiki.test.raw", offset: window * 2048, context: 2048,
                    prefill: 512, loss: loss, difference: isReference ? nil : difference,
                    divergence: isReference ? nil : divergence,
                    divergences: isReference ? nil : divergences,
                    agreements: isReference ? nil : agreements,
                    cacheBytes: Int(cache.bits * 2_949_120), bitsPerElement: cache.bits + 0.6,
                    seconds: 12.5))
        }
    }

    private static func layers(
        _ cache: Cache, _ count: Int, _ numbers: inout SeededNumbers
    ) -> [ResultRecord] {
        guard cache.bits < 16 else { return [] }
        let base = cache.isControl ? 1.1 : 0.62 * exp2(-(cache.bits - 1.6))
        return (0..<count).map { layer in
            let bump =
                1 + 0.8 * exp(-pow(Double(layer) - 3, 2) / 8) + 0.25 * Double(layer) / Double(count)
            let keys = base * bump * (1 + 0.12 * numbers.normal())
            let values = base * 1.3 * (1 + 0.1 * numbers.normal())
            return .layer(
                LayerRecord(
                    cache: cache.name, layer: layer, tokens: 4096, keys: abs(keys),
                    values: abs(values),
                    output: abs(
                        cache.isControl
                            ? 0.93 + 0.05 * numbers.normal()
                            : 0.4 * (keys + values) * (1 + 0.2 * numbers.normal()))))
        }
    }

    private static func speeds(_ cache: Cache, _ numbers: inout SeededNumbers) -> [ResultRecord] {
        [0, 2048, 7168].map { depth in
            let rate = cache.speed / (1 + cache.slope / 40 * Double(depth) / 1000)
            return .speed(
                SpeedRecord(
                    cache: cache.name, depth: depth,
                    decode: (0..<5).map { _ in rate * (1 + 0.012 * numbers.normal()) },
                    prefill: (0..<3).map { _ in 310 * (1 + 0.01 * numbers.normal()) },
                    cacheBytes: Int(Double(depth) * 11_520 * 2 * cache.bits / 16)))
        }
    }

    private static func samples(_ cache: Cache, _ numbers: inout SeededNumbers) -> [ResultRecord] {
        var records: [ResultRecord] = []
        func add(
            _ task: String, _ metric: String, _ id: String, _ score: Double,
            tags: [String: Double] = [:],
            prompt: Int
        ) {
            records.append(
                .sample(
                    SampleRecord(
                        cache: cache.name, task: task, id: id, tags: tags, scores: [metric: score],
                        mainMetric: metric, answer: "…", promptTokens: prompt, answerTokens: 40,
                        sealedTokens: max(0, prompt - 160), seconds: 3)))
        }
        let loss = min(1, cache.increase * 0.7)
        for length in [2048, 7168] {
            for depth in [0.0, 25, 50, 75, 100] {
                for number in 0..<10 {
                    let chance = cache.isControl ? 0 : 1 - loss * (length > 4096 ? 1.4 : 0.5)
                    add(
                        "passkey", "exact", "\(length)/\(depth)/\(number)",
                        numbers.share() < chance ? 1 : 0,
                        tags: ["length": Double(length), "depth": depth], prompt: length)
                }
            }
        }
        let tasks: [(String, String, Double)] = [
            ("gsm8k", "flexible", 0.34), ("arc-easy", "accuracy", 0.62),
            ("longbench-qasper", "f1", 0.24),
        ]
        for (task, metric, level) in tasks {
            for number in 0..<200 {
                // The same questions are hard for all.
                var question = SeededNumbers(UInt64(number) &* 7919 &+ UInt64(task.utf8.count))
                let ease = level + 0.25 * question.normal() - loss * 0.45 + 0.03 * numbers.normal()
                let score =
                    metric == "f1"
                    ? min(1, max(0, ease)) : ease > 0.5 * (1 - level) + 0.17 ? 1.0 : 0
                add(task, metric, "\(number)", score, prompt: 1100)
            }
        }
        return records
    }
}
