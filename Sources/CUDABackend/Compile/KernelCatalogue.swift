extension KernelVariant {
    /// Every kernel that the program may ask for on GPUs of this architecture: what CI compiles.
    ///
    /// A part of the backend adds its own list in a file of its own (`KernelCatalogue+….swift`) and a line here.
    ///
    /// - Parameter architecture: as the compiler names it, such as `sm_80` or `sm_90a`.
    package static func all(for architecture: String) -> [KernelVariant] {
        let parts = [cache(), decode(), prefill(for: architecture)]
        return parts.flatMap { $0 }
    }

    /// A choice of ``all(for:)`` in which each entry point occurs with each setting of each family of macros.
    ///
    /// A family is what has a stem in common: `IQ_KEY_KIND` and `IQ_KEY_BITS` are both of `IQ_KEY`, so that each format of keys
    /// occurs, and each of values, but not each pair of the two. Kernels differ by what one family selects far
    /// more often than by what only two of them together do, and compiling them all takes many minutes.
    package static func representative(for architecture: String) -> [KernelVariant] {
        representative(of: all(for: architecture))
    }

    package static func representative(of variants: [KernelVariant]) -> [KernelVariant] {
        var open = variants.map { (variant: $0, shows: $0.settings) }
        var chosen: [KernelVariant] = []
        // Each time the one that shows most of what no other has shown; the first of equals.
        while true {
            var best = 0
            for index in open.indices where open[index].shows.count > open[best].shows.count {
                best = index
            }
            guard best < open.count, !open[best].shows.isEmpty else { return chosen }
            let (variant, shown) = open[best]
            chosen.append(variant)
            for index in open.indices { open[index].shows.subtract(shown) }
        }
    }

    /// The entry point, alone and with the macros of each family.
    private var settings: Set<String> {
        let kernel = "\(unit.source) \(entry)"
        let families = Dictionary(grouping: unit.sortedDefinitions) { definition in
            definition.key.lastIndex(of: "_").map { definition.key[..<$0] } ?? ""
        }
        return Set(
            families.values.map { family in
                ([kernel] + family.map { "\($0.key)=\($0.value)" }).joined(separator: " ")
            } + [kernel])
    }
}
