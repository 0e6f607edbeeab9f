import ArgumentParser
import InnerQ

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Compare kernels with their oracles, and integer attention with float32.",
        subcommands: [VerifyKernelsCommand.self, VerifyLogitsCommand.self],
        defaultSubcommand: VerifyKernelsCommand.self)
}

struct VerifyKernelsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels",
        abstract: "Compare every kernel with its oracle, and quantizers with stored vectors.",
        discussion: """
            innerq verify kernels                      or only: innerq verify
            innerq verify kernels --vectors ./vectors  also compare with vector files of the official quantizers
            innerq verify kernels --device cuda        the GPU's kernels and caches instead, against the CPU

            Attention kernels, for every format, head size and group of heads, against scalar code in float64; weight \
            kernels, for every type, the same. A check fails if one number misses its tolerance; then the exit code is 1.
            """)

    @Option(help: "Whose kernels: cpu or cuda.")
    var device = DeviceOption.cpu

    @Flag(help: "With --device cuda: fewer cases, as for a run under compute-sanitizer.")
    var quick = false

    @Option(
        help: ArgumentHelp(
            "A folder with quantizers-*.safetensors and attention-*.safetensors.",
            valueName: "folder"))
    var vectors: String?

    @OptionGroup var output: OutputOptions

    private struct Report: Encodable {
        var passed: Bool
        var checks: [VerificationCheck]
    }

    func run() async throws {
        let line = ProgressLine()
        defer { line.end() }
        var checks: [VerificationCheck] = []
        if let vectors {
            line.show("vectors")
            checks += try VectorVerification.run(folder: vectors)
        }
        switch device {
        case .cpu:
            checks += WeightVerification.run { line.show($0) }
            checks += KernelVerification.run { line.show($0) }
        case .cuda:
            checks += try CUDAVerification.run(isQuick: quick) { line.show($0) }
        }
        line.end()
        let failures = checks.filter { !$0.passed }
        if output.json {
            try Output.json(Report(passed: failures.isEmpty, checks: checks))
        } else {
            try show(checks)
        }
        guard failures.isEmpty else {
            throw Failure(
                "\(failures.count) of \(checks.count) checks failed: \(failures.map(\.name).joined(separator: "; "))."
            )
        }
        Console.say("all \(checks.count) checks passed")
    }

    private func show(_ checks: [VerificationCheck]) throws {
        var table = Table([
            "<check", "cases", "numbers", "worst error", "tolerance", "failures", "<",
        ])
        for check in checks {
            table.row([
                check.name, Format.count(check.cases), Format.count(check.elements),
                check.worstError == 0 ? "0" : scientific(check.worstError),
                check.tolerance == 0 ? "exact" : scientific(check.tolerance),
                Format.count(check.failures), (check.passed ? "" : "FAILED ") + (check.note ?? ""),
            ])
        }
        try Output.write(table.text)
    }

    private func scientific(_ value: Double) -> String {
        guard value.isFinite, value > 0 else { return "\(value)" }
        var exponent = 0
        var mantissa = value
        while mantissa < 1 {
            mantissa *= 10
            exponent -= 1
        }
        while mantissa >= 10 {
            mantissa /= 10
            exponent += 1
        }
        return Format.fixed(mantissa, 1) + "e\(exponent)"
    }
}
