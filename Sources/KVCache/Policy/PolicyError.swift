/// Why a policy cannot be used; each message says what to change.
public enum PolicyError: Error, Sendable, Equatable, CustomStringConvertible {
    case unknownPreset(String)
    case unsupportedBits(Int)
    case unsupportedFormat(String)
    case needsCalibration(policy: String)
    case needsRotary(policy: String)
    case calibrationMismatch(String)
    case unsupportedHeadSize(Int, layer: Int)
    case shapeOutOfRange(String, Int, ClosedRange<Int>, layer: Int)
    case tooManyLayers(Int)
    case tooManyExceptions(Int)
    case headsDoNotDivide(queryHeads: Int, kvHeads: Int, layer: Int)
    case windowOutOfRange(String, Int)
    case normalizationOutOfRange(String)
    case layerOutOfRange(Int, layerCount: Int)
    case malformed(String)

    public var description: String {
        switch self {
        case .unknownPreset(let name):
            let names = CachePolicy.presets.map(\.name).joined(separator: ", ")
            return
                "there is no cache policy '\(name)'. Presets: \(names); variants of them such as kvquant-nuq3-1%-post, turboquant-4-2 or innerq-base-official, any k8c-v3t (`innerq formats --help`); or give the path of a .json file."
        case .unsupportedBits(let bits):
            let near = min(max(bits, 0), 8)
            let nearest = [2, 3, 4, 8].min { abs($0 - near) < abs($1 - near) } ?? 4
            return
                "codes of \(bits) bits are not supported (2, 3, 4 and 8 are); the nearest is \(nearest)."
        case .unsupportedFormat(let what): return what
        case .needsCalibration(let policy):
            return
                "'\(policy)' needs a calibration of the model: make one with `innerq calibrate`, or take '\(policy)-online', which measures the prompt instead."
        case .needsRotary(let policy):
            return
                "'\(policy)' stores keys as they are before RoPE, so its cache must know the model's RoPE: make it with the shape of a loaded model (TransformerModel.cacheShape)."
        case .calibrationMismatch(let what):
            return "the calibration does not fit: \(what)"
        case .unsupportedHeadSize(let size, let layer):
            return
                "layer \(layer) has head size \(size); a cache needs a multiple of 16 from 16 to 256."
        case .shapeOutOfRange(let name, let value, let range, let layer):
            return
                "layer \(layer) has \(value) \(name); a cache needs from \(range.lowerBound) to \(range.upperBound)."
        case .tooManyLayers(let count):
            return "the model has \(count) layers; a cache has at most \(CacheShape.mostLayers)."
        case .tooManyExceptions(let count):
            return
                "the policy's exceptions name \(count) layers in all; \(CachePolicy.mostExceptions) is the most. Make a common format the policy's own."
        case .headsDoNotDivide(let queryHeads, let kvHeads, let layer):
            return
                "layer \(layer) has \(queryHeads) query heads, not a multiple of its \(kvHeads) KV heads."
        case .windowOutOfRange(let name, let value):
            return
                "the \(name) window is \(value) tokens; it must be from 0 to \(CachePolicy.largestWindow)."
        case .normalizationOutOfRange(let what):
            return "key normalization: \(what)."
        case .layerOutOfRange(let layer, let count):
            return
                "an exception names layer \(layer), but the model has \(count) layers (0 to \(count - 1), or negative from the end)."
        case .malformed(let what):
            return "the cache policy cannot be read: \(what)"
        }
    }
}

extension CachePolicy {
    /// Windows larger than this are refused: they would not be windows.
    public static let largestWindow = 1 << 20
    /// Exceptions, and layers named by all of them, at most; so that a policy is soon applied to a model.
    public static let mostExceptions = 4096

    /// Checks the policy by itself.
    public func validate() throws(PolicyError) {
        try Self.check(keys)
        try Self.check(values)
        try Self.checkRotary(values)
        try Self.check(windows)
        for exception in exceptions {
            if let keys = exception.keys { try Self.check(keys) }
            if let values = exception.values {
                try Self.check(values)
                try Self.checkRotary(values)
            }
            if let windows = exception.windows { try Self.check(windows) }
        }
        let named = exceptions.reduce(0) { $0 + max(1, $1.layers.count) }
        guard named <= Self.mostExceptions else { throw .tooManyExceptions(named) }
        guard let normalization = keyNormalization else { return }
        guard normalization.exponent.isFinite, (0...1).contains(normalization.exponent) else {
            throw .normalizationOutOfRange("the exponent must be from 0 to 1")
        }
        guard normalization.queryExponent.isFinite, (0...1).contains(normalization.queryExponent)
        else { throw .normalizationOutOfRange("the query exponent must be from 0 to 1") }
        guard (0...Self.largestWindow).contains(normalization.tokens) else {
            throw .normalizationOutOfRange("'tokens' must be from 0 to \(Self.largestWindow)")
        }
    }

    /// Checks the policy together with a model's shape.
    public func validate(for shape: CacheShape) throws(PolicyError) {
        try validate()
        guard shape.layers.count <= CacheShape.mostLayers else {
            throw .tooManyLayers(shape.layers.count)
        }
        for (index, layer) in shape.layers.enumerated() {
            guard layer.headSize % 16 == 0, (16...256).contains(layer.headSize) else {
                throw .unsupportedHeadSize(layer.headSize, layer: index)
            }
            let heads = 1...LayerShape.mostHeads
            for (name, count) in [
                ("KV heads", layer.kvHeads), ("query heads", layer.queryHeads),
            ] where !heads.contains(count) {
                throw .shapeOutOfRange(name, count, heads, layer: index)
            }
            if let window = layer.slidingWindow, window < 1 {
                throw .shapeOutOfRange(
                    "tokens in its sliding window", window, 1...Int.max, layer: index)
            }
            guard layer.queryHeads % layer.kvHeads == 0
            else {
                throw .headsDoNotDivide(
                    queryHeads: layer.queryHeads, kvHeads: layer.kvHeads, layer: index)
            }
        }
        let count = shape.layers.count
        for layer in exceptions.flatMap(\.layers) where !(-count..<count).contains(layer) {
            throw .layerOutOfRange(layer, layerCount: count)
        }
    }

    private static func check(_ format: TensorFormat) throws(PolicyError) {
        switch format {
        case .float16: break
        case .grouped(let grouped):
            guard [2, 3, 4, 8].contains(grouped.bits) else { throw .unsupportedBits(grouped.bits) }
        case .codebook(let codebook):
            guard (2...4).contains(codebook.bits) else {
                throw .unsupportedFormat(
                    "codebooks have 2, 3 or 4 bits, not \(codebook.bits); the nearest is \(min(max(codebook.bits, 2), 4))."
                )
            }
            guard (0...0.1).contains(codebook.outliers) else {
                throw .unsupportedFormat(
                    "the share of outliers must be from 0 to 0.1, not \(codebook.outliers).")
            }
            guard (0...largestWindow).contains(codebook.statistics) else {
                throw .windowOutOfRange("statistics", codebook.statistics)
            }
        case .rotated(let rotated):
            let range = rotated.hasResidual ? 2...4 : 1...4
            guard range.contains(rotated.bits) else {
                throw .unsupportedFormat(
                    "rotated formats have \(range.lowerBound) to 4 bits\(rotated.hasResidual ? " with a residual" : ""), not \(rotated.bits)."
                )
            }
        }
    }

    private static func checkRotary(_ values: TensorFormat) throws(PolicyError) {
        guard values.codebook?.preRotary != true else {
            throw .unsupportedFormat("values are not turned by RoPE; 'preRotary' is for keys.")
        }
    }

    private static func check(_ windows: CacheWindows) throws(PolicyError) {
        guard (0...largestWindow).contains(windows.sink) else {
            throw .windowOutOfRange("sink", windows.sink)
        }
        guard (0...largestWindow).contains(windows.recent) else {
            throw .windowOutOfRange("recent", windows.recent)
        }
    }
}
