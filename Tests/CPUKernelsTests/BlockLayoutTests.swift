import CPUKernels
import Foundation
import Testing
import Transformer

/// Block layouts against the reference decoders of the Python package gguf (Scripts/fixtures/weights.py).
@Suite struct BlockLayoutTests {
    struct Fixture: Decodable {
        struct Entry: Decodable {
            let type: UInt32
            let name: String
            let blockElements: Int
            let blockBytes: Int
            let blocks: Data
            let values: Data

            var expected: [Float] {
                stride(from: 0, to: values.count, by: 4).map { at in
                    Float(
                        bitPattern: (0..<4).reduce(0) {
                            $0 | UInt32(values[values.startIndex + at + $1]) << (8 * $1)
                        })
                }
            }
        }
        let entries: [Entry]
    }

    let entries: [Fixture.Entry]

    init() throws {
        let url = try #require(
            Bundle.module.url(
                forResource: "weights", withExtension: "json", subdirectory: "Fixtures"))
        entries = try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: url)).entries
    }

    @Test func everyTypeHasAFixtureAndTheSizesAgree() throws {
        #expect(Set(entries.map(\.type)) == Set(WeightType.allCases.map(\.rawValue)))
        for entry in entries {
            let type = try #require(WeightType(rawValue: entry.type))
            #expect(type.description == entry.name)
            #expect(type.blockElements == entry.blockElements)
            #expect(type.blockBytes == entry.blockBytes)
            for variant in variants {
                let format = try #require(iq_weight_format(weightKernels(variant), entry.type))
                #expect(Int(format.pointee.block_elements) == entry.blockElements)
                #expect(Int(format.pointee.block_bytes) == entry.blockBytes)
                #expect(String(cString: format.pointee.name) == entry.name)
            }
        }
        #expect(iq_weight_format(weightKernels("portable"), 4) == nil)
    }

    @Test(arguments: variants) func decodingEqualsTheReferenceBitForBit(variant: String) throws {
        for entry in entries {
            let format = try #require(iq_weight_format(weightKernels(variant), entry.type))
            let expected = entry.expected
            let blocks = GuardedBytes(Array(entry.blocks))
            let values = AlignedFloats(count: expected.count)
            format.pointee.dequantize(blocks.bytes.baseAddress, values.pointer, expected.count)
            #expect(values.array.map(\.bitPattern) == expected.map(\.bitPattern), "\(entry.name)")
        }
    }

    @Test func theOracleEqualsTheReferenceUpToFloat32Rounding() throws {
        for entry in entries {
            let type = try #require(WeightType(rawValue: entry.type))
            let expected = entry.expected
            let oracle = entry.blocks.withUnsafeBytes {
                WeightOracle.row(type, bytes: $0, columns: expected.count)
            }
            // The reference rounds scale · code and the sum with the minimum to float32.
            let largest = oracle.map(\.magnitude).max() ?? 0
            for (a, b) in zip(oracle, expected) {
                #expect(abs(a - Double(b)) <= 0x1p-22 * largest, "\(entry.name)")
            }
        }
    }

    @Test func everyHalfDecodesExactly() throws {
        let bytes = (0..<1 << 16).flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
        let blocks = GuardedBytes(bytes)
        for variant in variants {
            let format = try #require(
                iq_weight_format(weightKernels(variant), WeightType.f16.rawValue))
            let values = AlignedFloats(count: 1 << 16)
            format.pointee.dequantize(blocks.bytes.baseAddress, values.pointer, values.count)
            var different = 0
            for i in 0..<values.count {
                let expected = WeightOracle.weight(
                    .f16, row: UnsafeRawBufferPointer(blocks.bytes), index: i)
                let same =
                    Double(values[i]) == expected || (values[i].isNaN && expected.isNaN)
                if !same || (values[i].sign != expected.sign && !expected.isNaN) { different += 1 }
            }
            #expect(different == 0, "\(variant)")
        }
    }
}
