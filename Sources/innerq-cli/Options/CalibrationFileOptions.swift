import ArgumentParser
import InnerQ

/// `--calibration`.
struct CalibrationFileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What `innerq calibrate` made of the model, for the caches named kvquant-….",
            valueName: "path"))
    var calibration: String?

    func read(for model: LanguageModel) throws -> CacheCalibration? {
        guard let calibration else { return nil }
        let read = try CacheCalibration.read(calibration)
        try read.check(fingerprint: model.fingerprint, shape: model.transformer.cacheShape)
        return read
    }

    /// The policy itself, or where it needs a calibration and there is none, its variant that measures the sequence. Says
    /// so.
    static func resolve(_ policy: CachePolicy, _ calibration: CacheCalibration?) -> CachePolicy {
        guard policy.needsCalibration, calibration == nil else { return policy }
        let online = policy.online()
        Console.say(
            "no --calibration: '\(online.name)' instead of '\(policy.name)', with ranges from the first tokens and levels of a normal distribution. `innerq calibrate` makes one."
        )
        return online
    }
}
