public import Foundation
public import KVCache
public import Transformer

/// Why a calibration was not made. What has been measured stays in the work file, unless it says otherwise.
public enum CalibrationError: Error, Sendable, Equatable {
    case invalidOptions(String)
    /// The text has fewer tokens than the samples need.
    case textTooShort(needed: Int, found: Int)
    /// The pass back through the model, or one part of a layer's fit, needs more than the options allow.
    case tooLittleMemory(needed: Int, allowed: Int, what: String)
    /// The work file belongs to a run with another model, text or size.
    case otherRun(path: String, difference: String)
    /// Another process writes the work file.
    case inUse(path: String)
    case diskFull(path: String, needed: Int, available: Int)
    case fileSystem(path: String, reason: String)
    /// The model gives no finite loss or gradient on a sample.
    case notFinite(sample: Int)
    /// Stopped; a later run goes on after that many samples.
    case cancelled(path: String, samples: Int)
    case transformer(TransformerError)
    case file(CalibrationFileError)
}

extension CalibrationError: CustomStringConvertible, LocalizedError {
    public var description: String {
        switch self {
        case .invalidOptions(let what): return "cannot calibrate: \(what)."
        case .textTooShort(let needed, let found):
            return
                "the samples need \(needed) tokens and the text has \(found). Give a longer text, or fewer or shorter "
                + "samples."
        case .tooLittleMemory(let needed, let allowed, let what):
            return
                "\(what) needs \(needed >> 20) MiB and \(allowed >> 20) MiB are allowed. Allow more memory, or "
                + "take shorter samples."
        case .otherRun(let path, let difference):
            return
                "\(path) was left by a run with \(difference). Run again with the same parameters to go on, or with "
                + "--restart to begin anew."
        case .inUse(let path):
            return "\(path) is being written by another run. Wait for it, or choose another output."
        case .diskFull(let path, let needed, let available):
            return
                "the disk is too full for \(path): \(needed >> 20) MiB more are needed and \(available >> 20) MiB are "
                + "free. Free some space and run again; what has been measured is kept."
        case .fileSystem(let path, let reason): return "cannot use \(path): \(reason)"
        case .notFinite(let sample):
            return
                "the model's loss or gradient on sample \(sample) is not finite. Check the model with another text."
        case .cancelled(let path, let samples):
            return
                "stopped after \(samples) samples, which are kept in \(path). Run the same command to go on."
        case .transformer(let error): return error.description
        case .file(let error): return error.description
        }
    }

    public var errorDescription: String? { description }
}
