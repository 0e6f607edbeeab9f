import Foundation
import KVCache
import ModelFiles
import Threading

/// Compares quantizers and attention with vector files: safetensors made by the official InnerQ Python quantizers,
/// and attention in float64. Tests/KVCacheTests/Fixtures/vectors holds small ones and says how they are laid out.
public enum VectorVerification {
    /// What keeps a folder of vectors from being used.
    public enum Failure: Error, CustomStringConvertible {
        case noVectors(String)
        case malformed(file: String, String)

        public var description: String {
            switch self {
            case .noVectors(let folder):
                "there are no quantizers-*.safetensors or attention-*.safetensors in \(folder)."
            case .malformed(let file, let what): "\(file): \(what)"
            }
        }
    }

    /// Checks every vector file of a folder.
    public static func run(folder: String) throws -> [VerificationCheck] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            .filter { $0.hasSuffix(".safetensors") }
        var checks: [VerificationCheck] = []
        for name in names {
            let reader = try SafetensorsReader(path: folder + "/" + name)
            if name.hasPrefix("quantizers-") {
                checks += try quantizers(VectorFile(reader: reader, name: name))
            } else if name.hasPrefix("attention-") {
                checks += try attention(VectorFile(reader: reader, name: name))
            }
        }
        guard !checks.isEmpty else { throw Failure.noVectors(folder) }
        return checks
    }

    // MARK: - Quantizers

    private static func quantizers(_ file: VectorFile) throws -> [VerificationCheck] {
        let input = try file.floats("input")
        let shape = try file.shape("input", rank: 3)
        var checks: [VerificationCheck] = []
        for axis in GroupAxis.allCases {
            for mode in QuantizationMode.allCases {
                for bits in [2, 3, 4] {
                    let key =
                        "\(axis.rawValue).\(["symmetric": "sym", "asymmetric": "asym", "hybrid": "hybrid"][mode.rawValue]!)\(bits)"
                    guard file.has(key + ".dequantized") else { continue }
                    let format = GroupedFormat(
                        bits: bits, axis: axis, mode: mode, levels: .official)
                    checks.append(
                        try exact(file, key, format, input, shape[0], shape[1], shape[2]))
                    checks.append(packed(file, key, format, input, shape[0], shape[1], shape[2]))
                }
            }
        }
        return checks
    }

    /// Codes, scales, choices and values of the quantizer without rounded scales: equal to the last bit.
    private static func exact(
        _ file: VectorFile, _ key: String, _ format: GroupedFormat, _ input: [Float], _ heads: Int,
        _ tokens: Int, _ d: Int
    ) throws -> VerificationCheck {
        var check = VerificationCheck(name: "\(file.name) \(key)", tolerance: 0)
        let expected = try file.floats(key + ".dequantized")
        let codes = file.has(key + ".codes") ? try file.integers(key + ".codes") : nil
        let scales = file.has(key + ".scale") ? try file.floats(key + ".scale") : nil
        let zeros = file.has(key + ".zero") ? try file.floats(key + ".zero") : nil
        let picks =
            file.has(key + ".picks_symmetric") ? try file.integers(key + ".picks_symmetric") : nil
        let quantizer = GroupQuantizer(format, precision: .float32)
        var group = [Float](repeating: 0, count: 32)
        var own = [UInt8](repeating: 0, count: 32)
        var undefined = 0
        for (groupIndex, places) in GroupPlaces(format.axis, heads, tokens, d).enumerated() {
            for i in 0..<32 { group[i] = input[places[i]] }
            let scale = quantizer.encode(group, count: 32, codes: &own)
            check.cases += 1
            if let scales, !scales[groupIndex].isNaN {
                check.record(abs(Double(scale.magnitude) - Double(scales[groupIndex])))
            }
            if let zeros { check.record(abs(Double(scale.zero) - Double(zeros[groupIndex]))) }
            if let picks { check.record(scale.isAsymmetric == (picks[groupIndex] == 0) ? 0 : 1) }
            for i in 0..<32 {
                let value = scale.value(of: own[i], bias: format.bias)
                let wanted = expected[places[i]]
                if wanted.isNaN {
                    // The official code divides 0 by 0 in a group of zeros; here the group stays zeros.
                    undefined += 1
                    check.record(Double(abs(value)))
                    continue
                }
                check.record(abs(Double(value) - Double(wanted)))
                if let codes, scale.magnitude != 0 {
                    let code =
                        scale.isAsymmetric ? Int(own[i]) : abs(Int(own[i]) - format.bias)
                    check.record(abs(Double(code - codes[places[i]])))
                }
            }
        }
        if undefined > 0 { check.note = "\(undefined) values are NaN in the file, 0 here" }
        return check
    }

    /// The packed tile against the input: half a step of its own float16 scale, and read back by every kernel variant
    /// just as the oracle reads it.
    private static func packed(
        _ file: VectorFile, _ key: String, _ format: GroupedFormat, _ input: [Float], _ heads: Int,
        _ tokens: Int, _ d: Int
    ) -> VerificationCheck {
        var check = VerificationCheck(name: "\(file.name) \(key) packed", tolerance: 0.502)
        check.note = "error in steps of the group's scale"
        for isKeys in [true, false] {
            let layout: TileLayout =
                isKeys
                ? .keys(headSize: d, format: .grouped(format))
                : .values(headSize: d, format: .grouped(format))
            var tile = [Float](repeating: 0, count: 32 * d)
            var decoded = tile
            var oracle = tile
            var scratch = [Float](repeating: 0, count: 32 * 256 + 1024)
            let bytes = UnsafeMutableRawPointer.allocate(
                byteCount: layout.byteCount, alignment: 64)
            defer { bytes.deallocate() }
            for head in 0..<heads {
                for first in stride(from: 0, to: tokens - 31, by: 32) {
                    for token in 0..<32 {
                        for c in 0..<d {
                            let place = isKeys ? c * 32 + token : token * d + c
                            tile[place] = input[(head * tokens + first + token) * d + c]
                        }
                    }
                    layout.encode(tile, into: bytes)
                    layout.decode(bytes, into: &oracle)
                    check.cases += 1
                    for row in 0..<layout.rows {
                        for lane in 0..<layout.lanes {
                            let i = row * layout.lanes + lane
                            let scale = layout.scale(
                                bytes, group: layout.group(row: row, lane: lane))
                            // float16 holds neither a zero point nor a scale exactly.
                            let rounding = abs(tile[i]) / 1024 + abs(scale.zero) / 1024 + 1e-7
                            let excess = max(0, abs(oracle[i] - tile[i]) - rounding)
                            check.record(
                                scale.magnitude == 0 ? 0 : Double(excess / scale.magnitude))
                        }
                    }
                    for kernels in AttentionKernels.all {
                        TileProducts(
                            layout, kernels: kernels.table, arithmetic: .float
                        ).decode(
                            bytes, into: &decoded, scratch: &scratch)
                        for i in 0..<tile.count {
                            let scale = max(abs(oracle[i]), 1e-6)
                            check.record(abs(Double(decoded[i] - oracle[i]) / Double(scale)))
                        }
                    }
                }
            }
        }
        return check
    }

    // MARK: - Attention

    private static func attention(_ file: VectorFile) throws -> [VerificationCheck] {
        let qShape = try file.shape("q", rank: 2)
        let kShape = try file.shape("k", rank: 3)
        let (queryHeads, d) = (qShape[0], qShape[1])
        let (kvHeads, tokens) = (kShape[0], kShape[1])
        guard kShape[2] == d, kvHeads > 0, queryHeads % kvHeads == 0, tokens > 0 else {
            throw Failure.malformed(file: file.name, "q and k do not fit together")
        }
        let q = try file.floats("q")
        let k = try file.floats("k")
        let v = try file.floats("v")
        let expected = try file.floats("out").map(Double.init)
        var queries = [Float](repeating: 0, count: tokens * queryHeads * d)
        queries.replaceSubrange((tokens - 1) * queryHeads * d..<queries.count, with: q)
        var keys = [Float](repeating: 0, count: k.count)
        var values = keys
        for head in 0..<kvHeads {
            for token in 0..<tokens {
                for c in 0..<d {
                    keys[(token * kvHeads + head) * d + c] = k[(head * tokens + token) * d + c]
                    values[(token * kvHeads + head) * d + c] = v[(head * tokens + token) * d + c]
                }
            }
        }
        let shape = LayerShape(queryHeads: queryHeads, kvHeads: kvHeads, headSize: d)
        return AttentionKernels.all.map { kernels in
            var check = VerificationCheck(
                name: "\(file.name) \(kernels.name) float16", tolerance: 1e-3)
            for chunk in [1, tokens] {
                let cache = LayerCache(shape: shape, policy: CachePolicy.float16.layer(0, of: 1))
                let out = CacheRun.outputs(
                    cache, LayerAttention(workers: WorkerPool(threads: 1), kernels: kernels),
                    queries, keys, values, count: tokens, chunk: chunk, meaning: .decode)
                check.record(out.suffix(queryHeads * d), expected: expected)
            }
            return check
        }
    }
}

/// Element indices of each group of a `[heads][tokens][d]` array, in the order of stored scales.
struct GroupPlaces: Sequence {
    private let axis: GroupAxis
    private let heads: Int
    private let tokens: Int
    private let d: Int

    init(_ axis: GroupAxis, _ heads: Int, _ tokens: Int, _ d: Int) {
        self.axis = axis
        self.heads = heads
        self.tokens = tokens
        self.d = d
    }

    func makeIterator() -> AnyIterator<[Int]> {
        let count = axis == .channel ? heads * tokens * (d / 32) : heads * (tokens / 32) * d
        var group = 0
        return AnyIterator {
            guard group < count else { return nil }
            defer { group += 1 }
            switch axis {
            case .channel: return (0..<32).map { group * 32 + $0 }
            case .token:
                let perHead = (tokens / 32) * d
                let first = (group / perHead) * tokens + (group % perHead) / d * 32
                return (0..<32).map { (first + $0) * d + group % d }
            }
        }
    }
}
