import ArgumentParser
import InnerQ

struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Count the bytes that a cache will take, before anything is loaded.",
        discussion: """
            What does each preset take at the model's full context?
              innerq plan --model qwen2.5-coder-1.5b

            One cache in detail, layer by layer, for 4 sequences of 8192 tokens:
              innerq plan --cache innerq-base --context 8192 --batch 4 --layers

            How much context fits into 2 GiB?
              innerq plan --model qwen2.5-coder-1.5b --memory 2GiB

            The counts are those that the cache itself allocates, to the byte: packed codes, scales and zero points of \
            the body, whole float16 pages of the windows, and key normalizers. Weights are not read.
            """)

    @OptionGroup var model: ModelFileOptions
    @OptionGroup var caches: CacheListOptions

    @Option(
        help: ArgumentHelp(
            "Tokens of each sequence (default: the model's context).", valueName: "n"))
    var context: Int?

    @Option(help: ArgumentHelp("Sequences.", valueName: "n"))
    var batch = 1

    @Option(
        help: ArgumentHelp(
            "Find the longest context whose caches fit into this: \(ByteSize.help).",
            valueName: "bytes"))
    var memory: ByteSize?

    @Flag(help: "List the layers also where all are alike.")
    var layers = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...1 << 20).contains(batch) else {
            throw ValidationError("--batch must be from 1 to \(1 << 20).")
        }
        guard (0...1 << 30).contains(context ?? 0) else {
            throw ValidationError("--context must be from 0 to \(1 << 30) tokens.")
        }
    }

    func run() async throws {
        let checkpoint = try Checkpoint.open(path: model.locate())
        let shape = checkpoint.configuration.cacheShape
        let policies = try caches.policies(default: CachePolicy.presets)
        for policy in policies { try policy.validate(for: shape) }
        let tokens = context ?? checkpoint.configuration.contextLength
        let plans = policies.map { policy in
            CachePlan(
                policy, configuration: checkpoint.configuration, tokens: tokens, batch: batch,
                memory: memory?.bytes)
        }
        if output.json {
            return try Output.json(
                Report(
                    model: checkpoint.path, weightBytes: checkpoint.weightByteCount,
                    modelContext: checkpoint.configuration.contextLength, context: tokens,
                    batch: batch, memory: memory?.bytes, plans: plans))
        }
        try show(plans, checkpoint.configuration, tokens)
        Console.say(
            "weights: \(Format.bytes(checkpoint.weightByteCount)), memory-mapped, not included")
    }

    private struct Report: Encodable {
        var model: String
        var weightBytes: Int
        var modelContext: Int
        var context: Int
        var batch: Int
        var memory: Int?
        var plans: [CachePlan]
    }

    private func show(
        _ plans: [CachePlan], _ configuration: ModelConfiguration, _ tokens: Int
    ) throws {
        var columns = [
            "<cache", "body", "windows", "normalizers", "total bytes", "<", "bits", "float16 ×",
        ]
        if memory != nil { columns.append("longest context") }
        var table = Table(columns)
        for plan in plans {
            var cells = [
                plan.cache, Format.count(plan.total.body), Format.count(plan.total.windows),
                Format.count(plan.total.normalizers), Format.count(plan.totalBytes),
                Format.bytes(plan.totalBytes), Format.fixed(plan.bitsPerElement, 2),
                Format.fixed(plan.compression, 2),
            ]
            if memory != nil {
                cells.append(
                    plan.longestContext.map {
                        Format.count($0) + (plan.isLimitedByModel ? "*" : "")
                    }
                        ?? "none")
            }
            table.row(cells)
        }
        let sequences = batch == 1 ? "1 sequence" : "\(Format.count(batch)) sequences"
        try Output.line(
            "\(sequences) of \(Format.count(tokens)) tokens, \(configuration.layerCount) layers, "
                + "\(configuration.kvHeadCount) KV heads of \(configuration.headSize)")
        try Output.write(table.text)
        if plans.contains(where: \.isLimitedByModel) {
            try Output.line("* the model's own limit; the memory would hold more")
        }
        for plan in plans where layers || plan.layerGroups.count > 1 { try showLayers(plan) }
    }

    private func showLayers(_ plan: CachePlan) throws {
        var table = Table([
            "<\(plan.cache)", "window", "body", "windows", "normalizers", "bytes a layer",
        ])
        for group in plan.layerGroups {
            table.row([
                group.name, group.slidingWindow.map(Format.count) ?? "all",
                Format.count(group.bytes.body), Format.count(group.bytes.windows),
                Format.count(group.bytes.normalizers), Format.count(group.bytes.total),
            ])
        }
        try Output.write("\n" + table.text)
    }
}

/// What one policy takes.
struct CachePlan: Encodable {
    struct Bytes: Encodable, Equatable {
        var body: Int
        var windows: Int
        var normalizers: Int
        var total: Int

        init(_ count: CacheByteCount, times batch: Int) {
            body = count.body * batch
            windows = count.windows * batch
            normalizers = count.normalizers * batch
            total = count.total * batch
        }
    }

    /// Layers that take the same.
    struct LayerGroup {
        var layers: [Int]
        var slidingWindow: Int?
        var bytes: Bytes

        /// "layers 0-4, 6".
        var name: String {
            var ranges: [ClosedRange<Int>] = []
            for layer in layers {
                if let last = ranges.last, last.upperBound == layer - 1 {
                    ranges[ranges.count - 1] = last.lowerBound...layer
                } else {
                    ranges.append(layer...layer)
                }
            }
            return "layers "
                + ranges.map {
                    $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
                }
                .joined(separator: ", ")
        }
    }

    var cache: String
    var total: Bytes
    var totalBytes: Int
    var float16Bytes: Int
    var bitsPerElement: Double
    var compression: Double
    var perLayer: [Bytes]
    /// With `--memory`: tokens of each sequence, the model's context at most; `nil` if not even an empty cache fits.
    var longestContext: Int?
    var isLimitedByModel = false
    var layerGroups: [LayerGroup] = []

    enum CodingKeys: String, CodingKey {
        case cache, total, totalBytes, float16Bytes, bitsPerElement, compression, perLayer
        case longestContext, isLimitedByModel
    }

    init(
        _ policy: CachePolicy, configuration: ModelConfiguration, tokens: Int, batch: Int,
        memory: Int?
    ) {
        let shape = configuration.cacheShape
        let count = policy.byteCount(shape: shape, tokens: tokens)
        cache = policy.name
        total = Bytes(count, times: batch)
        totalBytes = total.total
        float16Bytes = count.float16 * batch
        bitsPerElement = count.bitsPerElement
        compression = totalBytes > 0 ? Double(float16Bytes) / Double(totalBytes) : 0
        perLayer = shape.layers.enumerated().map { index, layer in
            Bytes(
                policy.layer(index, of: shape.layers.count).byteCount(shape: layer, tokens: tokens),
                times: batch)
        }
        for (index, layer) in shape.layers.enumerated() {
            let known = layerGroups.firstIndex {
                $0.bytes == perLayer[index] && $0.slidingWindow == layer.slidingWindow
            }
            if let known {
                layerGroups[known].layers.append(index)
            } else {
                layerGroups.append(
                    LayerGroup(
                        layers: [index], slidingWindow: layer.slidingWindow, bytes: perLayer[index])
                )
            }
        }
        guard let memory else { return }
        let limit = configuration.contextLength
        longestContext = policy.longestContext(shape: shape, bytes: memory / batch, limit: limit)
        isLimitedByModel = longestContext == limit
    }
}
