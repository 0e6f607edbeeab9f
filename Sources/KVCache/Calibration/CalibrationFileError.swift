public import Foundation

/// Why a calibration cannot be written or read back.
public enum CalibrationFileError: Error, Sendable, Equatable {
    case cannotRead(path: String, reason: String)
    case cannotWrite(path: String, bytes: Int, reason: String)
    case notACalibration(path: String)
    case unsupportedVersion(path: String, Int)
    case truncated(path: String, expected: Int, found: Int)
    case damaged(path: String, String)
    /// What was to be written makes no sense.
    case unsound(String)
}

extension CalibrationFileError: CustomStringConvertible, LocalizedError {
    public var description: String {
        let again = "Copy it again, or make it again with innerq calibrate; it cannot be repaired."
        switch self {
        case .cannotRead(let path, let reason): return "cannot read \(path): \(reason)"
        case .cannotWrite(let path, let bytes, let reason):
            return
                "cannot write the calibration to \(path) (\(bytes) bytes): \(reason). "
                + "Free some space or choose another folder."
        case .notACalibration(let path):
            return "\(path) is not a calibration. Make one with innerq calibrate."
        case .unsupportedVersion(let path, let version):
            return
                "\(path) is a calibration in version \(version) of the format; this build reads version "
                + "\(CacheCalibration.version)."
        case .truncated(let path, let expected, let found):
            return "\(path) is cut short: \(found) of \(expected) bytes. " + again
        case .damaged(let path, let what): return "\(path) is damaged (\(what)). " + again
        case .unsound(let what): return "the calibration cannot be written: \(what)"
        }
    }

    public var errorDescription: String? { description }
}

/// Why a calibration cannot serve a model.
public enum CalibrationMismatch: Error, Sendable, Equatable {
    case otherModel
    case otherLayers(calibrated: Int, model: Int)
    case otherHeads(layer: Int, calibrated: CalibrationShape, model: CalibrationShape)
}

extension CalibrationMismatch: CustomStringConvertible, LocalizedError {
    public var description: String {
        let again = "Make one for this model with innerq calibrate."
        switch self {
        case .otherModel:
            return "the calibration was made for another model, or for other weights of it. "
                + again
        case .otherLayers(let calibrated, let model):
            return
                "the calibration is for a model of \(calibrated) layers; this one has \(model). "
                + again
        case .otherHeads(let layer, let calibrated, let model):
            if calibrated.headSize != model.headSize {
                return
                    "the calibration is for heads of size \(calibrated.headSize); layer \(layer) of this model has "
                    + "\(model.headSize). " + again
            }
            return
                "the calibration is for \(calibrated.kvHeads) key and value heads; layer \(layer) of this model has "
                + "\(model.kvHeads). " + again
        }
    }

    public var errorDescription: String? { description }
}

extension CacheCalibration {
    /// Whether this is a calibration of that model: number of layers, heads, and the weights' fingerprint.
    public func check(
        fingerprint: [UInt8], shape: CacheShape
    ) throws(CalibrationMismatch) {
        guard shapes.count == shape.layers.count else {
            throw .otherLayers(calibrated: shapes.count, model: shape.layers.count)
        }
        for (layer, (calibrated, model)) in zip(shapes, shape.layers).enumerated() {
            let model = CalibrationShape(kvHeads: model.kvHeads, headSize: model.headSize)
            guard calibrated == model else {
                throw .otherHeads(layer: layer, calibrated: calibrated, model: model)
            }
        }
        guard self.fingerprint == fingerprint else { throw .otherModel }
    }
}
