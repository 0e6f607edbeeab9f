import ArgumentParser
import InnerQ

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure speed.",
        subcommands: [BenchDecodeCommand.self, BenchAttentionCommand.self],
        defaultSubcommand: BenchDecodeCommand.self)
}

struct BenchDecodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode",
        abstract: "Measure prefill and decode speed at several depths of the cache.",
        discussion: """
            innerq bench decode
            innerq bench decode --depths 0,2048,7168 --cache float16 --cache innerq-base --threads 2
            innerq bench decode --model qwen2.5-coder-1.5b --depths 0,4096 --repeats 5 --json

            Each cache is filled with random tokens up to a depth, once; each repeat then runs on a copy of it. Prefill is \
            one prompt of --prefill tokens at that depth, decoding is --tokens single tokens. Caches take turns; the figures \
            are medians. What a token reads is all weights and the cache, once; “of probe” is that rate over the rate of \
            plain reads by the same threads, measured in the same run: memory lets no token come faster. \
            Caches that need a calibration take a sample one: speed does not depend on it. Nothing else should run on the \
            machine.
            """)

    @Option(
        help: ArgumentHelp("Tokens in the cache before measuring.", valueName: "n,n,…"),
        transform: IntegerList.init)
    var depths = IntegerList([0, 2048, 7168])

    @Option(help: ArgumentHelp("Tokens to decode.", valueName: "n"))
    var tokens = 32

    @Option(help: ArgumentHelp("Tokens of the prompt; 0 leaves prefill out.", valueName: "n"))
    var prefill = 512

    @Option(help: ArgumentHelp("Times that each is measured.", valueName: "n"))
    var repeats = 3

    @OptionGroup(title: "Model and caches") var model: ModelOptions
    @OptionGroup(title: "Model and caches") var caches: CacheListOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...1 << 20).contains(tokens), (0...1 << 20).contains(prefill),
            (1...1000).contains(repeats)
        else {
            throw ValidationError("--tokens and --repeats must be 1 or more, --prefill 0 or more.")
        }
    }

    func run() async throws {
        let policies = try caches.policies(default: [.float16, .innerQBase])
        let workers = WorkerPool(threads: model.threads ?? WorkerPool.recommendedThreads)
        let options = model
        let model = try ProgressLine.loading { progress in
            try TransformerModel(
                checkpoint: .open(path: options.file.locate()), workers: workers,
                storage: options.storage, progress: progress)
        }
        let limit = model.configuration.contextLength
        let deepest = (depths.values.max() ?? 0) + max(tokens, prefill)
        guard deepest <= limit else {
            throw GenerationError.contextTooLong(tokens: deepest, limit: limit)
        }
        let flag = SharedFlag()
        let interrupt = Interrupt { flag.set() }
        let line = ProgressLine()
        defer { line.end() }
        var rows: [DecodeBenchmark.Row] = []
        do {
            let benches = try policies.map {
                try DecodeBenchmark(
                    model: model, policy: $0, tokens: tokens, prefill: prefill, repeats: repeats,
                    isCancelled: { flag.isSet })
            }
            for depth in depths.values.sorted() {
                rows += try DecodeBenchmark.measure(benches, depth: depth) { line.show($0) }
            }
        } catch TransformerError.cancelled {
            line.end()
            Console.say("stopped; what was measured until then:")
        }
        line.show("reading memory")
        let probe = ReadBandwidth.measure(workers)
        line.end()
        try report(rows, model: model, machine: .current(threads: workers.threads), probe: probe)
        if interrupt.hasFired { throw ExitCode(Interrupt.exitCode) }
    }

    private struct Report: Encodable {
        var model: String
        var processor: String
        var kernels: String
        var compiler: String
        var threads: Int
        /// GB/s of plain reads, in the same run.
        var probe: Double
        var tokens: Int
        var prefill: Int
        var repeats: Int
        var results: [DecodeBenchmark.Row]
    }

    private func report(
        _ rows: [DecodeBenchmark.Row], model: TransformerModel, machine: MachineRecord,
        probe: Double
    ) throws {
        let compiler = AttentionKernels.compiler
        if output.json {
            return try Output.json(
                Report(
                    model: model.configuration.name, processor: machine.processor,
                    kernels: machine.kernels, compiler: compiler, threads: machine.threads,
                    probe: probe, tokens: tokens, prefill: prefill, repeats: repeats,
                    results: rows))
        }
        var table = Table([
            "<cache", "depth", "prefill tokens/s", "decode tokens/s", "from", "to", "cache", "bits",
            "reads a token", "GB/s", "of probe",
        ])
        for row in rows.sorted(by: { ($0.depth, $0.cache) < ($1.depth, $1.cache) }) {
            let rate = Double(row.bytesPerToken) * row.decode.median / 1e9
            table.row([
                row.cache, Format.count(row.depth),
                row.prefill.map { Format.fixed($0.median, 1) } ?? "-",
                Format.fixed(row.decode.median, 1), Format.fixed(row.decode.slowest, 1),
                Format.fixed(row.decode.fastest, 1), Format.bytes(row.cacheBytes),
                Format.fixed(row.bitsPerElement, 2), Format.bytes(row.bytesPerToken),
                Format.fixed(rate, 1), Format.fixed(100 * rate / probe, 0) + " %",
            ])
        }
        try Output.write(table.text)
        Console.say(
            """
            \(model.configuration.name); \(machine.processor), \(machine.threads) threads, \(machine.kernels) kernels, \
            \(compiler); plain reads: \(Format.fixed(probe, 1)) GB/s; medians of \(repeats)
            """)
    }
}
