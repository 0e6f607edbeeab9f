import Foundation
public import Generation
import KVCache
import ModelFiles
public import Reports
import Threading
import Transformer

extension ModelRecord {
    /// - Parameter model: whose file's name it takes.
    public init(_ model: LanguageModel) {
        let configuration = model.configuration
        let url = URL(fileURLWithPath: model.path)
        let attributes = try? FileManager.default.attributesOfItem(atPath: model.path)
        self.init(
            name: url.deletingPathExtension().lastPathComponent,
            fingerprint: model.fingerprint.map { String(format: "%02x", $0) }.joined(),
            layers: configuration.layerCount, queryHeads: configuration.headCount,
            kvHeads: configuration.kvHeadCount, headSize: configuration.headSize,
            contextLength: configuration.contextLength,
            weightBytes: (attributes?[.size] as? Int) ?? 0)
    }
}

extension MachineRecord {
    /// The machine that this runs on.
    public static func current(threads: Int) -> MachineRecord {
        MachineRecord(
            processor: processorName, threads: threads, kernels: AttentionKernels.best.name)
    }

    /// As the system tells it, or the architecture.
    private static var processorName: String {
        if let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) {
            let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
            if let name = line?.split(separator: ":", maxSplits: 1).last {
                return name.trimmingCharacters(in: .whitespaces)
            }
        }
        #if arch(x86_64)
            return "x86-64"
        #elseif arch(arm64)
            return "arm64"
        #else
            return "unknown"
        #endif
    }
}

extension RunRecord {
    /// A run that begins now.
    ///
    /// - Parameters:
    ///   - settings: what decides the figures.
    ///   - command: that was given.
    public static func current(
        model: LanguageModel, settings: [String: String], command: String
    ) -> RunRecord {
        RunRecord(
            model: ModelRecord(model), settings: settings,
            machine: .current(threads: model.transformer.workers.threads),
            date: Date.now.ISO8601Format(), command: command)
    }
}
