/// How a scale is rounded before codes are computed from it.
package enum ScalePrecision: Sendable {
    /// As the cache stores it; encoder and decoder agree exactly.
    case float16
    /// Unrounded, as the official Python quantizers ran for the golden vectors.
    case float32

    func round(_ value: Float) -> Float {
        switch self {
        case .float32: value
        case .float16: Float(Float16(min(max(value, -65504), 65504)))
        }
    }
}

/// The scale of one encoded group, and what its codes stand for.
package struct GroupScale: Sendable, Equatable {
    /// At least 0.
    package var magnitude: Float
    /// Symmetric groups only: codes count multiples of −magnitude.
    package var isNegative: Bool
    package var isAsymmetric: Bool
    /// The group's minimum in asymmetric groups, else 0.
    package var zero: Float

    /// The value that the unsigned code `code` stands for.
    package func value(of code: UInt8, bias: Int) -> Float {
        isAsymmetric
            ? magnitude * Float(code) + zero
            : (isNegative ? -magnitude : magnitude) * Float(Int(code) - bias)
    }
}

/// Grouped quantization of one group of at most 32 values: the oracle of ``LaneQuantizer``, and the implementation where groups
/// lie along the lanes.
///
/// Formulas and names follow InnerQ, section 4.2, with the level sets of ``LevelSet``. Codes are rounded half to
/// even. A group of zeros has scale 0 and gives zeros back.
package struct GroupQuantizer: Sendable {
    package let format: GroupedFormat
    package let precision: ScalePrecision

    package init(_ format: GroupedFormat, precision: ScalePrecision = .float16) {
        self.format = format
        self.precision = precision
    }

    /// Encodes `count` values into unsigned codes. NaN takes the lowest code: `max` and `min` are written so that they
    /// return the bound.
    package func encode(
        _ values: UnsafePointer<Float>, count: Int, codes: UnsafeMutablePointer<UInt8>
    ) -> GroupScale {
        switch format.mode {
        case .symmetric: return symmetric(values, count, codes)
        case .asymmetric: return asymmetric(values, count, format.bits, codes)
        case .hybrid: return hybrid(values, count, codes)
        }
    }

    // MARK: - Symmetric

    private func symmetric(
        _ x: UnsafePointer<Float>, _ count: Int, _ codes: UnsafeMutablePointer<UInt8>
    ) -> GroupScale {
        var extreme: Float = 0
        for i in 0..<count where abs(x[i]) > abs(extreme) { extreme = x[i] }
        let half = 1 << (format.bits - 1)
        var scale: Float
        switch format.levels {
        case .official: scale = abs(extreme) / Float(half - 1)
        case .kernel: scale = abs(extreme) / Float(half)
        case .fullRange:
            scale =
                format.scaleFit == .extreme
                ? extreme / Float(-half) : fitted(x, count, extreme / Float(-half))
        }
        scale = precision.round(scale)
        let lowest = format.levels == .official ? -(half - 1) : -half
        guard scale != 0 else {
            for i in 0..<count { codes[i] = UInt8(-lowest) }
            return GroupScale(magnitude: 0, isNegative: false, isAsymmetric: false, zero: 0)
        }
        for i in 0..<count {
            let level = min(max(Float(lowest), x[i] / scale), Float(half - 1))
            codes[i] = UInt8(Int(level.nearestInteger) - lowest)
        }
        return GroupScale(
            magnitude: abs(scale), isNegative: scale < 0, isAsymmetric: false, zero: 0)
    }

    /// Tries scales around the extreme's, of both signs, refits each to its own codes, and returns the best.
    private func fitted(_ x: UnsafePointer<Float>, _ count: Int, _ start: Float) -> Float {
        let half = Float(1 << (format.bits - 1))
        var energy: Float = 0
        for i in 0..<count { energy += x[i] * x[i] }
        var best = start
        var leastError = Float.infinity
        guard start != 0 else { return 0 }
        for step in 0..<20 {
            // 1.0, 0.95, … 0.55 of the extreme's scale, then the same with the other sign.
            let candidate = (step < 10 ? start : -start) * (1 - 0.05 * Float(step % 10))
            var product: Float = 0
            var square: Float = 0
            for i in 0..<count {
                let level = min(max(-half, x[i] / candidate), half - 1).nearestInteger
                product += x[i] * level
                square += level * level
            }
            guard square > 0, product != 0 else { continue }
            let error = energy - product * product / square
            guard error < leastError else { continue }
            leastError = error
            best = format.scaleFit == .unbiased ? energy / product : product / square
        }
        return best
    }

    // MARK: - Asymmetric

    private func asymmetric(
        _ x: UnsafePointer<Float>, _ count: Int, _ bits: Int, _ codes: UnsafeMutablePointer<UInt8>
    ) -> GroupScale {
        var low = x[0]
        var high = x[0]
        for i in 1..<count {
            low = min(low, x[i])
            high = max(high, x[i])
        }
        let largest = Float((1 << bits) - 1)
        let zero = precision.round(low)
        let scale = precision.round((high - low) / largest)
        for i in 0..<count {
            let level = scale == 0 ? 0 : (x[i] - zero) / scale
            codes[i] = UInt8(min(max(0, level), largest).nearestInteger)
        }
        return GroupScale(magnitude: scale, isNegative: false, isAsymmetric: true, zero: zero)
    }

    // MARK: - Hybrid

    private func hybrid(
        _ x: UnsafePointer<Float>, _ count: Int, _ codes: UnsafeMutablePointer<UInt8>
    ) -> GroupScale {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count) { other in
            let others = other.baseAddress!
            let isOfficial = format.levels == .official
            let asymmetricScale = asymmetric(
                x, count, isOfficial ? format.bits - 1 : format.bits, others)
            let symmetricScale = symmetric(x, count, codes)
            let symmetricError = error(x, count, codes, symmetricScale)
            let asymmetricError = error(x, count, others, asymmetricScale)
            let picksSymmetric =
                isOfficial ? asymmetricError > symmetricError : symmetricError <= asymmetricError
            if picksSymmetric { return symmetricScale }
            for i in 0..<count { codes[i] = others[i] }
            return asymmetricScale
        }
    }

    /// Sum of absolute errors, the measure that the official code chooses by.
    private func error(
        _ x: UnsafePointer<Float>, _ count: Int, _ codes: UnsafePointer<UInt8>, _ scale: GroupScale
    ) -> Float {
        var sum: Float = 0
        for i in 0..<count { sum += abs(x[i] - scale.value(of: codes[i], bias: format.bias)) }
        return sum
    }
}

extension Float {
    /// The nearest integer, half to even, of a number below 2²² in magnitude: added to 1.5 · 2²³ it has no bits left for a
    /// fraction. A level that was brought between integers rounds as if it were rounded first, and loops over it become
    /// vectors, where `rounded` is a call.
    @inline(__always)
    var nearestInteger: Float { (self + 12_582_912) - 12_582_912 }
}
