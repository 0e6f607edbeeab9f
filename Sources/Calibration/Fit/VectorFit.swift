internal import CPUKernels
package import KVCache
internal import Threading

/// Ranges and normalized elements of one kind of vector, for one share of outliers.
package struct VectorFit {
    package var outliers: Double
    /// Of each channel; empty with a range for each token.
    package var lows: [Float] = []
    package var highs: [Float] = []
    package var histogram = LevelHistogram()
}

/// Finds ranges, and counts what lies in them.
package struct VectorFitter {
    let reader: LayerReader
    let weights: CalibrationWeights
    let outliers: [Double]
    /// Bytes for elements in memory at one time.
    let memory: Int

    package init(
        reader: LayerReader, weights: CalibrationWeights, outliers: [Double], memory: Int
    ) {
        self.reader = reader
        self.weights = weights
        self.outliers = outliers
        self.memory = memory
    }

    package func fit(
        _ variant: CodebookVariant, isCancelled: () -> Bool
    ) throws(CalibrationError) -> [VectorFit] {
        switch variant.vector {
        case .channel: try fitChannels(variant, isCancelled)
        case .token: try fitTokens(variant, isCancelled)
        }
    }

    private func heed(_ isCancelled: () -> Bool) throws(CalibrationError) {
        if isCancelled() {
            throw .cancelled(path: reader.spool.path, samples: reader.spool.samples)
        }
    }

    /// How many parts of `bytes` fit in the memory, of `count`.
    private func partsAtOnce(_ bytes: Int, of count: Int) throws(CalibrationError) -> Int {
        let free = memory - reader.readingBytes
        guard free >= bytes else {
            throw .tooLittleMemory(
                needed: bytes + reader.readingBytes, allowed: memory,
                what: "a part of layer \(reader.layer)'s fit")
        }
        return min(count, free / bytes)
    }

    /// What an element weighs, given its gradient and its vector's range.
    @inline(__always)
    private static func weight(
        _ gradient: UInt16, _ range: Float, _ weights: CalibrationWeights
    ) -> Double {
        let gradient = Double(BrainFloat.value(gradient))
        switch weights {
        case .fisherRange:
            let scaled = gradient * Double(range)
            return scaled * scaled
        case .fisher: return gradient * gradient
        case .uniform: return 1
        }
    }

    // MARK: - A range for each channel

    /// Blocks of channels are added in their order whatever the memory and the threads, so that results do not depend on
    /// either.
    private static let block = 16

    private func fitChannels(
        _ variant: CodebookVariant, _ isCancelled: () -> Bool
    ) throws(CalibrationError) -> [VectorFit] {
        let channels = reader.shape.channels
        var fits = outliers.map {
            VectorFit(
                outliers: $0, lows: [Float](repeating: 0, count: channels),
                highs: [Float](repeating: 0, count: channels))
        }
        let blocks = (channels + Self.block - 1) / Self.block
        let atOnce = try partsAtOnce(Self.block * reader.channelBytes, of: blocks)
        var first = 0
        while first < blocks {
            try heed(isCancelled)
            let some = first..<min(blocks, first + atOnce)
            let range = some.lowerBound * Self.block..<min(channels, some.upperBound * Self.block)
            let part = try reader.columns(variant, channels: range)
            let rows = part.values.count / range.count
            var results = [[VectorFit]](repeating: [], count: some.count)
            results.withUnsafeMutableBufferPointer { results in
                // Each task writes its own.
                nonisolated(unsafe) let results = results
                reader.workers.run(count: some.count) { task, _ in
                    let channels =
                        task * Self.block..<min(range.count, (task + 1) * Self.block)
                    results[task] = fitBlock(part, channels: channels, rows: rows)
                }
            }
            for (index, result) in results.enumerated() {
                let start = range.lowerBound + index * Self.block
                for (fit, blockFit) in result.enumerated() {
                    for (offset, (low, high)) in zip(blockFit.lows, blockFit.highs).enumerated() {
                        fits[fit].lows[start + offset] = low
                        fits[fit].highs[start + offset] = high
                    }
                    fits[fit].histogram.add(blockFit.histogram)
                }
            }
            first = some.upperBound
        }
        return fits
    }

    private func fitBlock(_ part: LayerPart, channels: Range<Int>, rows: Int) -> [VectorFit] {
        var fits = outliers.map { VectorFit(outliers: $0) }
        var statistics = OrderStatistics()
        var floats = [Float](repeating: 0, count: rows)
        for channel in channels {
            part.values.withUnsafeBufferPointer { values in
                let column = UnsafeBufferPointer(
                    rebasing: values[channel * rows..<(channel + 1) * rows])
                statistics.count(column)
                iq_half_to_float(column.baseAddress, &floats, rows)
            }
            for index in fits.indices {
                let share = fits[index].outliers / 2
                let low = statistics.percentile(share)
                let high = statistics.percentile(1 - share)
                fits[index].lows.append(low)
                fits[index].highs.append(high)
                let (zero, range) = ((high + low) / 2, (high - low) / 2)
                guard range > 0 else { continue }
                part.gradients.withUnsafeBufferPointer { gradients in
                    let gradients = gradients.baseAddress! + channel * rows
                    fits[index].histogram.add { adder in
                        for row in 0..<rows {
                            let value = floats[row]
                            guard value >= low, value <= high else { continue }
                            adder.add(
                                (value - zero) / range,
                                weight: Self.weight(gradients[row], range, weights))
                        }
                    }
                }
            }
        }
        return fits
    }

    // MARK: - A range for each token

    private func fitTokens(
        _ variant: CodebookVariant, _ isCancelled: () -> Bool
    ) throws(CalibrationError) -> [VectorFit] {
        var fits = outliers.map { VectorFit(outliers: $0) }
        let atOnce = try partsAtOnce(reader.sampleBytes, of: reader.samples)
        var first = 0
        while first < reader.samples {
            try heed(isCancelled)
            let some = first..<min(reader.samples, first + atOnce)
            let part = try reader.rows(variant, samples: some)
            var results = [[LevelHistogram]](repeating: [], count: some.count)
            results.withUnsafeMutableBufferPointer { results in
                // Each task writes its own.
                nonisolated(unsafe) let results = results
                reader.workers.run(count: some.count) { task, _ in
                    results[task] = outliers.map { histogram(part, sample: task, outliers: $0) }
                }
            }
            for result in results {
                for (index, histogram) in result.enumerated() {
                    fits[index].histogram.add(histogram)
                }
            }
            first = some.upperBound
        }
        return fits
    }

    private func histogram(_ part: LayerPart, sample: Int, outliers: Double) -> LevelHistogram {
        let (channels, tokens) = (reader.shape.channels, reader.tokens)
        // As many as the cache takes, which is less than all.
        let side = CodebookFormat(bits: 2, vector: .token, outliers: outliers)
            .outliersPerSide(channels: channels)
        let kept = min(side, (channels - 1) / 2)
        var floats = [Float](repeating: 0, count: channels)
        var histogram = LevelHistogram()
        part.values.withUnsafeBufferPointer { values in
            part.gradients.withUnsafeBufferPointer { gradients in
                histogram.add { adder in
                    for token in 0..<tokens {
                        let start = (sample * tokens + token) * channels
                        iq_half_to_float(values.baseAddress! + start, &floats, channels)
                        let (low, high) = TokenRange.ends(floats, outliersPerSide: kept)
                        // Rounded as the cache stores them.
                        let zero = Half.rounded((high + low) / 2)
                        let range = Half.rounded((high - low) / 2)
                        guard range > 0 else { continue }
                        for channel in 0..<channels {
                            let value = floats[channel]
                            guard value >= low, value <= high else { continue }
                            adder.add(
                                (value - zero) / range,
                                weight: Self.weight(gradients[start + channel], range, weights))
                        }
                    }
                }
            }
        }
        return histogram
    }
}

/// The range of a token without its outliers.
package enum TokenRange {
    /// The smallest and the largest of what is left when `outliersPerSide` of the smallest and as many of the largest are
    /// taken away. Of equal values at a border, all are left in.
    package static func ends(_ values: [Float], outliersPerSide: Int) -> (low: Float, high: Float) {
        guard outliersPerSide > 0 else {
            var (low, high) = (Float.infinity, -Float.infinity)
            for value in values {
                low = min(low, value)
                high = max(high, value)
            }
            return (low, high)
        }
        // The smallest, rising, and the largest, falling.
        let count = outliersPerSide + 1
        return withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * count) { ends in
            let (smallest, largest) = (ends.baseAddress!, ends.baseAddress! + count)
            smallest.initialize(repeating: .infinity, count: count)
            largest.initialize(repeating: -.infinity, count: count)
            for value in values {
                if value < smallest[count - 1] {
                    var place = count - 1
                    while place > 0, smallest[place - 1] > value {
                        smallest[place] = smallest[place - 1]
                        place -= 1
                    }
                    smallest[place] = value
                }
                if value > largest[count - 1] {
                    var place = count - 1
                    while place > 0, largest[place - 1] < value {
                        largest[place] = largest[place - 1]
                        place -= 1
                    }
                    largest[place] = value
                }
            }
            return (smallest[count - 1], largest[count - 1])
        }
    }
}
