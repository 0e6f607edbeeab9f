extension CachePolicy {
    /// 16-bit floats, nothing quantized.
    public static let float16 = CachePolicy(
        name: "float16", keys: .float16, values: .float16, windows: .none)

    /// 8 bits in blocks of 32 channels, s = max|x| / 127: llama.cpp's q8_0.
    public static let q8 = CachePolicy(
        name: "q8",
        keys: .grouped(GroupedFormat(bits: 8, axis: .channel, levels: .official)),
        values: .grouped(GroupedFormat(bits: 8, axis: .channel, levels: .official)),
        windows: .none)

    /// 4 bits in blocks of 32 channels, s = extreme / −8: llama.cpp's q4_0.
    public static let q4 = CachePolicy(
        name: "q4",
        keys: .grouped(GroupedFormat(bits: 4, axis: .channel)),
        values: .grouped(GroupedFormat(bits: 4, axis: .channel)),
        windows: .none)

    /// InnerQ Base: 3-bit keys and values, symmetric; 3.5 bits an element.
    public static let innerQBase = innerQ(
        "innerq-base", values: GroupedFormat(bits: 3, axis: .token))

    /// InnerQ Hybrid: 3-bit keys, 2-bit values, each value group symmetric or asymmetric.
    public static let innerQHybrid = innerQ(
        "innerq-hybrid", values: GroupedFormat(bits: 2, axis: .token, mode: .hybrid))

    /// InnerQ Small: 3-bit keys, 2-bit symmetric values; 3 bits an element.
    public static let innerQSmall = innerQ(
        "innerq-small",
        values: GroupedFormat(bits: 2, axis: .token))

    /// KIVI with 2 bits: keys per channel, values per token, asymmetric; 128 recent tokens.
    public static let kivi2 = kivi("kivi-2", bits: 2, windows: CacheWindows(sink: 0, recent: 128))

    /// KIVI with 4 bits.
    public static let kivi4 = kivi("kivi-4", bits: 4, windows: CacheWindows(sink: 0, recent: 128))

    /// KIVI with 2 bits, 32 sinks and 96 recent tokens: the InnerQ paper's second baseline.
    public static let kivi2Sink = kivi(
        "kivi-2-sink", bits: 2, windows: CacheWindows(sink: 32, recent: 96))

    /// Every preset, in the order of the capability table.
    public static let presets: [CachePolicy] =
        [
            .float16, .q8, .q4, .innerQBase, .innerQHybrid, .innerQSmall, .kivi2, .kivi4,
            .kivi2Sink,
        ]
        + [4, 3, 2].flatMap { bits in
            [0.01, 0].map { kvQuant(bits: bits, outliers: $0) }
        }
        + [(4, 4), (4, 3), (3, 3), (3, 2), (2, 2)].map {
            turboQuant(keyBits: $0.0, valueBits: $0.1)
        }

    /// The preset of that name, or `nil`. Names that are not in ``presets``:
    ///
    /// - `innerq-base-official` has the levels of the official Python code, `innerq-base-kernel` those of its CUDA code,
    ///   both the published normalizer;
    /// - `kvquant-nf3`, `kvquant-int3-1%`, `…-post`, `…-token`, `…-online`: see ``kvQuant(named:)``;
    /// - `turboquant-K-V` of 1 to 4 bits each, `…-ip` with a residual;
    /// - `k8c-v3t`, `k2ta-v2ca`, …: see ``grouped(named:)``.
    public static func preset(named name: String) -> CachePolicy? {
        if let preset = presets.first(where: { $0.name == name }) { return preset }
        if let policy = kvQuant(named: name) ?? turboQuant(named: name) ?? grouped(named: name) {
            return policy
        }
        for levels in [LevelSet.official, .kernel] where name.hasSuffix("-" + levels.rawValue) {
            let base = name.dropLast(levels.rawValue.count + 1)
            guard base.hasPrefix("innerq-"), let preset = presets.first(where: { $0.name == base })
            else { return nil }
            var policy = preset.withLevels(levels)
            policy.name = name
            policy.keyNormalization = .published
            return policy
        }
        return nil
    }

    /// The same formats with another level set; nothing else changes.
    public func withLevels(_ levels: LevelSet) -> CachePolicy {
        func changed(_ format: TensorFormat) -> TensorFormat {
            guard case .grouped(var grouped) = format else { return format }
            grouped.levels = levels
            if levels != .fullRange { grouped.scaleFit = .extreme }
            return .grouped(grouped)
        }
        var policy = self
        policy.keys = changed(keys)
        policy.values = changed(values)
        return policy
    }

    /// The same policy, whose key statistics are taken from the first `tokens` tokens; 0 seals as early as the windows
    /// allow. Short sequences are quantized sooner, long ones with larger errors.
    public func withStatistics(fromTokens tokens: Int) -> CachePolicy {
        var policy = self
        policy.keyNormalization?.tokens = tokens
        return policy
    }

    private static func innerQ(_ name: String, values: GroupedFormat) -> CachePolicy {
        CachePolicy(
            name: name, keys: .grouped(GroupedFormat(bits: 3, axis: .channel)),
            values: .grouped(values),
            windows: CacheWindows(sink: 32, recent: 96),
            keyNormalization: .standard)
    }

    private static func kivi(_ name: String, bits: Int, windows: CacheWindows) -> CachePolicy {
        CachePolicy(
            name: name,
            keys: .grouped(GroupedFormat(bits: bits, axis: .token, mode: .asymmetric)),
            values: .grouped(GroupedFormat(bits: bits, axis: .channel, mode: .asymmetric)),
            windows: windows)
    }
}
