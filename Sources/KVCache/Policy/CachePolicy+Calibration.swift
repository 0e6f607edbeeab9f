extension CachePolicy {
    /// Whether a cache of this policy cannot be made without a calibration of the model.
    public var needsCalibration: Bool {
        formats.contains { $0.codebook?.needsCalibration == true }
    }

    /// The same policy for models that were not calibrated: ranges from the first tokens of each sequence, and levels of
    /// a normal distribution. Its name ends in `-online`.
    ///
    /// - Parameter tokens: what ranges are taken from; nothing is sealed before.
    public func online(tokens: Int = 512) -> CachePolicy {
        func changed(_ format: TensorFormat) -> TensorFormat {
            guard case .codebook(var codebook) = format, codebook.needsCalibration else {
                return format
            }
            if codebook.levels == .fitted { codebook.levels = .normalFloat }
            if codebook.vector == .channel { codebook.statistics = tokens }
            return .codebook(codebook)
        }
        guard needsCalibration else { return self }
        var policy = self
        policy.name += "-online"
        policy.keys = changed(keys)
        policy.values = changed(values)
        policy.exceptions = exceptions.map { exception in
            var exception = exception
            exception.keys = exception.keys.map(changed)
            exception.values = exception.values.map(changed)
            return exception
        }
        return policy
    }

    /// Every format that some layer may have.
    package var formats: [TensorFormat] {
        [keys, values] + exceptions.flatMap { [$0.keys, $0.values].compactMap(\.self) }
    }

    /// Checks that a calibration has what the policy needs of it.
    package func check(_ calibration: CacheCalibration?, for shape: CacheShape) throws(PolicyError)
    {
        guard needsCalibration else { return }
        guard let calibration else { throw .needsCalibration(policy: name) }
        guard calibration.layers.count == shape.layers.count else {
            throw .calibrationMismatch(
                "it has \(calibration.layers.count) layers, the model \(shape.layers.count). Calibrate this model."
            )
        }
        for (index, layer) in shape.layers.enumerated() {
            let policy = self.layer(index, of: shape.layers.count)
            for (tensor, format) in [
                (CacheTensor.keys, policy.keys), (.values, policy.values),
            ] {
                guard let format = format.codebook, format.needsCalibration else { continue }
                try Self.check(
                    CacheCalibration.table(tensor, format, in: calibration.layers[index]), tensor,
                    format, layer, index)
            }
        }
    }

    private static func check(
        _ table: CodebookTable?, _ tensor: CacheTensor, _ format: CodebookFormat,
        _ shape: LayerShape, _ layer: Int
    ) throws(PolicyError) {
        guard let table else {
            throw .calibrationMismatch(
                "it has no table for \(tensor.rawValue) of \(format.bits) bits with a share of \(format.outliers) outliers, a range for each \(format.vector.rawValue)\(format.preRotary ? ", before RoPE" : "") (layer \(layer)). Calibrate with --bits \(format.bits) --outliers \(format.outliers), and --ablations for unusual vectors."
            )
        }
        let channels = format.vector == .channel ? shape.kvHeads * shape.headSize : 0
        guard table.lows.count == channels, table.highs.count == channels else {
            throw .calibrationMismatch(
                "layer \(layer) has ranges of \(table.lows.count) channels, the model \(channels). Calibrate this model."
            )
        }
        guard table.levels.count == 1 << format.bits || format.levels != .fitted else {
            throw .calibrationMismatch(
                "layer \(layer) has \(table.levels.count) levels for \(format.bits) bits. Calibrate again."
            )
        }
    }

    /// Checks that the shape says how keys are turned, where a format must know.
    package func checkRotary(for shape: CacheShape) throws(PolicyError) {
        for (index, layer) in shape.layers.enumerated()
        where self.layer(index, of: shape.layers.count).keys.codebook?.preRotary == true {
            guard let rotary = layer.rotary, rotary.frequencies.count == layer.headSize / 2 else {
                throw .needsRotary(policy: name)
            }
        }
    }
}
