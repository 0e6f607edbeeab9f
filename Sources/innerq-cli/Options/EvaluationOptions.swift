import ArgumentParser
import Foundation
import InnerQ

/// The model and caches of an evaluation.
struct CandidateOptions: ParsableArguments {
    @OptionGroup var model: ModelOptions
    @OptionGroup var list: CacheListOptions
    @OptionGroup var calibration: CalibrationFileOptions

    @Option(
        help: ArgumentHelp(
            "Presets or .json files, separated by commas; the same as several --cache.",
            valueName: "a,b,…"))
    var caches: String?

    @Flag(
        help: """
            Add a copy of the last cache whose codes are shuffled: a control that every measure must call broken.
            """)
    var control = false

    /// - Parameter policies: where none are named; those that need a calibration are left out without one.
    func candidates(
        _ model: LanguageModel, default policies: [CachePolicy]
    ) throws -> [CacheCandidate] {
        let calibration = try self.calibration.read(for: model)
        let named =
            try (caches?.split(separator: ",").map { try CachePolicy.named(String($0)) } ?? [])
            + list.policies(default: [])
        let chosen =
            named.isEmpty
            ? policies.filter { !$0.needsCalibration || calibration != nil }
            : named.map { CalibrationFileOptions.resolve($0, calibration) }
        var candidates: [CacheCandidate] = []
        for policy in chosen {
            try policy.validate(for: model.transformer.cacheShape)
            guard !candidates.contains(where: { $0.name == policy.name }) else {
                throw ValidationError(
                    "The cache '\(policy.name)' is named twice; give policies of your own names of their own."
                )
            }
            candidates.append(
                CacheCandidate(
                    policy, calibration: policy.needsCalibration ? calibration : nil))
        }
        candidates = candidates.withReference
        if control, let last = candidates.last, !last.isReference {
            candidates.append(
                CacheCandidate(last.policy, calibration: last.calibration, isControl: true))
        }
        return candidates
    }
}

/// Where results go.
struct ResultFileOptions: ParsableArguments {
    @Option(
        name: [.customShort("o"), .customLong("results")],
        help: ArgumentHelp(
            "Write every result as a line of JSON as soon as it is there; the same command goes on with a file that it has begun.",
            valueName: "file.jsonl"))
    var results: String?
}

/// Runs an evaluation with progress, until it is done or Ctrl-C.
struct EvaluationJob {
    var model: LanguageModel
    var candidates: [CacheCandidate]
    var plan: EvaluationPlan
    /// What decides the figures, by name.
    var settings: [String: String]
    var results: String?

    /// - Returns: the records, and whether the run was stopped.
    private func run(_ flag: SharedFlag) throws -> (
        records: [ResultRecord], isStopped: Bool
    ) {
        let line = ProgressLine()
        defer { line.end() }
        let run = RunRecord.current(model: model, settings: settings, command: Self.command)
        let log = try ResultLog(path: results, run: run)
        if log.continues, let results {
            Console.say("going on with \(results)")
        }
        let last = LastProgress()
        let evaluation = try EvaluationRun(
            model: model, candidates: candidates, plan: plan, earlier: log.records,
            progress: { progress in
                last.set(progress)
                line.show(last.text(elapsed: line.elapsed))
            },
            isCancelled: {
                line.show(last.text(elapsed: line.elapsed))
                return flag.isSet
            },
            keep: { try log.add($0) })
        do {
            try evaluation.run()
        } catch GenerationError.cancelled {
            line.end()
            Console.say(
                results == nil
                    ? "stopped; what was measured until then:"
                    : "stopped; the same command goes on from here. What was measured until then:")
            return (log.records, true)
        }
        return (log.records, false)
    }

    /// Runs, and prints what there is in the end.
    ///
    /// - Throws: besides errors, the exit code of Ctrl-C.
    func runAndShow(_ output: OutputOptions) throws {
        let flag = SharedFlag()
        let interrupt = Interrupt { flag.set() }
        let (records, isStopped) = try run(flag)
        if let summary = ModelSummary.make(of: [records]).first {
            if output.json { try Output.json(summary) } else { try SummaryTable.write(summary) }
        }
        withExtendedLifetime(interrupt) {}
        if isStopped { throw ExitCode(Interrupt.exitCode) }
    }

    /// The command as it can be given again.
    static var command: String {
        (["innerq"] + CommandLine.arguments.dropFirst()).map { word in
            word.allSatisfy { $0.isLetter || $0.isNumber || "-_./,:%+=@".contains($0) }
                && !word.isEmpty
                ? word : "'" + word.replacing("'", with: "'\\''") + "'"
        }.joined(separator: " ")
    }
}

extension LanguageModel {
    /// Text that the model writes itself, with progress.
    ///
    /// - Throws: the exit code of Ctrl-C.
    func sample(tokens count: Int, seed: UInt64) throws -> [Int32] {
        let flag = SharedFlag()
        let interrupt = Interrupt { flag.set() }
        defer { withExtendedLifetime(interrupt) {} }
        let line = ProgressLine()
        defer { line.end() }
        do {
            return try sampleText(
                tokens: count, seed: seed,
                progress: { done in
                    line.show(
                        "writing a text: "
                            + ProgressLine.remaining(
                                Double(done) / Double(count), elapsed: line.elapsed))
                }, isCancelled: { flag.isSet })
        } catch GenerationError.cancelled {
            line.end()
            Console.say("stopped")
            throw ExitCode(Interrupt.exitCode)
        }
    }
}
