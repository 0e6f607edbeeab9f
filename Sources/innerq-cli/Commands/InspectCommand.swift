import ArgumentParser
import Foundation
import InnerQ

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what a model file holds.",
        discussion: """
            innerq inspect smollm2-135m
            innerq inspect ~/models/gemma-3-270m.gguf --tensors
            innerq inspect ./Qwen2.5-0.5B-Instruct --json

            The file is checked on the way: every tensor that the model needs must be there with the right shape. The \
            fingerprint is what saved sessions carry, so that they are not opened with another model.
            """)

    @Argument(
        help: ArgumentHelp(
            "A name of `innerq pull --list`, a .gguf file, or a folder with config.json and safetensors.",
            valueName: "name|path"))
    var model = ModelCatalog.defaultName

    @Flag(help: "List every tensor.")
    var tensors = false

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let checkpoint = try Checkpoint.open(path: ModelStore().locate(model).path)
        let report = try ModelReport(checkpoint, listsTensors: tensors)
        if output.json { return try Output.json(report) }
        try Output.write(report.text)
    }
}

/// What `inspect` says of a model.
struct ModelReport: Encodable {
    struct TypeCount: Encodable {
        var type: String
        var tensors: Int
        var bytes: Int
    }

    struct Tensor: Encodable {
        var name: String
        var type: String
        var shape: [Int]
        var bytes: Int
    }

    var path: String
    var configuration: ModelConfiguration
    var parameters: Int
    var weightBytes: Int
    var types: [TypeCount]
    var tokenizer: String
    var vocabularySize: Int
    var beginning: String?
    var endOfGeneration: [String]
    var chatTemplate: String?
    var fingerprint: String
    var tensors: [Tensor]?

    init(_ checkpoint: Checkpoint, listsTensors: Bool) throws {
        path = checkpoint.path
        configuration = checkpoint.configuration
        fingerprint = Format.hexadecimal(try checkpoint.fingerprint())
        let tokenizer = try checkpoint.tokenizer()
        self.tokenizer = tokenizer.description
        vocabularySize = tokenizer.vocabularySize
        func text(_ id: Int32) -> String { "\(tokenizer.decode([id])) (\(id))" }
        beginning = tokenizer.rules.prefix.first.map(text)
        endOfGeneration = tokenizer.endOfGeneration.map(text)
        chatTemplate = try checkpoint.chatTemplate(tokenizer: tokenizer)?.description
        let views = try checkpoint.configuration.tensorNames.map { try checkpoint.tensor($0) }
        parameters = views.reduce(0) { $0 + $1.elementCount }
        weightBytes = views.reduce(0) { $0 + $1.byteCount }
        types = TensorType.allCases.compactMap { type in
            let matching = views.filter { $0.type == type }
            guard !matching.isEmpty else { return nil }
            return TypeCount(
                type: type.rawValue, tensors: matching.count,
                bytes: matching.reduce(0) { $0 + $1.byteCount })
        }
        types.sort { $0.bytes > $1.bytes }
        guard listsTensors else { return }
        tensors = views.map {
            Tensor(name: $0.name, type: $0.type.rawValue, shape: $0.shape, bytes: $0.byteCount)
        }
    }

    var text: String {
        let c = configuration
        var lines: [(String, String)] = [
            ("file", path),
            ("model", c.name.isEmpty ? "(unnamed)" : c.name),
            ("architecture", c.architecture.rawValue),
            ("parameters", Format.count(parameters)),
            ("layers", "\(c.layerCount)"),
            (
                "hidden",
                "\(c.hiddenSize), feed-forward \(c.feedForwardSize) (\(c.activation.rawValue))"
            ),
            (
                "attention",
                "\(c.headCount) query heads, \(c.kvHeadCount) KV heads of \(c.headSize)"
                    + (c.hasQKVBias ? ", biases on Q, K and V" : "")
                    + (c.hasQKNorm ? ", Q and K normed" : "")
            ),
            ("windows", windows),
            ("RoPE", describe(c.rotary)),
        ]
        if let local = c.localRotary { lines.append(("local RoPE", describe(local))) }
        lines += [
            ("context", "\(Format.count(c.contextLength)) tokens"),
            ("embedding", c.hasTiedEmbeddings ? "also the output" : "apart from the output"),
            ("tokenizer", tokenizer),
            ("begins with", beginning ?? "nothing"),
            ("ends with", endOfGeneration.joined(separator: ", ")),
            ("chat template", chatTemplate ?? "none that is supported"),
            ("weights", Format.bytes(weightBytes)),
        ]
        lines += types.map {
            ("  \($0.type)", "\(Format.count($0.tensors)) tensors, \(Format.bytes($0.bytes))")
        }
        lines.append(("fingerprint", fingerprint))
        let width = lines.map { $0.0.count }.max() ?? 0
        var text = lines.map { name, value in
            name + String(repeating: " ", count: width + 2 - name.count) + value + "\n"
        }.joined()
        if let tensors {
            var table = Table(["<tensor", "<type", "shape", "bytes"])
            for tensor in tensors {
                table.row([
                    tensor.name, tensor.type,
                    tensor.shape.map(String.init).joined(separator: " × "),
                    Format.count(tensor.bytes),
                ])
            }
            text += "\n" + table.text
        }
        return text
    }

    private var windows: String {
        let windows = configuration.slidingWindows
        let local = windows.compactMap { $0 }
        guard let size = local.first else { return "none: every layer sees everything" }
        return "\(Format.count(size)) tokens in \(local.count) of \(windows.count) layers"
    }

    private func describe(_ rotary: RotaryConfiguration) -> String {
        let scaling =
            switch rotary.scaling {
            case .none: ""
            case .linear(let factor): ", scaled linearly by \(factor)"
            case .llama3(let factor, _, _, let original):
                ", Llama 3's scaling by \(factor) from \(original) tokens"
            case .tensor: ", scaled by the file's factors"
            }
        return
            "theta \(rotary.theta), \(rotary.pairing == .interleaved ? "interleaved" : "half-split") pairs\(scaling)"
    }
}
