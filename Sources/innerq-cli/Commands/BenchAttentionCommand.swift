import ArgumentParser
import InnerQ

struct BenchAttentionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attention",
        abstract: "Measure decode attention over caches of several lengths, without a model.",
        discussion: """
            innerq bench attention --device cuda
            innerq bench attention --device cuda --cache float16 --cache innerq-base --heads 32 --kv-heads 8 --batch 1,8
            innerq bench attention --device cpu --lengths 2048,8192 --head-size 64 --threads 2 --json

            A step is one token of each sequence over all that its cache holds, windows included. Caches take turns, so \
            that none is found in a processor's cache. On the GPU, steps are launches of one CUDA graph. Bytes are those \
            of the tiles seen, read once; “of probe” is their rate over that of plain reads, measured in the same run. \
            Nothing else should run on the machine.
            """)

    @Option(help: "Where to run: cpu or cuda.")
    var device = DeviceOption.cpu

    @Option(
        help: ArgumentHelp("Tokens of each sequence.", valueName: "n,n,…"),
        transform: IntegerList.init)
    var lengths = IntegerList([2048, 8192, 32768])

    @Option(help: ArgumentHelp("Query heads.", valueName: "n"))
    var heads = 32

    @Option(help: ArgumentHelp("KV heads.", valueName: "n"))
    var kvHeads = 8

    @Option(help: ArgumentHelp("Channels of a head.", valueName: "n"))
    var headSize = 128

    @Option(
        help: ArgumentHelp("Sequences of a step.", valueName: "n,n,…"), transform: IntegerList.init)
    var batch = IntegerList([1])

    @Option(
        help: ArgumentHelp(
            "A query sees this many tokens (default: all).", valueName: "tokens"))
    var slidingWindow: Int?

    @Option(help: ArgumentHelp("Times that each is measured.", valueName: "n"))
    var repeats = 21

    @Option(help: ArgumentHelp("Threads, on the CPU.", valueName: "n"))
    var threads: Int?

    @OptionGroup var caches: CacheListOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        let limit = 1 << 24
        guard lengths.values.allSatisfy({ $0 <= limit }) else {
            throw ValidationError("--lengths must be at most \(limit).")
        }
        guard batch.values.allSatisfy({ (1...64).contains($0) }) else {
            throw ValidationError("--batch must be from 1 to 64.")
        }
        guard (1...1000).contains(repeats), (1...1024).contains(threads ?? 1) else {
            throw ValidationError("--repeats must be from 1 to 1000, --threads from 1 to 1024.")
        }
        guard (1...LayerShape.mostHeads).contains(heads), (1...heads).contains(kvHeads),
            heads % kvHeads == 0
        else { throw ValidationError("--heads must be a multiple of --kv-heads.") }
        guard (16...256).contains(headSize), headSize % 16 == 0 else {
            throw ValidationError("--head-size must be a multiple of 16 from 16 to 256.")
        }
        guard slidingWindow ?? 1 > 0 else {
            throw ValidationError("--sliding-window must be 1 or more.")
        }
    }

    func run() async throws {
        let policies = try caches.policies(default: [.float16, .innerQBase])
        let shape = LayerShape(
            queryHeads: heads, kvHeads: kvHeads, headSize: headSize, slidingWindow: slidingWindow)
        let loads = batch.values.flatMap { batch in
            lengths.values.flatMap { tokens in
                policies.map {
                    AttentionBenchmark.Load(
                        policy: $0, shape: shape, tokens: tokens, batch: batch)
                }
            }
        }
        let flag = SharedFlag()
        let interrupt = Interrupt { flag.set() }
        let line = ProgressLine()
        defer { line.end() }
        let report: AttentionBenchmark.Report
        switch device {
        case .cpu:
            report = try AttentionBenchmark.cpu(
                loads, repeats: repeats,
                workers: WorkerPool(threads: threads ?? WorkerPool.recommendedThreads),
                progress: { line.show($0) }, isCancelled: { flag.isSet })
        case .cuda:
            report = try AttentionBenchmark.cuda(
                loads, repeats: repeats, progress: { line.show($0) }, isCancelled: { flag.isSet })
        }
        line.end()
        if output.json { try Output.json(report) } else { try show(report) }
        if interrupt.hasFired { throw ExitCode(Interrupt.exitCode) }
    }

    private func show(_ report: AttentionBenchmark.Report) throws {
        var table = Table([
            "<cache", "tokens", "batch", "heads", "µs", "from", "to", "overlapped", "MB", "GB/s",
            "of probe",
            "× float16",
        ])
        for row in report.rows {
            table.row([
                row.cache, Format.count(row.tokens), "\(row.batch)",
                "\(row.heads)/\(row.kvHeads)×\(row.headSize)", Format.fixed(row.microseconds, 1),
                Format.fixed(row.fastest, 1), Format.fixed(row.slowest, 1),
                row.overlapped.map { Format.fixed($0, 1) } ?? "-",
                Format.fixed(Double(row.bytes) / 1e6, 1),
                Format.fixed(row.gigabytesPerSecond, row.gigabytesPerSecond < 100 ? 1 : 0),
                Format.fixed(100 * row.shareOfProbe, 0) + " %",
                row.speedUp.map { Format.fixed($0, 2) } ?? "-",
            ])
        }
        try Output.write(table.text)
        if !report.writes.isEmpty {
            var writes = Table([
                "<cache", "batch", "KV heads", "append µs", "seal a tile µs", "µs a token",
            ])
            for row in report.writes {
                writes.row([
                    row.cache, "\(row.batch)", "\(row.kvHeads)×\(row.headSize)",
                    Format.fixed(row.append, 2), Format.fixed(row.seal, 2),
                    Format.fixed(row.perToken, 2),
                ])
            }
            try Output.write("\n" + writes.text)
        }
        Console.say(
            "\(report.device); plain reads: \(Format.fixed(report.probe, 1)) GB/s; medians of \(repeats)"
        )
    }
}
