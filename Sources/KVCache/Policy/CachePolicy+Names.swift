// Families of policies whose parameters are in their names, so that a comparison needs no files.

extension CachePolicy {
    // MARK: - KVQuant

    /// KVQuant (arXiv 2401.18079): keys per channel and before RoPE, values per token, one codebook for each of both a
    /// layer, a share of outliers in float16, the first token in float16.
    ///
    /// - Parameters:
    ///   - levels: `fitted` (nuq) needs a calibration; so do the static ranges of the others.
    ///   - preRotary: `false` stores keys after RoPE, for comparison.
    ///   - keyVector: `token` gives keys a range for each token, as values have, for comparison.
    public static func kvQuant(
        bits: Int, outliers: Double, levels: CodebookLevels = .fitted, preRotary: Bool = true,
        keyVector: CodebookVector = .channel, valueVector: CodebookVector = .token
    ) -> CachePolicy {
        let kind = levels == .fitted ? "nuq" : levels == .normalFloat ? "nf" : "int"
        var name = "kvquant-\(kind)\(bits)"
        if outliers > 0 { name += "-\(percent(outliers))%" }
        if keyVector == .token { name += "-token" }
        if !preRotary { name += "-post" }
        if valueVector == .channel { name += "-vchannel" }
        return CachePolicy(
            name: name,
            keys: .codebook(
                CodebookFormat(
                    bits: bits, vector: keyVector, levels: levels, outliers: outliers,
                    preRotary: preRotary)),
            values: .codebook(
                CodebookFormat(bits: bits, vector: valueVector, levels: levels, outliers: outliers)),
            windows: CacheWindows(sink: 1, recent: 0))
    }

    /// `kvquant-{nuq,nf,int}{2,3,4}[-P%][-token][-post][-vchannel][-online]`, or `nil`: P per cent of outliers; keys with a
    /// range for each token; keys after RoPE; values with a range for each channel; no calibration.
    static func kvQuant(named name: String) -> CachePolicy? {
        var parts = name.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        guard parts.first == "kvquant", parts.count > 1 else { return nil }
        let format = parts[1]
        parts.removeFirst(2)
        let kinds: [(String, CodebookLevels)] = [
            ("nuq", .fitted), ("nf", .normalFloat), ("int", .uniform),
        ]
        guard let (prefix, levels) = kinds.first(where: { format.hasPrefix($0.0) }),
            let bits = Int(format.dropFirst(prefix.count)), (2...4).contains(bits)
        else { return nil }
        var outliers = 0.0
        if let part = parts.first, part.hasSuffix("%"), let percent = Double(part.dropLast()),
            percent > 0, percent <= 10
        {
            outliers = percent / 100
            parts.removeFirst()
        }
        func take(_ word: String) -> Bool {
            guard parts.first == word else { return false }
            parts.removeFirst()
            return true
        }
        let keyVector: CodebookVector = take("token") ? .token : .channel
        let preRotary = !take("post")
        let valueVector: CodebookVector = take("vchannel") ? .channel : .token
        let isOnline = take("online")
        guard parts.isEmpty else { return nil }
        let policy = kvQuant(
            bits: bits, outliers: outliers, levels: levels, preRotary: preRotary,
            keyVector: keyVector, valueVector: valueVector)
        return isOnline ? policy.online() : policy
    }

    private static func percent(_ share: Double) -> String {
        let percent = (share * 1e6).rounded() / 1e4
        return percent == percent.rounded() ? "\(Int(percent))" : "\(percent)"
    }

    // MARK: - TurboQuant

    /// TurboQuant (arXiv 2504.19874) with InnerQ's windows.
    public static func turboQuant(
        keyBits: Int, valueBits: Int, hasResidual: Bool = false
    ) -> CachePolicy {
        CachePolicy(
            name: "turboquant-\(keyBits)-\(valueBits)" + (hasResidual ? "-ip" : ""),
            keys: .rotated(RotatedFormat(bits: keyBits, hasResidual: hasResidual)),
            values: .rotated(RotatedFormat(bits: valueBits, hasResidual: hasResidual)),
            windows: CacheWindows(sink: 32, recent: 96))
    }

    /// `turboquant-K-V[-ip]`, or `nil`: bits of keys and values; the inner-product variant.
    static func turboQuant(named name: String) -> CachePolicy? {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.first == "turboquant", (3...4).contains(parts.count),
            parts.count == 3 || parts[3] == "ip", let keys = Int(parts[1]),
            let values = Int(parts[2])
        else { return nil }
        let policy = turboQuant(keyBits: keys, valueBits: values, hasResidual: parts.count == 4)
        return (try? policy.validate()) == nil ? nil : policy
    }

    // MARK: - Groups

    /// `kFORMAT-vFORMAT[-nowindows]`, or `nil`: groups of 32 with InnerQ's windows, freely combined.
    ///
    /// A format is `16`, or bits (2, 3, 4, 8), the axis (`c` channels of a token, `t` tokens of a channel) and the mode
    /// (`s` symmetric, the default; `a` asymmetric; `h` hybrid): `k8c-v3t`, `k2ta-v2ca`, `k16-v2th`.
    static func grouped(named name: String) -> CachePolicy? {
        var parts = name.split(separator: "-", omittingEmptySubsequences: false)
        var windows = CacheWindows(sink: 32, recent: 96)
        if parts.last == "nowindows" {
            parts.removeLast()
            windows = .none
        }
        guard parts.count == 2, parts[0].first == "k", parts[1].first == "v",
            let keys = format(parts[0].dropFirst()), let values = format(parts[1].dropFirst())
        else { return nil }
        return CachePolicy(name: name, keys: keys, values: values, windows: windows)
    }

    private static func format(_ text: Substring) -> TensorFormat? {
        if text == "16" { return .float16 }
        guard let bits = text.first?.wholeNumberValue, [2, 3, 4, 8].contains(bits) else {
            return nil
        }
        let axes: [Character: GroupAxis] = ["c": .channel, "t": .token]
        let modes: [Character: QuantizationMode] = [
            "s": .symmetric, "a": .asymmetric, "h": .hybrid,
        ]
        let letters = Array(text.dropFirst())
        guard (1...2).contains(letters.count), let axis = axes[letters[0]],
            let mode = letters.count == 1 ? .symmetric : modes[letters[1]]
        else { return nil }
        return .grouped(GroupedFormat(bits: bits, axis: axis, mode: mode))
    }
}
