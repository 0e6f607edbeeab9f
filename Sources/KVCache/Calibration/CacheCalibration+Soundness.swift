extension CacheCalibration {
    /// Largest magnitude of a range's end: keys and values are float16.
    private static let largestValue: Float = 65504
    /// Q-Norm moves levels a little beyond [−1, 1]; this far only nonsense does.
    private static let largestLevel: Float = 16

    /// What makes a calibration useless, in words; `nil` if nothing does.
    var fault: String? {
        guard (1...CacheShape.mostLayers).contains(shapes.count) else {
            return "it has \(shapes.count) layers"
        }
        guard layers.count == shapes.count else {
            return "it has tables of \(layers.count) layers and shapes of \(shapes.count)"
        }
        for (layer, (shape, tables)) in zip(shapes, layers).enumerated() {
            if let fault = shape.fault { return "layer \(layer): \(fault)" }
            for (key, table) in tables {
                if let fault = key.fault ?? Self.fault(of: table, for: key, shape: shape) {
                    return "layer \(layer), \(key): \(fault)"
                }
            }
        }
        return nil
    }

    private static func fault(
        of table: CodebookTable, for key: CodebookKey, shape: CalibrationShape
    ) -> String? {
        let ends = key.rangeCount(shape)
        guard table.lows.count == ends, table.highs.count == ends else {
            return "\(table.lows.count) ranges instead of \(ends)"
        }
        let levels = 1 << key.bits
        guard table.levels.count == levels, table.decoded.count == levels else {
            return "\(table.levels.count) levels instead of \(levels)"
        }
        // Comparisons are false for NaN.
        for (low, high) in zip(table.lows, table.highs) {
            guard abs(low) <= largestValue, abs(high) <= largestValue else {
                return "a range ends at \(low) or \(high)"
            }
            guard low <= high else { return "a range from \(low) to \(high)" }
        }
        for index in 0..<levels {
            guard abs(table.levels[index]) <= 1 else {
                return "the level \(table.levels[index]) is not in -1 ... 1"
            }
            guard abs(table.decoded[index]) <= largestLevel else {
                return "a code stands for \(table.decoded[index])"
            }
            guard index > 0 else { continue }
            guard table.levels[index - 1] < table.levels[index],
                table.decoded[index - 1] <= table.decoded[index]
            else { return "its levels do not rise" }
        }
        return nil
    }
}

extension CalibrationShape {
    /// Channels of a token.
    public var channels: Int { kvHeads * headSize }

    fileprivate var fault: String? {
        guard (1...LayerShape.mostHeads).contains(kvHeads), (1...256).contains(headSize) else {
            return "\(kvHeads) heads of size \(headSize)"
        }
        return nil
    }
}

extension CodebookKey: CustomStringConvertible {
    /// Such as "keys, 3 bits, per channel, 1 % outliers, before RoPE".
    public var description: String {
        let percent = (outliers * 100_000).rounded() / 1000
        let share =
            outliers == 0
            ? "no outliers"
            : percent == percent.rounded()
                ? "\(Int(percent)) % outliers" : "\(percent) % outliers"
        let rotary = preRotary ? ", before RoPE" : ""
        return "\(tensor.rawValue), \(bits) bits, per \(vector.rawValue), \(share)\(rotary)"
    }

    var fault: String? {
        guard (2...4).contains(bits) else { return "\(bits) bits" }
        guard outliers >= 0, outliers <= 0.1 else { return "a share of \(outliers) outliers" }
        return nil
    }

    /// Ranges that its table has.
    func rangeCount(_ shape: CalibrationShape) -> Int {
        vector == .channel ? shape.channels : 0
    }

    /// A fixed order, so that equal calibrations are equal files.
    static func isOrdered(_ a: CodebookKey, _ b: CodebookKey) -> Bool {
        if a.tensor != b.tensor { return a.tensor.rawValue < b.tensor.rawValue }
        if a.vector != b.vector { return a.vector.rawValue < b.vector.rawValue }
        if a.preRotary != b.preRotary { return b.preRotary }
        if a.bits != b.bits { return a.bits < b.bits }
        return a.outliers < b.outliers
    }
}
