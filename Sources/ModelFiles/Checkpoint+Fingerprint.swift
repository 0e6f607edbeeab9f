import Crypto
import Foundation

extension Checkpoint {
    /// A SHA-256 that tells models apart without reading all of their weights: 32 bytes.
    ///
    /// It covers the configuration, each used tensor's part, type, shape and place in its file, and the first and last
    /// 4 KiB of its data. Renaming or moving the file does not change it.
    public func fingerprint() throws(ModelFileError) -> [UInt8] {
        let edge = 4096
        var hash = SHA256()
        hash.update(data: Data(configuration.canonicalText.utf8))
        for name in configuration.tensorNames {
            let view = try tensor(name)
            let line = "\(name)|\(view.type.rawValue)|\(view.shape)|\(view.offset)\n"
            hash.update(data: Data(line.utf8))
            withExtendedLifetime(view.file) {
                let bytes = view.bytes
                hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: bytes.prefix(edge)))
                if bytes.count > edge {
                    hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: bytes.suffix(edge)))
                }
            }
        }
        return [UInt8](hash.finalize())
    }
}

extension ModelConfiguration {
    /// All that changes a model's results, in a fixed order and spelling, for hashing. The name does not.
    var canonicalText: String {
        func text(_ rotary: RotaryConfiguration?) -> String {
            guard let rotary else { return "none" }
            let scaling =
                switch rotary.scaling {
                case .none: "none"
                case .linear(let factor): "linear \(factor.bitPattern)"
                case .llama3(let factor, let low, let high, let original):
                    "llama3 \(factor.bitPattern) \(low.bitPattern) \(high.bitPattern) \(original)"
                case .tensor: "tensor"
                }
            return "\(rotary.theta.bitPattern) \(rotary.pairing.rawValue) \(scaling)"
        }
        let fields = [
            architecture.rawValue, "\(layerCount)", "\(hiddenSize)", "\(headCount)",
            "\(kvHeadCount)", "\(headSize)", "\(feedForwardSize)", "\(vocabularySize)",
            "\(contextLength)", "\(rmsEpsilon.bitPattern)",
            slidingWindows.map { $0.map { String($0) } ?? "-" }.joined(separator: ","),
            text(rotary), text(localRotary), "\(attentionScale.bitPattern)",
            "\(hasTiedEmbeddings)", activation.rawValue, "\(hasQKVBias)",
            "\(hasAttentionOutputBias)", "\(hasQKNorm)", "\(hasPostNorms)",
            "\(normWeightsLackOne)", "\(embeddingScale.bitPattern)",
        ]
        return fields.joined(separator: "\n") + "\n"
    }
}
