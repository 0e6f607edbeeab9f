import ModelFiles
import Testing

@Suite struct GGUFReaderTests {
    private func read(_ writer: GGUFWriter) throws -> GGUFReader {
        try GGUFReader(file: MappedFile(writer.bytes()))
    }

    @Test(arguments: [2, 3] as [UInt32]) func readsEveryValueType(version: UInt32) throws {
        var writer = GGUFWriter(version: version)
        writer.pairs = [
            ("u8", .u8(200)), ("i8", .i8(-100)), ("u16", .u16(60000)), ("i16", .i16(-30000)),
            ("u32", .u32(4_000_000_000)), ("i32", .i32(-2_000_000_000)), ("f32", .f32(1.5)),
            ("yes", .bool(true)), ("no", .bool(false)), ("text", .string("größe")),
            ("u64", .u64(.max)), ("i64", .i64(.min)), ("f64", .f64(-2.25)),
            ("bytes", .array(0, [.u8(1), .u8(255)])), ("ints", .array(5, [.i32(-1), .i32(7)])),
            ("longs", .array(10, [.u64(.max)])), ("flags", .array(7, [.bool(true), .bool(false)])),
            ("floats", .array(6, [.f32(0.5), .f32(-1)])), ("doubles", .array(12, [.f64(0.25)])),
            ("texts", .array(8, [.string(""), .string("e\u{301}")])), ("none", .array(8, [])),
            (
                "nested",
                .array(
                    9, [.array(5, [.i32(1), .i32(2)]), .array(8, [.string("x")]), .array(4, [])])
            ),
        ]
        let reader = try read(writer)
        #expect(reader.version == version)
        #expect(reader.keys == writer.pairs.map(\.0))
        #expect(reader["u8"]?.integer == 200)
        #expect(reader["i8"]?.integer == -100)
        #expect(reader["u16"]?.integer == 60000)
        #expect(reader["i16"]?.integer == -30000)
        #expect(reader["u32"]?.integer == 4_000_000_000)
        #expect(reader["i32"]?.integer == -2_000_000_000)
        #expect(reader["f32"]?.number == 1.5)
        #expect(reader["yes"]?.bool == true)
        #expect(reader["no"]?.bool == false)
        #expect(reader["text"]?.string == "größe")
        #expect(reader["u64"]?.integer == nil)
        #expect(reader["u64"]?.number == 0x1p64)
        #expect(reader["i64"]?.integer == .min)
        #expect(reader["f64"]?.number == -2.25)
        #expect(reader["bytes"]?.array?.integers() == [1, 255])
        #expect(reader["ints"]?.array?.integers() == [-1, 7])
        #expect(reader["longs"]?.array?.integers() == [.max])
        #expect(reader["flags"]?.array?.integers() == [1, 0])
        #expect(reader["floats"]?.array?.floats() == [0.5, -1])
        #expect(reader["floats"]?.array?.integers() == nil)
        #expect(reader["ints"]?.array?.floats() == [-1, 7])
        #expect(reader["doubles"]?.array?.floats() == [0.25])
        #expect(reader["texts"]?.array?.strings() == [[], [0x65, 0xCC, 0x81]])
        #expect(reader["none"]?.array?.strings() == [])
        #expect(reader["ints"]?.array?.strings() == nil)
        let nested = try #require(reader["nested"]?.array?.arrays())
        #expect(nested.count == 3)
        #expect(nested[0].integers() == [1, 2])
        #expect(nested[1].strings() == [[0x78]])
        #expect(nested[2].integers() == [])
        #expect(reader["absent"] == nil)
    }

    @Test(arguments: [1, 32, 64, 4096]) func findsTensorsAtEveryAlignment(alignment: Int) throws {
        var writer = GGUFWriter()
        writer.alignment = alignment
        writer.pairs = [("general.alignment", .u32(UInt32(alignment)))]
        writer.add("a", [3], [1, 2, 3])
        writer.add("b", [2, 3], [4, 5, 6, 7, 8, 9])
        let reader = try read(writer)
        #expect(reader.alignment == alignment)
        #expect(reader.tensors.map(\.name) == ["a", "b"])
        #expect(reader.tensor(named: "a")?.floats() == [1, 2, 3])
        let b = try #require(reader.tensor(named: "b"))
        #expect(b.shape == [2, 3])
        #expect(b.rows == 2)
        #expect(b.columns == 3)
        #expect(b.floats() == [4, 5, 6, 7, 8, 9])
        #expect(b.offset % alignment == 0)
        #expect(reader.tensor(named: "c") == nil)
    }

    @Test(arguments: TensorType.allCases) func knowsTheSizeOfEveryType(type: TensorType) throws {
        let shape = [3, 512]
        let bytes = try #require(type.byteCount(shape: shape))
        #expect(bytes == 3 * 512 / type.blockSize * type.blockBytes)
        var writer = GGUFWriter()
        let data = (0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        writer.tensors = [.init(name: "w", type: type.ggmlID, ne: [512, 3], data: data)]
        let view = try #require(try read(writer).tensor(named: "w"))
        #expect(view.type == type)
        #expect(view.shape == shape)
        #expect(view.elementCount == 1536)
        #expect(view.bytes.elementsEqual(data))
        #expect((view.floats() == nil) == (type.blockSize > 1))
    }

    @Test func widensHalvesExactly() throws {
        // zero, −0, least subnormal, greatest subnormal, least normal, one, greatest, infinity
        let halves: [UInt16] = [0, 0x8000, 1, 0x3FF, 0x400, 0x3C00, 0x7BFF, 0x7C00, 0xC500]
        let expected: [Float] = [0, -0.0, 0x1p-24, 0x3FFp-24, 0x1p-14, 1, 65504, .infinity, -5]
        var writer = GGUFWriter()
        writer.tensors = [
            .init(name: "h", type: 1, ne: [9], data: halves.flatMap { littleEndian($0) }),
            .init(
                name: "b", type: 30, ne: [2],
                data: littleEndian(UInt16(0x3F80)) + littleEndian(UInt16(0xC040))),
        ]
        let reader = try read(writer)
        #expect(
            reader.tensor(named: "h")?.floats()?.map(\.bitPattern) == expected.map(\.bitPattern))
        #expect(reader.tensor(named: "b")?.floats() == [1, -3])
    }

    private func failure(_ edit: (inout GGUFWriter) -> Void) -> ModelFileError? {
        var writer = GGUFWriter()
        writer.pairs = [("key", .u32(1))]
        writer.add("w", [2, 32], [Float](repeating: 1, count: 64))
        edit(&writer)
        do {
            _ = try read(writer)
            return nil
        } catch {
            return error as? ModelFileError
        }
    }

    @Test func refusesOtherFilesAndVersions() {
        #expect(failure { $0.version = 1 }?.reason == .notThisFormat)
        #expect(failure { $0.version = 4 }?.reason == .notThisFormat)
        let bigEndian = failure { $0.version = UInt32(3).byteSwapped }
        #expect(bigEndian?.detail.contains("big-endian") == true)
        #expect(
            reason { _ = try GGUFReader(file: MappedFile(Array("PK\u{3}\u{4}zip".utf8))) }
                == .notThisFormat)
        #expect(reason { _ = try GGUFReader(file: MappedFile(Array("GG".utf8))) } == .truncated)
    }

    @Test func refusesDuplicates() {
        #expect(failure { $0.pairs.append(("key", .u32(2))) }?.reason == .malformed)
        #expect(
            failure { $0.add("w", [4], [1, 2, 3, 4]) }?.detail.contains("twice") == true)
    }

    @Test func refusesUnknownTypesByName() {
        let error = failure { $0.tensors[0].type = 11 }
        #expect(error?.reason == .unsupported)
        #expect(error?.detail.contains("Q3_K") == true)
        #expect(error?.detail.contains("q4_K") == true)
        #expect(error?.offset != nil)
        #expect(failure { $0.pairs.append(("a", .array(13, []))) }?.reason == .malformed)
    }

    @Test func refusesImpossibleTensors() {
        #expect(failure { $0.tensors[0].ne = [] }?.reason == .malformed)
        #expect(failure { $0.tensors[0].ne = [1, 1, 1, 1, 64] }?.reason == .malformed)
        #expect(failure { $0.tensors[0].ne = [0, 2] }?.reason == .malformed)
        #expect(failure { $0.tensors[0].ne = [1 << 63, 2] }?.reason == .malformed)
        #expect(failure { $0.tensors[0].ne = [1 << 32, 1 << 32] }?.reason == .malformed)
        #expect(failure { $0.tensors[0].ne = [32, 1 << 30] }?.reason == .truncated)
        #expect(failure { $0.tensors[0].ne = [32, 3] }?.reason == .truncated)
        #expect(failure { $0.tensors[0].offset = 32 }?.reason == .truncated)
        #expect(failure { $0.tensors[0].offset = 3 }?.reason == .malformed)
        #expect(failure { $0.tensors[0].offset = 1 << 63 }?.reason == .malformed)
        // A row that is not a whole number of blocks.
        #expect(
            failure {
                $0.tensors[0].type = 8
                $0.tensors[0].ne = [48, 1]
            }?.reason == .malformed)
        let overlap = failure {
            $0.add("v", [64], [Float](repeating: 1, count: 64))
            $0.tensors[1].offset = 32
        }
        #expect(overlap?.detail.contains("overlap") == true)
    }

    @Test(arguments: [0, 3, 48, 1 << 21] as [UInt32])
    func refusesImpossibleAlignments(alignment: UInt32) {
        let error = failure { $0.pairs.append(("general.alignment", .u32(alignment))) }
        #expect(error?.reason == .malformed)
    }

    @Test func refusesDeepNesting() {
        var nested: [UInt8] = []
        for _ in 0..<10_000 { nested += littleEndian(UInt32(9)) + littleEndian(UInt64(1)) }
        var bytes = Array("GGUF".utf8) + littleEndian(UInt32(3))
        bytes += littleEndian(UInt64(0)) + littleEndian(UInt64(1))
        bytes += GGUFWriter.string("deep") + littleEndian(UInt32(9)) + nested
        #expect(reason { _ = try GGUFReader(file: MappedFile(bytes)) } == .malformed)
    }
}
