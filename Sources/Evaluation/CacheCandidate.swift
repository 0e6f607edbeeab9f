import Crypto
import Foundation
public import Generation
public import KVCache
public import Reports
import Transformer

/// A cache that takes part in an evaluation.
public struct CacheCandidate: Sendable {
    public var policy: CachePolicy
    /// Of the model, for policies that need one.
    public var calibration: CacheCalibration?
    /// Whether it is broken on purpose: the codes of everything that it seals are shuffled.
    public var isControl: Bool

    public init(
        _ policy: CachePolicy, calibration: CacheCalibration? = nil, isControl: Bool = false
    ) {
        self.policy = policy
        self.calibration = calibration
        self.isControl = isControl
    }

    /// The reference that all others are compared with.
    public static let reference = CacheCandidate(.float16)

    public var isReference: Bool { policy == .float16 && !isControl }

    /// Unique among the candidates of a run.
    public var name: String { isControl ? policy.name + ", codes shuffled" : policy.name }

    /// An empty cache.
    /// - Throws: `PolicyError` if the policy does not fit the model, or the calibration neither.
    package func makeCache(for model: LanguageModel) throws(PolicyError) -> SequenceCache {
        let cache = try SequenceCache(
            shape: model.transformer.cacheShape, policy: policy, calibration: calibration,
            workers: model.transformer.workers)
        if isControl { cache.shuffleCodesFromNowOn() }
        return cache
    }

    /// How it stands in results.
    public func record(for model: LanguageModel) -> CacheRecord {
        let shape = model.transformer.cacheShape
        var bytes = 0
        var elements = 0
        for (index, layer) in shape.layers.enumerated() {
            let own = policy.layer(index, of: shape.layers.count)
            bytes += PageLayout(shape: layer, keys: own.keys, values: own.values).byteCount
            elements += 2 * TileLayout.tokens * layer.headSize * layer.kvHeads
        }
        return CacheRecord(
            cache: name, policy: digest, keys: policy.keys.summary, values: policy.values.summary,
            sealedBits: Double(bytes) * 8 / Double(max(elements, 1)), isReference: isReference,
            isControl: isControl)
    }

    /// Of every parameter of the policy and of what its calibration was made of.
    private var digest: String {
        var hash = SHA256()
        hash.update(data: policy.json())
        if policy.needsCalibration, let source = calibration?.source {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            if let data = try? encoder.encode(source) { hash.update(data: data) }
        }
        return hash.finalize().prefix(8).map { String(format: "%02x", $0) }.joined()
    }
}

extension [CacheCandidate] {
    /// The same, the reference in front if it is not among them.
    public var withReference: [CacheCandidate] {
        contains(where: \.isReference) ? self : [.reference] + self
    }
}
