import CUDABackend
import CUDADriver
import Foundation
public import KVCache
import ModelFiles

/// What this build can do on this machine: which cache formats, for which head sizes, with which kernels.
///
/// It answers before anything is loaded. What is not in it is refused with an error that names the nearest choice;
/// nothing falls back silently.
public struct Capabilities: Sendable, Codable {
    /// How keys or values of a preset are stored.
    public struct Format: Sendable, Codable {
        /// "float16", "grouped", "codebook" or "rotated".
        public var kind: String
        /// Bits of a code; `nil` for float16.
        public var bits: Int?
        /// The axis that a group of 32 lies along.
        public var axis: GroupAxis?
        public var mode: QuantizationMode?
        public var levels: LevelSet?
        public var scaleFit: ScaleFit?
        /// KVQuant's parameters.
        public var codebook: CodebookFormat?
        /// TurboQuant's parameters.
        public var rotated: RotatedFormat?
        /// With all that is stored beside the codes, at head size 128 and 8 KV heads.
        public var bitsPerElement: Double
        /// In words.
        public var summary: String

        init(_ format: TensorFormat) {
            bitsPerElement = format.bitsPerElement()
            summary = format.summary
            switch format {
            case .float16: kind = "float16"
            case .grouped(let grouped):
                kind = "grouped"
                bits = grouped.bits
                axis = grouped.axis
                mode = grouped.mode
                // Levels are a matter of symmetric codes.
                levels = grouped.mode == .asymmetric ? nil : grouped.levels
                scaleFit = grouped.mode == .asymmetric ? nil : grouped.scaleFit
            case .codebook(let format):
                kind = "codebook"
                bits = format.bits
                codebook = format
            case .rotated(let format):
                kind = "rotated"
                bits = format.bits
                rotated = format
            }
        }
    }

    /// One row of the table.
    public struct Preset: Sendable, Codable {
        public var name: String
        public var keys: Format
        public var values: Format
        /// Mean of keys and values, in the body.
        public var bitsPerElement: Double
        /// First tokens that stay in float16.
        public var sink: Int
        /// Newest tokens that stay in float16: from this many to 31 more.
        public var recent: Int
        public var keyNormalization: KeyNormalization?
        /// Whether it needs what `innerq calibrate` makes of a model.
        public var needsCalibration: Bool
        /// Whether CUDA kernels read and write it, too.
        public var cuda: Bool

        /// "96-127".
        public var recentText: String {
            recent == 0 && keys.bits == nil ? "-" : "\(recent)-\(recent + TileLayout.tokens - 1)"
        }

        /// "centred, exponent 0.5, feedback, 256 tokens", or "-".
        public var normalization: String {
            guard let rule = keyNormalization else { return "-" }
            return
                (rule.centred ? "centred, " : "") + "exponent \(rule.exponent)"
                + (rule.queryExponent > 0 ? ", query exponent \(rule.queryExponent)" : "")
                + (rule.feedback ? ", feedback" : "")
                + (rule.tokens > 0 ? ", \(rule.tokens) tokens" : "")
        }
    }

    /// A set of inner loops.
    public struct Kernels: Sendable, Codable {
        public var name: String
        /// Whether this processor can execute it.
        public var isAvailable: Bool
        /// Whether it is the one that runs.
        public var isUsed: Bool
    }

    public var presets: [Preset]
    /// Head sizes with tuned kernels; every other multiple of 16 up to 256 works too.
    public var headSizes: [Int]
    public var kernels: [Kernels]
    public var cuda: CUDA

    /// What runs on NVIDIA GPUs, and whether there is one.
    public struct CUDA: Sendable, Codable {
        /// Head sizes; no others run.
        public var headSizes: [Int]
        /// Those that codebooks and rotated formats run with.
        public var lookupHeadSizes: [Int]
        /// Query heads of a KV head, at most.
        public var mostRatio: Int
        /// Names of the GPUs that can be used.
        public var devices: [String]
        /// Why there is none.
        public var reason: String?

        static var current: CUDA {
            var cuda = CUDA(
                headSizes: DeviceCapability.headSizes,
                lookupHeadSizes: DeviceCapability.lookupHeadSizes,
                mostRatio: DeviceCapability.mostRatio, devices: [])
            do throws(CUDAError) {
                cuda.devices = try CUDADevice.all().map(\.name)
                if cuda.devices.isEmpty { cuda.reason = CUDAError.noDevice.description }
            } catch { cuda.reason = error.description }
            return cuda
        }
    }

    /// Those of the running process.
    public static var current: Capabilities {
        let available = AttentionKernels.all.map(\.name)
        return Capabilities(
            presets: CachePolicy.presets.map { policy in
                Preset(
                    name: policy.name, keys: Format(policy.keys), values: Format(policy.values),
                    bitsPerElement: (policy.keys.bitsPerElement() + policy.values.bitsPerElement())
                        / 2,
                    sink: policy.windows.sink, recent: policy.windows.recent,
                    keyNormalization: policy.keyNormalization,
                    needsCalibration: policy.needsCalibration,
                    cuda: DeviceCapability.supports(policy))
            },
            headSizes: ModelConfiguration.supportedHeadSizes,
            kernels: ["portable", "avx2", "avx512", "avx512-amx", "neon"].map { name in
                Kernels(
                    name: name, isAvailable: available.contains(name),
                    isUsed: name == AttentionKernels.best.name)
            }, cuda: .current)
    }
}
