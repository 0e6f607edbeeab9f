import Foundation
import ModelFiles
import Testing

@Suite struct CheckpointTests {
    private func open(_ writer: GGUFWriter) throws -> Checkpoint {
        try Checkpoint(gguf: GGUFReader(file: MappedFile(writer.bytes())))
    }

    @Test func findsTheSameTensorsInBothKindsOfFile() throws {
        try withTemporaryFolder { folder in
            try write(TinyModel.gguf().bytes(), folder + "/tiny.gguf")
            try write(TinyModel.config.utf8, folder + "/config.json")
            try write(
                SafetensorsWriter.bytes(TinyModel.huggingFace()), folder + "/model.safetensors")
            let gguf = try Checkpoint.open(path: folder + "/tiny.gguf")
            let plain = try Checkpoint.open(path: folder)
            #expect(gguf.gguf != nil)
            #expect(plain.gguf == nil)
            #expect(gguf.configuration.rotary.pairing == .interleaved)
            #expect(plain.configuration.rotary.pairing == .halfSplit)
            #expect(gguf.configuration.tensorNames == plain.configuration.tensorNames)
            #expect(gguf.configuration.tensorNames.count == 21)
            for (seed, name) in gguf.configuration.tensorNames.enumerated() {
                let left = try gguf.tensor(name)
                #expect(left.shape == gguf.configuration.shape(of: name))
                // Files name the last tensors in the same order as the configuration does.
                let values = TinyModel.values(left.shape, seed: seed)
                if case .layer = name {
                    #expect(try plain.tensor(name).floats() == left.floats(), "\(name)")
                } else {
                    #expect(left.floats() == values, "\(name)")
                    #expect(try plain.tensor(name).floats() == values, "\(name)")
                }
            }
            #expect(gguf.weightByteCount == plain.weightByteCount)
            #expect(reason { _ = try gguf.tensor(.layer(2, .query)) } == .missingTensor)
            #expect(reason { _ = try gguf.tensor(.layer(-1, .query)) } == .missingTensor)
            #expect(reason { _ = try gguf.tensor(.layer(0, .queryNorm)) } == .missingTensor)
        }
    }

    @Test(arguments: ["language_model.model.", "model.language_model.", ""])
    func findsANestedDecoder(prefix: String) throws {
        try withTemporaryFolder { folder in
            let head = prefix.hasPrefix("language_model") ? "language_model." : ""
            let tensors = TinyModel.huggingFace().map { tensor in
                let name = tensor.name
                let renamed =
                    name.hasPrefix("model.") ? prefix + name.dropFirst(6) : head + name
                return (name: renamed, shape: tensor.shape, values: tensor.values)
            }
            try write(
                TinyModel.config.replacingOccurrences(of: ": false}", with: ": true}").utf8,
                folder + "/config.json")
            try write(SafetensorsWriter.bytes(tensors), folder + "/model.safetensors")
            let checkpoint = try Checkpoint.open(path: folder)
            #expect(
                try checkpoint.tensor(.outputNorm).floats() == TinyModel.values([32], seed: 19))
        }
    }

    @Test func refusesIncompleteModels() throws {
        var missing = TinyModel.gguf()
        missing.tensors.removeAll { $0.name == "blk.1.ffn_up.weight" }
        #expect(reason { _ = try open(missing) } == .missingTensor)

        var turned = TinyModel.gguf()
        let index = try #require(
            turned.tensors.firstIndex { $0.name == "blk.1.ffn_up.weight" })
        turned.tensors[index].ne.reverse()
        #expect(reason { _ = try open(turned) } == .wrongTensor)

        try withTemporaryFolder { folder in
            #expect(reason { _ = try Checkpoint.open(path: folder) } == .missing)
            try write(TinyModel.config.utf8, folder + "/config.json")
            #expect(reason { _ = try Checkpoint.open(path: folder) } == .missing)
            try write(
                SafetensorsWriter.bytes([("other", [1], [1])]), folder + "/model.safetensors")
            #expect(reason { _ = try Checkpoint.open(path: folder) } == .missingTensor)
            #expect(reason { _ = try Checkpoint.open(path: folder + "/absent.gguf") } == .missing)
        }
    }

    @Test func refusesQuantizedVectors() throws {
        var writer = TinyModel.gguf()
        let index = try #require(writer.tensors.firstIndex { $0.name == "output_norm.weight" })
        writer.tensors[index].type = TensorType.q8_0.ggmlID
        #expect(reason { _ = try open(writer) } == .wrongTensor)
    }

    @Test func readsTokenizerFields() throws {
        let fields = try #require(try open(TinyModel.gguf()).tokenizerFields())
        #expect(fields.model == .byteLevelBPE)
        #expect(fields.preTokenizer == "smollm")
        #expect(fields.pieces == "abcdefgh".utf8.map { [$0] })
        #expect(
            fields.kinds == [
                .control, .normal, .normal, .normal, .normal, .normal, .normal, .byte,
            ])
        #expect(fields.merges == [Array("a b".utf8), Array("c d".utf8)])
        #expect(fields.beginningOfSequence == 0)
        #expect(fields.endOfSequence == 1)
        #expect(fields.padding == nil)
        #expect(!fields.addsBeginningOfSequence && !fields.addsSpacePrefix)
        #expect(fields.chatTemplate == "{{ messages }}")
        #expect(try open(TinyModel.gguf()).chatTemplate() == "{{ messages }}")
    }

    @Test func fillsInWhatSentencePieceFilesLeaveOut() throws {
        var writer = TinyModel.gguf()
        writer.pairs.removeAll { $0.0.hasPrefix("tokenizer.") && !$0.0.hasSuffix("tokens") }
        #expect(reason { _ = try open(writer).tokenizerFields() } == .unsupported)
        writer.pairs.append(("tokenizer.ggml.model", .string("llama")))
        #expect(reason { _ = try open(writer).tokenizerFields() } == .malformed)
        writer.pairs.append(
            ("tokenizer.ggml.scores", .array(6, (0..<8).map { .f32(Float($0)) })))
        let fields = try #require(try open(writer).tokenizerFields())
        #expect(fields.model == .sentencePiece)
        #expect(fields.scores == [0, 1, 2, 3, 4, 5, 6, 7])
        #expect(fields.addsBeginningOfSequence && fields.addsSpacePrefix)
        #expect(fields.beginningOfSequence == 1)
        #expect(fields.unknown == 0)
        writer.pairs.append(("tokenizer.ggml.token_type", .array(5, [.i32(1)])))
        #expect(reason { _ = try open(writer).tokenizerFields() } == .malformed)
    }

    @Test func readsTheTextFilesOfAFolder() throws {
        try withTemporaryFolder { folder in
            try write(TinyModel.config.utf8, folder + "/config.json")
            try write(
                SafetensorsWriter.bytes(TinyModel.huggingFace()), folder + "/model.safetensors")
            let checkpoint = try Checkpoint.open(path: folder)
            #expect(try checkpoint.tokenizerFields() == nil)
            #expect(try checkpoint.tokenizerJSON() == nil)
            #expect(try checkpoint.chatTemplate() == nil)
            try write("{}".utf8, folder + "/tokenizer.json")
            #expect(try checkpoint.tokenizerJSON() == Data("{}".utf8))
            let config = folder + "/tokenizer_config.json"
            try write(#"{"chat_template": "one"}"#.utf8, config)
            #expect(try checkpoint.chatTemplate() == "one")
            try write(
                """
                {"chat_template": [{"name": "tools", "template": "t"},
                                   {"name": "default", "template": "two"}]}
                """.utf8, config)
            #expect(try checkpoint.chatTemplate() == "two")
            try write("three".utf8, folder + "/chat_template.jinja")
            #expect(try checkpoint.chatTemplate() == "three")
        }
    }

    @Test func fingerprintsTellModelsApart() throws {
        let writer = TinyModel.gguf()
        let original = try open(writer).fingerprint()
        #expect(original.count == 32)
        #expect(try open(writer).fingerprint() == original)

        var renamed = writer
        renamed.pairs[1].1 = .string("many")
        #expect(try open(renamed).fingerprint() == original)

        var theta = writer
        theta.pairs[8].1 = .f32(20000)
        #expect(try open(theta).fingerprint() != original)

        // One bit of any tensor's last byte.
        for index in writer.tensors.indices {
            var changed = writer
            changed.tensors[index].data[changed.tensors[index].data.count - 1] ^= 1
            #expect(try open(changed).fingerprint() != original)
        }
    }

    /// SmolLM2-135M-Instruct Q4_1, if `INNERQ_MODEL` names it.
    static let smolLM2: String? = {
        let path = ProcessInfo.processInfo.environment["INNERQ_MODEL"]
        return path?.lowercased().contains("smollm2") == true ? path : nil
    }()

    @Test(.enabled(if: smolLM2 != nil, "INNERQ_MODEL does not name SmolLM2"))
    func opensSmolLM2() throws {
        let checkpoint = try Checkpoint.open(path: Self.smolLM2!)
        let configuration = checkpoint.configuration
        #expect(configuration.layerCount == 30)
        #expect(configuration.headCount == 9 && configuration.kvHeadCount == 3)
        #expect(configuration.rotary.theta == 100_000)
        #expect(configuration.hasTiedEmbeddings)
        #expect(try checkpoint.tensor(.tokenEmbedding).type == .q8_0)
        #expect(try checkpoint.tensor(.layer(29, .down)).shape == [576, 1536])
        let fields = try #require(try checkpoint.tokenizerFields())
        #expect(fields.pieces.count == 49152)
        #expect(fields.merges.count == 48900)
        #expect(try checkpoint.fingerprint().count == 32)
    }
}
