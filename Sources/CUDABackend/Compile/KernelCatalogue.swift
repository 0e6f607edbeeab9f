extension KernelVariant {
    /// Every kernel that the program may ask for on GPUs of this architecture: what CI compiles.
    ///
    /// A part of the backend adds its own list in a file of its own (`KernelCatalogue+….swift`) and a line here.
    ///
    /// - Parameter architecture: as the compiler names it, such as `sm_80` or `sm_90a`.
    package static func all(for architecture: String) -> [KernelVariant] {
        let parts: [[KernelVariant]] = []
        return parts.flatMap { $0 }
    }

    /// A choice of ``all(for:)`` in which each entry point occurs with each value of each of its macros.
    ///
    /// Kernels differ by what one macro selects far more often than by what only two of them together do; compiling them
    /// all takes many minutes.
    package static func representative(for architecture: String) -> [KernelVariant] {
        struct Setting: Hashable {
            let entry: String
            let source: String
            let macro: String
            let value: Int?
        }
        func settings(_ variant: KernelVariant) -> Set<Setting> {
            let (entry, source) = (variant.entry, variant.unit.source)
            return Set(
                variant.unit.definitions.map {
                    Setting(entry: entry, source: source, macro: $0.key, value: $0.value)
                } + [Setting(entry: entry, source: source, macro: "", value: nil)])
        }
        var missing = all(for: architecture).map { ($0, settings($0)) }
        var chosen: [KernelVariant] = []
        // Each time the variant that shows most of what no other has shown; the first of equals.
        while let best = missing.indices.max(by: {
            missing[$0].1.count < missing[$1].1.count
                || (missing[$0].1.count == missing[$1].1.count && $0 > $1)
        }), !missing[best].1.isEmpty {
            let (variant, shown) = missing[best]
            chosen.append(variant)
            for index in missing.indices { missing[index].1.subtract(shown) }
        }
        return chosen
    }
}
