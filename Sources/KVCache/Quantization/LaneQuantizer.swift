import CPUKernels

/// Quantizes the groups of one block of rows side by side: groups lie along the rows, so that each lane is one.
///
/// What ``GroupQuantizer``, its oracle, does with one group, number for number; all lanes of a row at once.
struct LaneQuantizer {
    let format: GroupedFormat
    let lanes: Int
    /// Of each lane, after ``fit(_:rows:)``: what its codes stand for. Asymmetric lanes have 0 as their lowest level.
    let scales: UnsafeMutablePointer<Float>
    let zeros: UnsafeMutablePointer<Float>
    private let lowest: UnsafeMutablePointer<Float>
    private let highest: UnsafeMutablePointer<Float>
    /// Numbers of the last row that was rounded.
    let codes: UnsafeMutablePointer<UInt8>
    let errors: UnsafeMutablePointer<Float>
    /// Float16s; for hybrid groups, the other mode's levels and both modes' errors; or one group's values.
    private let halves: UnsafeMutablePointer<UInt16>
    private let other: UnsafeMutablePointer<Float>

    /// Calls `body` with a quantizer whose room lives as long as the call.
    static func with(_ format: GroupedFormat, lanes: Int, _ body: (LaneQuantizer) -> Void) {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 13 * lanes) { room in
            let room = room.baseAddress!
            room.initialize(repeating: 0, count: 13 * lanes)
            let small = UnsafeMutableRawPointer(room + 11 * lanes)
            body(
                LaneQuantizer(
                    format: format, lanes: lanes, scales: room, zeros: room + lanes,
                    lowest: room + 2 * lanes, highest: room + 3 * lanes,
                    codes: small.assumingMemoryBound(to: UInt8.self),
                    errors: room + 4 * lanes,
                    halves: (small + 4 * lanes).assumingMemoryBound(to: UInt16.self),
                    other: room + 5 * lanes))
        }
    }

    // MARK: - Rows

    private var levels: iq_lane_levels {
        iq_lane_levels(scales: scales, zeros: zeros, lowest: lowest, highest: highest)
    }

    /// Puts the codes of a row to ``codes``.
    func round(_ row: UnsafePointer<Float>) {
        withUnsafePointer(to: levels) { iq_lane_codes($0, row, lanes, codes) }
    }

    /// Puts what ``codes`` leave of a row to ``errors``.
    func subtractCodes(from row: UnsafePointer<Float>) {
        withUnsafePointer(to: levels) { iq_lane_errors($0, row, codes, lanes, errors) }
    }

    func scale(lane: Int) -> GroupScale {
        let isAsymmetric = lowest[lane] == 0
        return GroupScale(
            magnitude: abs(scales[lane]), isNegative: !isAsymmetric && scales[lane] < 0,
            isAsymmetric: isAsymmetric, zero: zeros[lane])
    }

    // MARK: - Scales

    /// Finds the scales of `rows` rows of values, `[row][lane]`.
    func fit(_ values: UnsafePointer<Float>, rows: Int) {
        guard format.scaleFit == .extreme else { return fitOneByOne(values, rows) }
        switch format.mode {
        case .symmetric: fitSymmetric(values, rows)
        case .asymmetric: fitAsymmetric(values, rows, bits: format.bits)
        case .hybrid: fitHybrid(values, rows)
        }
    }

    private func set(_ lane: Int, scale: Float, zero: Float, levels: ClosedRange<Int>) {
        scales[lane] = scale
        zeros[lane] = zero
        lowest[lane] = Float(levels.lowerBound)
        highest[lane] = Float(levels.upperBound)
    }

    private func levels(isAsymmetric: Bool) -> ClosedRange<Int> {
        guard isAsymmetric else { return -format.bias...(1 << (format.bits - 1)) - 1 }
        let isShort = format.mode == .hybrid && format.levels == .official
        return 0...(1 << (isShort ? format.bits - 1 : format.bits)) - 1
    }

    /// As the cache stores them.
    private func roundToHalf(_ numbers: UnsafeMutablePointer<Float>) {
        for lane in 0..<lanes { numbers[lane] = min(max(numbers[lane], -65504), 65504) }
        iq_float_to_half(numbers, halves, lanes)
        iq_half_to_float(halves, numbers, lanes)
    }

    private func fitSymmetric(_ values: UnsafePointer<Float>, _ rows: Int) {
        let half = 1 << (format.bits - 1)
        let levels = levels(isAsymmetric: false)
        iq_lane_extremes(values, rows, lanes, scales)
        for lane in 0..<lanes {
            let extreme = scales[lane]
            let scale =
                switch format.levels {
                case .official: abs(extreme) / Float(half - 1)
                case .kernel: abs(extreme) / Float(half)
                case .fullRange: extreme / Float(-half)
                }
            set(lane, scale: scale, zero: 0, levels: levels)
        }
        roundToHalf(scales)
    }

    private func fitAsymmetric(_ values: UnsafePointer<Float>, _ rows: Int, bits: Int) {
        let levels = levels(isAsymmetric: true)
        iq_lane_ranges(values, rows, lanes, zeros, scales)
        for lane in 0..<lanes {
            let (low, high) = (zeros[lane], scales[lane])
            set(lane, scale: (high - low) / Float(levels.upperBound), zero: low, levels: levels)
        }
        roundToHalf(scales)
        roundToHalf(zeros)
    }

    private func fitHybrid(_ values: UnsafePointer<Float>, _ rows: Int) {
        let asymmetric = other
        let asymmetricErrors = other + 4 * lanes
        let symmetricErrors = other + 5 * lanes
        fitAsymmetric(values, rows, bits: format.bits)
        sumErrors(values, rows, to: asymmetricErrors)
        asymmetric.update(from: scales, count: 4 * lanes)
        fitSymmetric(values, rows)
        sumErrors(values, rows, to: symmetricErrors)
        let isOfficial = format.levels == .official
        for lane in 0..<lanes {
            let (symmetric, other) = (symmetricErrors[lane], asymmetricErrors[lane])
            if isOfficial ? other > symmetric : symmetric <= other { continue }
            for array in 0..<4 {
                scales[array * lanes + lane] = asymmetric[array * lanes + lane]
            }
        }
    }

    private func sumErrors(
        _ values: UnsafePointer<Float>, _ rows: Int, to sums: UnsafeMutablePointer<Float>
    ) {
        sums.update(repeating: 0, count: lanes)
        for row in 0..<rows {
            round(values + row * lanes)
            subtractCodes(from: values + row * lanes)
            for lane in 0..<lanes { sums[lane] += abs(errors[lane]) }
        }
    }

    /// Scales that are searched for.
    private func fitOneByOne(_ values: UnsafePointer<Float>, _ rows: Int) {
        let quantizer = GroupQuantizer(format)
        for lane in 0..<lanes {
            for row in 0..<rows { other[row] = values[row * lanes + lane] }
            let scale = quantizer.encode(other, count: rows, codes: codes)
            set(
                lane, scale: scale.isNegative ? -scale.magnitude : scale.magnitude,
                zero: scale.zero, levels: levels(isAsymmetric: scale.isAsymmetric))
        }
    }
}
