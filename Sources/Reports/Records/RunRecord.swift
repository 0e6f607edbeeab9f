/// What a results file is about. A run goes on in a file only if model and settings are the same.
public struct RunRecord: Sendable, Hashable, Codable {
    /// Of this format; 1.
    public var version: Int
    public var model: ModelRecord
    /// What was asked for and decides the figures, such as `["suite": "quick", "text": "wiki.test.raw"]`.
    public var settings: [String: String]
    public var machine: MachineRecord
    /// When the run began, ISO 8601.
    public var date: String
    /// The command that made it.
    public var command: String

    public init(
        model: ModelRecord, settings: [String: String], machine: MachineRecord, date: String,
        command: String
    ) {
        version = 1
        self.model = model
        self.settings = settings
        self.machine = machine
        self.date = date
        self.command = command
    }
}

/// The model that was measured.
public struct ModelRecord: Sendable, Hashable, Codable {
    public var name: String
    /// Digest of its weights, hexadecimal.
    public var fingerprint: String
    public var layers: Int
    public var queryHeads: Int
    public var kvHeads: Int
    public var headSize: Int
    public var contextLength: Int
    /// Bytes of the weights.
    public var weightBytes: Int

    public init(
        name: String, fingerprint: String, layers: Int, queryHeads: Int, kvHeads: Int,
        headSize: Int, contextLength: Int, weightBytes: Int
    ) {
        self.name = name
        self.fingerprint = fingerprint
        self.layers = layers
        self.queryHeads = queryHeads
        self.kvHeads = kvHeads
        self.headSize = headSize
        self.contextLength = contextLength
        self.weightBytes = weightBytes
    }
}

/// Where it was measured.
public struct MachineRecord: Sendable, Hashable, Codable {
    /// The processor's name, as the system tells it.
    public var processor: String
    public var threads: Int
    /// The set of inner loops in use, such as `avx2`.
    public var kernels: String

    public init(processor: String, threads: Int, kernels: String) {
        self.processor = processor
        self.threads = threads
        self.kernels = kernels
    }
}

/// A cache that takes part.
public struct CacheRecord: Sendable, Hashable, Codable {
    /// Name of its policy, unique in a file.
    public var cache: String
    /// Digest of every parameter of the policy.
    public var policy: String
    /// How keys and values are stored, in words.
    public var keys: String
    public var values: String
    /// Mean bits of a sealed element, scales and outliers included.
    public var sealedBits: Double
    /// Whether the others are compared with this one.
    public var isReference: Bool
    /// A cache broken on purpose, to see that the measures notice.
    public var isControl: Bool

    public init(
        cache: String, policy: String, keys: String, values: String, sealedBits: Double,
        isReference: Bool = false, isControl: Bool = false
    ) {
        self.cache = cache
        self.policy = policy
        self.keys = keys
        self.values = values
        self.sealedBits = sealedBits
        self.isReference = isReference
        self.isControl = isControl
    }
}
