import Calibration
import Foundation
import KVCache
import Testing
import Threading
import Transformer

/// Percentiles, ranges, and what counts, on samples that are made up.
@Suite struct RangeTests {
    private static let shape = CalibrationShape(kvHeads: 2, headSize: 16)
    private static let length = 2004
    private static let samples = 4
    /// Sinks: tokens far out at the start of each sample.
    private static let skipped = 3
    private let workers = WorkerPool(threads: 2)
    private let keys = CodebookVariant(tensor: .keys, vector: .channel, preRotary: true)
    private let values = CodebookVariant(tensor: .values, vector: .token, preRotary: false)

    /// Numbers of two layers over four samples. Channel c has the mean c and the deviation 1 + c; gradients are 1 but for
    /// those of layer 1, which are zero.
    private static func contents() -> [[[Float]]] {
        var generator = SeededGenerator(seed: 4)
        return (0..<samples).map { _ in
            (0..<2).map { _ in
                (0..<length * shape.channels).map { index in
                    let (token, channel) = (index / shape.channels, index % shape.channels)
                    if token < skipped { return 1000 }
                    let value = generator.normal() * Double(1 + channel) + Double(channel)
                    return Float(Float16(value))
                }
            }
        }
    }

    private func spool(
        _ contents: [[[Float]]], at path: String, gradient: (Int) -> Float = { 1 - Float($0) }
    ) throws -> SampleSpool {
        let spool = try SampleSpool(
            path,
            header: SampleSpool.Header(
                fingerprint: Data([1]), tokenDigest: "digest", samples: Self.samples,
                length: Self.length, shapes: [Self.shape, Self.shape]), restart: false)
        while spool.samples < contents.count {
            let sample = contents[spool.samples]
            try spool.append { receive, _ in
                for layer in [1, 0] {
                    let gradients = [Float](
                        repeating: gradient(layer), count: sample[layer].count)
                    sample[layer].withUnsafeBufferPointer { numbers in
                        gradients.withUnsafeBufferPointer { gradients in
                            receive(
                                KeyValueGradients(
                                    layer: layer, tokens: Self.length,
                                    rowSize: Self.shape.channels, keys: numbers,
                                    keyGradients: gradients, values: numbers,
                                    valueGradients: gradients))
                        }
                    }
                }
                return 1
            }
        }
        return spool
    }

    private func fitter(
        _ spool: SampleSpool, layer: Int = 0, weights: CalibrationWeights = .fisherRange,
        outliers: [Double], memory: Int = 1 << 30
    ) -> VectorFitter {
        VectorFitter(
            reader: LayerReader(
                spool: spool, layer: layer, skippedTokens: Self.skipped,
                rotary: RotaryShape(
                    pairing: .halfSplit, frequencies: (0..<8).map { pow(100, -Double($0) / 8) }),
                workers: workers), weights: weights, outliers: outliers, memory: memory)
    }

    /// Numbers of one channel that count.
    private func column(_ contents: [[[Float]]], layer: Int, _ channel: Int) -> [Float] {
        contents.flatMap { sample in
            (Self.skipped..<Self.length).map { sample[layer][$0 * Self.shape.channels + channel] }
        }
    }

    @Test func percentilesAreThoseOfNumpy() {
        var generator = SeededGenerator(seed: 5)
        for count in [1, 2, 3, 10, 1001] {
            let numbers = (0..<count).map { _ in
                Float16(generator.normal() * 100)
            }
            var statistics = OrderStatistics()
            numbers.map(\.bitPattern).withUnsafeBufferPointer { statistics.count($0) }
            let sorted = numbers.map { Double($0) }.sorted()
            for share in [0, 0.005, 0.25, 0.5, 0.995, 1] {
                let rank = share * Double(count - 1)
                let below = Int(rank)
                let above = min(below + 1, count - 1)
                let expected =
                    sorted[below] + (rank - Double(below)) * (sorted[above] - sorted[below])
                #expect(abs(Double(statistics.percentile(share)) - expected) < 1e-4)
            }
        }
    }

    @Test func aHundredthOfEachChannelLiesOutside() throws {
        let path = temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let contents = Self.contents()
        let spool = try spool(contents, at: path)
        let fits = try fitter(spool, outliers: [0, 0.01]).fit(keys, isCancelled: { false })
        for channel in 0..<Self.shape.channels {
            let column = column(contents, layer: 0, channel)
            // The first tokens of each sample, at 1000, count for nothing.
            #expect(fits[0].lows[channel] == column.min())
            #expect(fits[0].highs[channel] == column.max())
            let (low, high) = (fits[1].lows[channel], fits[1].highs[channel])
            let below = Double(column.count { $0 < low }) / Double(column.count)
            let above = Double(column.count { $0 > high }) / Double(column.count)
            #expect(abs(below - 0.005) < 0.00051 && abs(above - 0.005) < 0.00051)
            #expect(abs(below + above - 0.01) <= 0.0005)
        }
        let all = Double(Self.shape.channels * Self.samples * (Self.length - Self.skipped))
        #expect(fits[0].histogram.count == all)
        #expect(abs(fits[1].histogram.count / all - 0.99) < 0.0005)
    }

    @Test func tokensLoseAsManyOutliersAsTheCacheTakes() throws {
        let path = temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let contents = Self.contents()
        let spool = try spool(contents, at: path)
        let outliers = [0, 0.01, 0.1]
        let fits = try fitter(spool, outliers: outliers).fit(values, isCancelled: { false })
        let tokens = Double(Self.samples * (Self.length - Self.skipped))
        for (fit, share) in zip(fits, outliers) {
            #expect(fit.lows.isEmpty && fit.highs.isEmpty)
            let side = CodebookFormat(bits: 4, vector: .token, outliers: share)
                .outliersPerSide(channels: Self.shape.channels)
            let expected = tokens * Double(Self.shape.channels - 2 * side)
            // Ties at a border are left in.
            #expect(fit.histogram.count >= expected)
            #expect(fit.histogram.count < expected * 1.001)
        }
        #expect(TokenRange.ends([3, 1, 2, 5, 4], outliersPerSide: 0) == (1, 5))
        #expect(TokenRange.ends([3, 1, 2, 5, 4], outliersPerSide: 1) == (2, 4))
        #expect(TokenRange.ends([3, 1, 2, 5, 4], outliersPerSide: 2) == (3, 3))
        #expect(TokenRange.ends([7, 7, 7, 1], outliersPerSide: 1) == (7, 7))
    }

    @Test func weightsAreWhatTheyAreSaidToBe() throws {
        let path = temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let spool = try spool(Self.contents(), at: path, gradient: { 2 - Float($0) * 2 })
        func fit(_ weights: CalibrationWeights, layer: Int = 0) throws -> VectorFit {
            try fitter(spool, layer: layer, weights: weights, outliers: [0])
                .fit(keys, isCancelled: { false })[0]
        }
        let uniform = try fit(.uniform)
        let count = uniform.histogram.count
        #expect(uniform.histogram.weight == count)
        #expect(try fit(.fisher).histogram.weight == 4 * count)
        let ranged = try fit(.fisherRange)
        let perChannel = count / Double(Self.shape.channels)
        let expected = zip(ranged.lows, ranged.highs).reduce(0.0) {
            $0 + 4 * perChannel * pow((Double($1.1) - Double($1.0)) / 2, 2)
        }
        #expect(abs(ranged.histogram.weight - expected) < 1e-5 * expected)
        // No gradient at all: every element counts the same.
        let weightless = try fit(.fisherRange, layer: 1)
        #expect(weightless.histogram.weight == 0)
        #expect(weightless.histogram.points.weights.reduce(0, +) == count)
    }

    @Test func resultsDoNotDependOnMemory() throws {
        let path = temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let spool = try spool(Self.contents(), at: path, gradient: { Float($0) + 0.5 })
        for variant in [keys, values] {
            let whole = try fitter(spool, outliers: [0.01]).fit(variant, isCancelled: { false })[0]
            // One block of 16 channels, or one sample, at a time.
            let tight = try fitter(spool, outliers: [0.01], memory: 800_000)
                .fit(variant, isCancelled: { false })[0]
            #expect(whole.lows == tight.lows && whole.highs == tight.highs)
            #expect(whole.histogram.points.values == tight.histogram.points.values)
            #expect(whole.histogram.points.weights == tight.histogram.points.weights)
            #expect(throws: CalibrationError.self) {
                _ = try fitter(spool, outliers: [0.01], memory: 400_000)
                    .fit(variant, isCancelled: { false })
            }
        }
    }

    /// After RoPE keys and gradients turn together: their product stays.
    @Test func turningKeepsLengths() throws {
        let path = temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let spool = try spool(Self.contents(), at: path)
        let before = try fitter(spool, weights: .fisher, outliers: [0])
            .fit(keys, isCancelled: { false })[0]
        let after = try fitter(spool, weights: .fisher, outliers: [0]).fit(
            CodebookVariant(tensor: .keys, vector: .channel, preRotary: false),
            isCancelled: { false })[0]
        #expect(before.lows != after.lows)
        #expect(abs(before.histogram.weight / after.histogram.weight - 1) < 1e-2)
    }

    @Test func aDamagedSampleIsMeasuredAgain() throws {
        let path = temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let contents = Self.contents()
        do { _ = try spool(contents, at: path) }
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let sample = (Self.length * Self.shape.channels * 8 * 2) + 40
        let start = whole.count - Self.samples * sample
        for (place, kept) in [
            (start + 10, 0), (start + sample + 5, 1), (start + 2 * sample - 1, 1),
            (start + 3 * sample + 40, 3),
        ] {
            var damaged = whole
            damaged[place] ^= 4
            try damaged.write(to: URL(fileURLWithPath: path))
            do { #expect(try spool([], at: path).samples == kept) }
            do { #expect(try spool(contents, at: path).samples == Self.samples) }
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == whole)
            try whole.prefix(place).write(to: URL(fileURLWithPath: path))
            do { #expect(try spool([], at: path).samples == kept) }
        }
        // Numbers that are not.
        try FileManager.default.removeItem(atPath: path)
        #expect(throws: CalibrationError.notFinite(sample: 0)) {
            _ = try spool(contents, at: path, gradient: { _ in .nan })
        }
    }

    @Test func brainFloatsRoundToTheNearest() {
        for (value, expected) in [
            (1, 1), (1.00390625, 1), (1.01171875, 1.015625), (-2.5, -2.5), (0, 0),
            (0x1p-100, 0x1p-100), (.infinity, .infinity),
        ] as [(Float, Float)] {
            let rounded = BrainFloat.value(BrainFloat.bits(value))
            #expect(rounded == expected || abs(rounded / expected - 1) < 1e-3)
        }
        #expect(BrainFloat.value(BrainFloat.bits(.nan)).isNaN)
    }
}
