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

            Families of which only some are listed:
              kvquant-{nuq,nf,int}{2,3,4}[-P%][-token][-post][-vchannel][-online]
                levels fitted by a calibration, of a normal distribution, or even; P per cent of outliers; keys with a \
            range for each token; keys after RoPE; values with a range for each channel; no calibration
              turboquant-K-V[-ip]      1 to 4 bits for keys and for values; the inner-product variant
              k8c-v3t, k2ta-v2ca, …    groups of 32: bits, along channels or tokens, (s)ymmetric, (a)symmetric, (h)ybrid
              innerq-base-official, innerq-base-kernel    as published

            What each level set and each rotated format costs on random numbers, before any model is asked:
              innerq formats --errors

            Bits an element are for head size 128 and 8 KV heads; `innerq plan` counts those of a model.
            """)

    @Option(help: ArgumentHelp("Print this preset as a policy file.", valueName: "name"))
    var preset: String?

    @Flag(
        help:
            "Measure the errors of formats on random groups of 32 and on random vectors of a head.")
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
            "<preset", "bits/element", "<K", "<V", "sink", "recent", "<runs on", "<calibration",
            "<key normalization",
        ])
        for row in capabilities.presets {
            table.row([
                row.name, Format.fixed(row.bitsPerElement, 2), row.keys.summary,
                row.values.summary, "\(row.sink)", row.recentText,
                row.cuda ? "cpu, cuda" : "cpu", row.needsCalibration ? "needed" : "-",
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
            "cuda: head sizes \(cuda.headSizes.map(String.init).joined(separator: ", ")) "
                + "(kvquant and turboquant: "
                + "\(cuda.lookupHeadSizes.map(String.init).joined(separator: ", "))), up to "
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
            "cuda", "all but turboquant -ip",
            cuda.devices.isEmpty ? "no GPU" : cuda.devices.joined(separator: ", "),
        ])
        try Output.write(kernels.text)
        if let reason = cuda.reason { Console.say(reason) }
    }

    private func printErrors() throws {
        let results = QuantizerError.all()
        let vectors = VectorError.all()
        if output.json { return try Output.json(Errors(groups: results, vectors: vectors)) }
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
        try Output.line("")
        var vectorTable = Table([
            "head size", "<numbers", "<format", "bits/element", "distortion", "product error",
            "gain",
        ])
        for result in vectors {
            vectorTable.row([
                "\(result.headSize)", result.distribution.rawValue, result.name,
                Format.fixed(result.bitsPerElement, 3), Format.fixed(result.distortion, 4),
                Format.fixed(result.productError, 4), Format.fixed(result.gain, 4),
            ])
        }
        try Output.write(vectorTable.text)
    }

    private struct Errors: Encodable {
        var groups: [QuantizerError]
        var vectors: [VectorError]
    }
}
