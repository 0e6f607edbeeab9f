import Foundation
import InnerQ
import Testing

/// The figures of the documentation are those of the code.
@Suite struct DocumentationTests {
    let article: String

    init() throws {
        let path = CommandLineRun.tests.deletingLastPathComponent()
            .appendingPathComponent("Sources/InnerQ/Documentation.docc/CacheLayout.md")
        article = try String(contentsOf: path, encoding: .utf8)
    }

    private func spelled(_ value: Int) -> String {
        let digits = Array(String(value))
        return digits.enumerated().reduce(into: "") { text, digit in
            if digit.offset > 0, (digits.count - digit.offset) % 3 == 0 { text += "," }
            text.append(digit.element)
        }
    }

    @Test(arguments: CachePolicy.presets) func tilesTakeTheBytesThatTheArticleSays(
        policy: CachePolicy
    ) {
        let bytes = [64, 128].flatMap { d in
            [
                TileLayout.keys(headSize: d, format: policy.keys).byteCount,
                TileLayout.values(headSize: d, format: policy.values).byteCount,
            ]
        }
        let row = "| `\(policy.name)` | " + bytes.map(spelled).joined(separator: " | ") + " |"
        #expect(article.contains(row), "\(row)")
    }

    @Test func theWorkedExamplesAreExact() {
        func total(layers: Int, kvHeads: Int, headSize: Int, tokens: Int) -> CacheByteCount {
            let layer = LayerShape(queryHeads: kvHeads, kvHeads: kvHeads, headSize: headSize)
            return CachePolicy.innerQBase.byteCount(
                shape: CacheShape(layers: Array(repeating: layer, count: layers)), tokens: tokens)
        }
        let smol = total(layers: 30, kvHeads: 3, headSize: 64, tokens: 8192)
        #expect(smol.total == 44_386_560)
        #expect(smol.body == 30 * 1_354_752)
        #expect(smol.windows == 30 * (24_576 + 73_728))
        #expect(smol.normalizers == 30 * (1_536 + 24_960))
        let qwen = total(layers: 28, kvHeads: 2, headSize: 128, tokens: 32768)
        #expect(qwen.total == 28 * 7_510_528)
        for value in [smol.total, smol.float16, qwen.total, qwen.float16] {
            #expect(article.contains(spelled(value)), "\(spelled(value))")
        }
    }

    @Test func whatRunsOnTheGPUIsWhatTheArticleSays() throws {
        let path = CommandLineRun.tests.deletingLastPathComponent()
            .appendingPathComponent("Sources/InnerQ/Documentation.docc/OnTheGPU.md")
        let article = try String(contentsOf: path, encoding: .utf8)
        let cuda = Capabilities.current.cuda
        let sizes = cuda.headSizes.map(String.init).joined(separator: ", ")
        #expect(article.contains("Head sizes are \(sizes); up to \(cuda.mostRatio) query heads"))
        let lookupSizes = cuda.lookupHeadSizes.map(String.init).joined(separator: ", ")
        #expect(
            article.contains("Codebooks and rotated formats run with head sizes \(lookupSizes)."))
        #expect(Capabilities.current.presets.filter { !$0.cuda }.isEmpty)
    }

    @Test(arguments: [VectorError.Distribution.normal, .outliers], 1...4)
    func distortionsOfRotatedFormatsAreWhatThePageSays(
        distribution: VectorError.Distribution, bits: Int
    ) throws {
        let path = CommandLineRun.tests.deletingLastPathComponent()
            .appendingPathComponent("docs/methods/turboquant.md")
        let page = try String(contentsOf: path, encoding: .utf8)
        let format = TensorFormat.rotated(RotatedFormat(bits: bits))
        let error = try #require(VectorError.measure(format, headSize: 128, distribution))
        let start = "| 128 | \(distribution.rawValue) | \(error.name) | "
        let row = try #require(page.split(separator: "\n").first { $0.hasPrefix(start) })
        let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        let written = try [3, 4, 5, 6].map { try #require(Double(cells[$0])) }
        #expect(abs(written[0] - error.bitsPerElement) < 0.51e-3)
        #expect(abs(written[1] - error.distortion) < 0.51e-4)
        #expect(abs(written[2] - error.productError) < 0.51e-4)
        #expect(abs(written[3] - error.gain) < 0.51e-4)
    }
}
