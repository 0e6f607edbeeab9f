internal import CPUKernels
internal import Foundation
package import KVCache
package import Threading

/// Parts of one layer's keys or values over all samples, in memory: float16 values and bfloat16 gradients in the same
/// order.
struct LayerPart {
    var values: [UInt16]
    var gradients: [UInt16]
}

/// Reads a layer from the samples, by channels or by tokens, and turns keys to their positions if asked to.
package struct LayerReader {
    let spool: SampleSpool
    let layer: Int
    let skippedTokens: Int
    let rotary: RotaryShape
    let workers: WorkerPool

    package init(
        spool: SampleSpool, layer: Int, skippedTokens: Int, rotary: RotaryShape,
        workers: WorkerPool
    ) {
        self.spool = spool
        self.layer = layer
        self.skippedTokens = skippedTokens
        self.rotary = rotary
        self.workers = workers
    }

    var shape: CalibrationShape { spool.header.shapes[layer] }
    /// Tokens of a sample that count.
    var tokens: Int { spool.header.length - skippedTokens }
    var samples: Int { spool.header.samples }

    /// Bytes of one channel over all samples.
    var channelBytes: Int { 4 * samples * tokens }
    /// Bytes of one sample.
    var sampleBytes: Int { 4 * tokens * shape.channels }
    /// Bytes that reading itself takes.
    var readingBytes: Int { 4 * spool.header.length * shape.channels }

    /// `[channel][sample][token]`.
    func columns(
        _ variant: CodebookVariant, channels: Range<Int>
    ) throws(CalibrationError) -> LayerPart {
        let (width, rows) = (shape.channels, samples * tokens)
        // Two arrays, not one that both share until they are written.
        var part = LayerPart(
            values: [UInt16](repeating: 0, count: channels.count * rows),
            gradients: [UInt16](repeating: 0, count: channels.count * rows))
        var raw = LayerPart(values: [], gradients: [])
        for sample in 0..<samples {
            try read(variant, sample: sample, into: &raw)
            for path in [\LayerPart.values, \LayerPart.gradients] {
                raw[keyPath: path].withUnsafeBufferPointer { source in
                    part[keyPath: path].withUnsafeMutableBufferPointer { target in
                        // Each task has channels of its own.
                        nonisolated(unsafe) let (source, target) = (source, target)
                        let blocks = (channels.count + 15) / 16
                        workers.run(count: blocks) { block, _ in
                            let some =
                                block * 16..<min(channels.count, (block + 1) * 16)
                            for token in 0..<tokens {
                                let row = (skippedTokens + token) * width + channels.lowerBound
                                for channel in some {
                                    target[channel * rows + sample * tokens + token] =
                                        source[row + channel]
                                }
                            }
                        }
                    }
                }
            }
        }
        return part
    }

    /// `[sample][token][channel]`.
    func rows(
        _ variant: CodebookVariant, samples: Range<Int>
    ) throws(CalibrationError) -> LayerPart {
        var part = LayerPart(values: [], gradients: [])
        var raw = LayerPart(values: [], gradients: [])
        let kept = skippedTokens * shape.channels..<spool.header.length * shape.channels
        for path in [\LayerPart.values, \LayerPart.gradients] {
            part[keyPath: path].reserveCapacity(samples.count * kept.count)
        }
        for sample in samples {
            try read(variant, sample: sample, into: &raw)
            part.values += raw.values[kept]
            part.gradients += raw.gradients[kept]
        }
        return part
    }

    /// One sample, every token.
    private func read(
        _ variant: CodebookVariant, sample: Int, into raw: inout LayerPart
    ) throws(CalibrationError) {
        try spool.read(
            variant.tensor, layer: layer, sample: sample, values: &raw.values,
            gradients: &raw.gradients)
        guard variant.tensor == .keys, !variant.preRotary else { return }
        turn(&raw)
    }

    /// RoPE of keys, rounded to float16 again as a cache holds them; gradients turn alike.
    private func turn(_ raw: inout LayerPart) {
        let size = shape.headSize
        let (heads, pairs) = (shape.kvHeads, size / 2)
        let isSplit = rotary.pairing == .halfSplit
        raw.values.withUnsafeMutableBufferPointer { values in
            raw.gradients.withUnsafeMutableBufferPointer { gradients in
                // Each task has tokens of its own.
                nonisolated(unsafe) let (values, gradients) = (values, gradients)
                let block = 64
                let count = spool.header.length
                workers.run(count: (count + block - 1) / block) { task, _ in
                    var floats = [Float](repeating: 0, count: heads * size)
                    for token in task * block..<min(count, (task + 1) * block) {
                        let row = token * heads * size
                        iq_half_to_float(values.baseAddress! + row, &floats, heads * size)
                        for pair in 0..<pairs {
                            let angle = Double(token) * rotary.frequencies[pair]
                            let (cosine, sine) = (Float(cos(angle)), Float(sin(angle)))
                            for head in 0..<heads {
                                let x = head * size + (isSplit ? pair : 2 * pair)
                                let y = isSplit ? x + pairs : x + 1
                                let (a, b) = (floats[x], floats[y])
                                floats[x] = a * cosine - b * sine
                                floats[y] = a * sine + b * cosine
                                let c = BrainFloat.value(gradients[row + x])
                                let d = BrainFloat.value(gradients[row + y])
                                gradients[row + x] = BrainFloat.bits(c * cosine - d * sine)
                                gradients[row + y] = BrainFloat.bits(c * sine + d * cosine)
                            }
                        }
                        iq_float_to_half(floats, values.baseAddress! + row, heads * size)
                    }
                }
            }
        }
    }
}
