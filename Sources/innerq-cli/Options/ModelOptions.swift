import ArgumentParser
import Foundation
import InnerQ

/// `--model`, for commands that do not run it.
struct ModelFileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A name of `innerq pull --list`, a .gguf file, or a folder with config.json and safetensors.",
            valueName: "name|path"))
    var model = ModelCatalog.defaultName

    func locate() throws -> String { try ModelStore().locate(model).path }
}

/// `--model` and `--threads`.
struct ModelOptions: ParsableArguments {
    @OptionGroup var file: ModelFileOptions

    @Option(
        help: ArgumentHelp(
            "Threads for products and attention (default: the processor's cores, \(WorkerPool.recommendedThreads)).",
            valueName: "n"))
    var threads: Int?

    @Flag(
        name: .customLong("mapped-weights"),
        help: """
            Multiply weights where the file is mapped instead of copying them into memory in the processor's order: \
            loads at once and shares memory with other processes; decoding is about a third slower.
            """)
    var mapsWeights = false

    var storage: WeightStorage { mapsWeights ? .mapped : .interleaved }

    func validate() throws {
        guard (1...1024).contains(threads ?? 1) else {
            throw ValidationError("--threads must be from 1 to 1024.")
        }
    }

    /// Loads the model and shows how far it has come.
    /// - Parameter storage: what a command needs, instead of what was asked for.
    func load(storage: WeightStorage? = nil) throws -> LanguageModel {
        try ProgressLine.loading { progress in
            try LanguageModel.load(
                path: file.locate(), threads: threads, storage: storage ?? self.storage,
                progress: progress)
        }
    }
}

/// One `--cache`.
struct CacheOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A preset of `innerq formats`, or a .json file with a policy (default: \(CachePolicy.innerQBase.name)).",
            valueName: "preset|file.json"))
    var cache: String?

    @OptionGroup var calibration: CalibrationFileOptions

    /// A new session, or the one saved in a file, whose policy must be the one that was asked for, if any was.
    func session(_ model: ModelOptions, resuming path: String?) throws -> Session {
        let asked = try cache.map { try CachePolicy.named($0) }
        let model = try model.load()
        guard let path else {
            let calibration = try calibration.read(for: model)
            return try model.makeSession(
                policy: CalibrationFileOptions.resolve(asked ?? .innerQBase, calibration),
                calibration: calibration)
        }
        return try Session.restore(from: path, model: model, policy: asked)
    }
}

/// Any number of `--cache`.
struct CacheListOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A preset of `innerq formats`, or a .json file with a policy; may be given several times.",
            valueName: "preset|file.json"))
    var cache: [String] = []

    func policies(default policies: [CachePolicy]) throws -> [CachePolicy] {
        cache.isEmpty ? policies : try cache.map { try CachePolicy.named($0) }
    }
}
