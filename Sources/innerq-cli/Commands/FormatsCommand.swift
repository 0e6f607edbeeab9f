import ArgumentParser
import InnerQ

struct FormatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "formats",
        abstract: "List the cache presets, what each is made of, and what runs them here.",
        discussion: """
            innerq formats
            innerq formats --preset innerq-base     print it as JSON, to edit and give to --cache

            A policy of one's own is a JSON file; what is left out has its default:
              innerq formats --preset innerq-base > mine.json
              innerq generate --cache mine.json "Once upon a time"

            What each level set costs on random groups, before any model is asked:
              innerq formats --errors
            """)

    @Option(help: ArgumentHelp("Print this preset as a policy file.", valueName: "name"))
    var preset: String?

    @Flag(help: "Measure the errors of level sets and fits of the scale on random groups of 32.")
    var errors = false

    @OptionGroup var output: OutputOptions

    func run() async throws {
        if let preset {
            guard let policy = CachePolicy.preset(named: preset) else {
                throw PolicyError.unknownPreset(preset)
            }
            return try Output.write(Array(policy.json()) + [0x0A])
        }
        if errors { return try printErrors() }
        let capabilities = Capabilities.current
        if output.json { return try Output.json(capabilities) }
        var table = Table([
            "<preset", "K", "V", "bits/element", "<K groups", "<V groups", "<mode K", "<mode V",
            "<levels", "sink", "recent", "<runs on", "<key normalization",
        ])
        for row in capabilities.presets {
            table.row([
                row.name, bits(row.keys), bits(row.values), Format.fixed(row.bitsPerElement, 2),
                row.keys.axis.map { "along \($0.rawValue)s" } ?? "-",
                row.values.axis.map { "along \($0.rawValue)s" } ?? "-",
                row.keys.mode?.rawValue ?? "-", row.values.mode?.rawValue ?? "-",
                levels(row), "\(row.sink)", row.recentText, row.cuda ? "cpu, cuda" : "cpu",
                row.normalization,
            ])
        }
        try Output.write(table.text)
        try Output.line("")
        try Output.line(
            "head sizes: \(capabilities.headSizes.map(String.init).joined(separator: ", ")) "
                + "have kernels of their own; every multiple of 16 up to 256 runs on the CPU")
        let cuda = capabilities.cuda
        try Output.line(
            "cuda: head sizes \(cuda.headSizes.map(String.init).joined(separator: ", ")), up to "
                + "\(cuda.mostRatio) query heads for each KV head")
        var kernels = Table(["<kernels", "<formats", "<here"])
        for variant in capabilities.kernels {
            kernels.row([
                "cpu \(variant.name)", "all",
                variant.isUsed
                    ? "used" : variant.isAvailable ? "available" : "not on this processor",
            ])
        }
        kernels.row([
            "cuda", "all presets",
            cuda.devices.isEmpty ? "no GPU" : cuda.devices.joined(separator: ", "),
        ])
        try Output.write(kernels.text)
        if let reason = cuda.reason { Console.say(reason) }
    }

    private func printErrors() throws {
        let results = QuantizerError.all()
        if output.json { return try Output.json(results) }
        var table = Table([
            "<numbers", "bits", "<mode", "<levels", "<scale", "RMS error", "gain", "asymmetric",
        ])
        for result in results {
            table.row([
                result.distribution.rawValue, "\(result.bits)", result.mode.rawValue,
                result.levels.rawValue, result.scaleFit.rawValue, Format.fixed(result.rmse, 4),
                Format.fixed(result.gain, 4),
                Format.fixed(100 * result.asymmetricShare, 1) + " %",
            ])
        }
        try Output.write(table.text)
    }

    private func bits(_ format: Capabilities.Format) -> String {
        format.bits.map(String.init) ?? "float16"
    }

    private func levels(_ row: Capabilities.Preset) -> String {
        let names = [row.keys.levels, row.values.levels].compactMap { $0?.rawValue }
        guard let first = names.first else { return "-" }
        return Set(names).count == 1 ? first : names.joined(separator: "/")
    }
}
