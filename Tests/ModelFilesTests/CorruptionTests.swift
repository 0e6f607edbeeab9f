import Foundation
import ModelFiles
import Testing

/// Damaged files: whatever happens to the bytes, reading ends with a typed error or with values that can be used.
/// A crash or an access outside the file would end the test process.
@Suite struct CorruptionTests {
    /// Reads everything that a GGUF file offers, as loading a model would.
    private static func exerciseGGUF(_ bytes: [UInt8]) throws {
        let reader = try GGUFReader(file: MappedFile(bytes))
        for key in reader.keys {
            guard let array = reader[key]?.array else { continue }
            _ = array.strings()
            _ = array.integers()
            _ = array.floats()
            for inner in array.arrays() ?? [] { _ = inner.integers() }
        }
        for tensor in reader.tensors {
            #expect(tensor.offset >= 0 && tensor.offset + tensor.byteCount <= reader.file.count)
            #expect(tensor.bytes.reduce(0, ^) <= 255)
            _ = tensor.floats()
        }
        let checkpoint = try Checkpoint(gguf: reader)
        _ = try checkpoint.tokenizerFields()
        _ = try checkpoint.chatTemplate()
        _ = try checkpoint.fingerprint()
    }

    private static func exerciseSafetensors(_ bytes: [UInt8]) throws {
        let reader = try SafetensorsReader(file: MappedFile(bytes))
        for entry in reader.entries {
            #expect(entry.offset >= 0 && entry.offset + entry.byteCount <= reader.file.count)
            #expect(entry.bytes.reduce(0, ^) <= 255)
            _ = try reader.tensor(named: entry.name)?.floats()
        }
    }

    private static func exerciseConfiguration(_ bytes: [UInt8]) throws {
        let file = try MappedFile(bytes)
        let configuration = try ModelConfiguration(configJSON: file.bytes, path: "config.json")
        withExtendedLifetime(file) {}
        _ = configuration.tensorNames.map { configuration.shape(of: $0) }
        for layer in 0..<configuration.layerCount {
            _ = configuration.rotary(layer: layer).frequencies(headSize: configuration.headSize)
        }
    }

    /// Runs `body`; whether it succeeded. Anything but a ``ModelFileError`` fails the test.
    private func survives(_ body: () throws -> Void) -> Bool {
        do {
            try body()
            return true
        } catch {
            #expect(error is ModelFileError)
            return false
        }
    }

    /// A whole small model whose metadata has every kind of array, with one tensor of each block-quantized kind.
    private static let gguf: [UInt8] = {
        var writer = TinyModel.gguf()
        writer.pairs.append(
            ("nested", .array(9, [.array(5, [.i32(1)]), .array(8, [.string("x")])])))
        writer.pairs.append(("tail", .array(6, [.f32(1), .f32(2)])))
        for type in TensorType.allCases where type.blockSize > 1 {
            writer.tensors.append(
                .init(
                    name: type.rawValue, type: type.ggmlID, ne: [256],
                    data: [UInt8](repeating: 7, count: 256 / type.blockSize * type.blockBytes)))
        }
        return writer.bytes()
    }()

    /// Bytes before the tensors' data: where all the lengths are.
    private static let ggufHead: Int = {
        let reader = try? GGUFReader(file: MappedFile(gguf))
        return reader?.tensors.map(\.offset).min() ?? 0
    }()

    @Test func readsTheIntactFiles() throws {
        try Self.exerciseGGUF(Self.gguf)
        try Self.exerciseSafetensors(SafetensorsWriter.bytes(TinyModel.huggingFace()))
        try Self.exerciseConfiguration(Array(TinyModel.config.utf8))
    }

    @Test func everyTruncatedGGUFIsAnError() {
        #expect(Self.ggufHead > 2000)
        for length in 1..<Self.ggufHead {
            #expect(!survives { try Self.exerciseGGUF(Array(Self.gguf[..<length])) })
        }
        // Within the data each cut is alike; a stride keeps this fast.
        for length in stride(from: Self.ggufHead, to: Self.gguf.count, by: 97) {
            #expect(!survives { try Self.exerciseGGUF(Array(Self.gguf[..<length])) })
        }
    }

    @Test func flippedBytesInGGUFNeverCrash() {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<6000 {
            var bytes = Self.gguf
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<Self.ggufHead, using: &generator)
                bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            }
            _ = survives { try Self.exerciseGGUF(bytes) }
        }
    }

    @Test func hostileLengthsInGGUFNeverCrash() {
        let hostile: [UInt64] = [
            0, 1 << 63, .max, (1 << 63) - 1, 1 << 62, 1 << 61, 1 << 60, 1 << 59, 1 << 32,
            UInt64(Self.gguf.count), UInt64(UInt32.max), 0xFFFF_FFFF_FFFF_FFE0,
        ]
        for place in 0..<Self.ggufHead - 8 {
            // All places with all values take too long; each place meets two, neighbours meet different ones.
            for turn in 0..<2 {
                let value = hostile[(5 * place + 6 * turn) % hostile.count]
                var bytes = Self.gguf
                bytes.replaceSubrange(place..<place + 8, with: littleEndian(value))
                _ = survives { try Self.exerciseGGUF(bytes) }
            }
        }
    }

    @Test func everyTruncatedSafetensorsIsAnError() {
        let whole = SafetensorsWriter.bytes(TinyModel.huggingFace())
        let head = 8 + Int(whole[0]) + Int(whole[1]) << 8
        for length in 1..<head {
            #expect(!survives { try Self.exerciseSafetensors(Array(whole[..<length])) })
        }
        for length in stride(from: head, to: whole.count, by: 97) {
            #expect(!survives { try Self.exerciseSafetensors(Array(whole[..<length])) })
        }
    }

    @Test func flippedBytesInSafetensorsNeverCrash() {
        let whole = SafetensorsWriter.bytes(Array(TinyModel.huggingFace().prefix(8)))
        let head = 8 + Int(whole[0]) + Int(whole[1]) << 8
        var generator = SeededGenerator(seed: 2)
        for round in 0..<6000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: 0..<head, using: &generator)
                if round % 2 == 0 {
                    bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
                } else {
                    // Characters that keep JSON alive reach further than random bits.
                    bytes[place] = Array("0123456789-{}[]\",:eFBI".utf8).randomElement(
                        using: &generator)!
                }
            }
            _ = survives { try Self.exerciseSafetensors(bytes) }
        }
    }

    @Test(arguments: [1 << 63, .max, 1 << 62, (1 << 63) - 1, 100_000_001] as [UInt64])
    func hostileSafetensorsHeaderLengthsAreErrors(length: UInt64) {
        let whole = SafetensorsWriter.bytes(TinyModel.huggingFace())
        let bytes = littleEndian(length) + whole[8...]
        #expect(reason { try Self.exerciseSafetensors(bytes) } == .truncated)
    }

    @Test func damagedConfigurationsNeverCrash() {
        let gemma = """
            {"model_type": "gemma3_text", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 8, "head_dim": 16,
             "sliding_window": 5, "sliding_window_pattern": 6, "query_pre_attn_scalar": 16,
             "rope_theta": 1e6, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}
            """
        var generator = SeededGenerator(seed: 3)
        for text in [TinyModel.config, gemma] {
            let whole = Array(text.utf8)
            for length in 1..<whole.count {
                #expect(!survives { try Self.exerciseConfiguration(Array(whole[..<length])) })
            }
            for _ in 0..<4000 {
                var bytes = whole
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    let place = Int.random(in: 0..<whole.count, using: &generator)
                    bytes[place] = Array("0123456789-.e{}[]\",: ".utf8).randomElement(
                        using: &generator)!
                }
                _ = survives { try Self.exerciseConfiguration(bytes) }
            }
        }
    }
}
