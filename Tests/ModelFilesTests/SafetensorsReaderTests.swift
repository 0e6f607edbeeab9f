import ModelFiles
import Testing

@Suite struct SafetensorsReaderTests {
    private func read(_ header: String, _ data: [UInt8] = []) throws -> SafetensorsReader {
        try SafetensorsReader(file: MappedFile(SafetensorsWriter.bytes(header: header, data: data)))
    }

    @Test func readsWeightsAndRawTensors() throws {
        let reader = try read(
            """
            {"__metadata__": {"format": "pt"},
             "codes": {"dtype": "I32", "shape": [2], "data_offsets": [12, 20]},
             "w": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
             "h": {"dtype": "BF16", "shape": [2], "data_offsets": [8, 12]},
             "scalar": {"dtype": "U8", "shape": [], "data_offsets": [20, 21]},
             "empty": {"dtype": "I64", "shape": [0, 4], "data_offsets": [21, 21]}}  
            """,
            littleEndian([1.5, -2]) + [0x80, 0x3F, 0x00, 0xC0] + littleEndian(Int32(-7))
                + littleEndian(Int32(9)) + [42])
        #expect(reader.metadata == ["format": "pt"])
        #expect(reader.entries.map(\.name) == ["w", "h", "codes", "scalar", "empty"])
        let weight = try #require(try reader.tensor(named: "w"))
        #expect(weight.shape == [1, 2])
        #expect(weight.floats() == [1.5, -2])
        #expect(try reader.tensor(named: "h")?.floats() == [1, -2])
        let codes = try #require(reader.entry(named: "codes"))
        #expect(codes.type == .i32)
        #expect(codes.bytes.loadUnaligned(fromByteOffset: 4, as: Int32.self) == 9)
        #expect(reader.entry(named: "scalar")?.bytes.elementsEqual([42]) == true)
        #expect(reader.entry(named: "empty")?.shape == [0, 4])
        #expect(try reader.tensor(named: "absent") == nil)
        #expect(reason { _ = try reader.tensor(named: "codes") } == .wrongTensor)
        #expect(reason { _ = try reader.tensor(named: "empty") } == .wrongTensor)
    }

    private func refusal(_ entry: String, bytes: Int = 16) -> ModelFileError.Reason? {
        reason { _ = try read("{\"w\": \(entry)}", [UInt8](repeating: 0, count: bytes)) }
    }

    @Test func refusesEntriesThatContradictThemselves() {
        #expect(
            refusal(#"{"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}"#) == nil)
        #expect(
            refusal(#"{"dtype": "F32", "shape": [3], "data_offsets": [0, 16]}"#) == .malformed)
        #expect(
            refusal(#"{"dtype": "F32", "shape": [4], "data_offsets": [4, 20]}"#) == .truncated)
        #expect(
            refusal(#"{"dtype": "F32", "shape": [0], "data_offsets": [8, 4]}"#) == .truncated)
        #expect(
            refusal(#"{"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}"#) == .malformed)
        #expect(
            refusal(#"{"dtype": "F32", "shape": [4.0], "data_offsets": [0, 16]}"#) == .malformed)
        #expect(
            refusal(
                #"{"dtype": "U8", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}"#)
                == .malformed)
        #expect(
            refusal(
                #"{"dtype": "U8", "shape": [1], "data_offsets": [9223372036854775807, 9223372036854775807]}"#
            ) == .truncated)
        #expect(refusal(#"{"dtype": "Q4", "shape": [4], "data_offsets": [0, 2]}"#) == .unsupported)
        #expect(refusal(#"{"dtype": "F32", "shape": [4]}"#) == .malformed)
        #expect(refusal(#"[]"#) == .malformed)
        #expect(
            reason {
                _ = try read(
                    """
                    {"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                     "b": {"dtype": "U8", "shape": [4], "data_offsets": [3, 7]}}
                    """, [UInt8](repeating: 0, count: 8))
            } == .malformed)
        #expect(reason { _ = try read("[1]") } == .notThisFormat)
    }

    @Test func refusesTwoTensorsOfOneName() {
        let entry = #"{"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}"#
        #expect(reason { _ = try read("{\"w\": \(entry), \"w\": \(entry)}") } == .malformed)
    }

    @Test func joinsShards() throws {
        try withTemporaryFolder { folder in
            try write(SafetensorsWriter.bytes([("a", [2], [1, 2])]), folder + "/one.safetensors")
            try write(SafetensorsWriter.bytes([("b", [1], [3])]), folder + "/two.safetensors")
            let index = folder + "/model.safetensors.index.json"
            try write(
                #"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#.utf8, index)
            let weights = try SafetensorsFolder(path: folder)
            #expect(weights.shards.count == 2)
            #expect(try weights.tensor(named: "a")?.floats() == [1, 2])
            #expect(try weights.tensor(named: "b")?.floats() == [3])
            #expect(try weights.tensor(named: "c") == nil)

            try write(#"{"weight_map": {"b": "one.safetensors"}}"#.utf8, index)
            #expect(reason { _ = try SafetensorsFolder(path: folder) } == .missingTensor)
            try write(#"{"weight_map": {"b": "three.safetensors"}}"#.utf8, index)
            #expect(reason { _ = try SafetensorsFolder(path: folder) } == .missing)
            for name in ["../one.safetensors", "/etc/passwd", ".", "..", "", "a\\u0000b"] {
                try write("{\"weight_map\": {\"b\": \"\(name)\"}}".utf8, index)
                #expect(reason { _ = try SafetensorsFolder(path: folder) } == .malformed)
            }
            try write(#"{"weights": {}}"#.utf8, index)
            #expect(reason { _ = try SafetensorsFolder(path: folder) } == .malformed)
        }
    }
}
