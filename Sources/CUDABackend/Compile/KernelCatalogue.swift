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

    /// A choice of ``all(for:)`` in which each entry point occurs with each setting of each family of macros, and with
    /// what is used most.
    ///
    /// A family is what has a stem in common: `IQ_KEY_KIND` and `IQ_KEY_BITS` are both of `IQ_KEY`, so that each format of keys
    /// occurs, and each of values, but not each pair of the two; macros without a stem, such as `IQ_HEADS`, are each a family.
    /// Kernels differ by what one family selects far more often than by what only two of them together do, and compiling
    /// them all takes many minutes.
    ///
    /// Code for `sm_90` is that of `sm_90a` without the latter's prompt kernel: of it, one of each entry point and head size.
    package static func representative(for architecture: String) -> [KernelVariant] {
        let all = all(for: architecture)
        switch architecture {
        case "sm_90": return representative(of: all) { $0.family == "IQ_HEAD" || $0.family.isEmpty }
        case "sm_90a": return representative(of: all, with: usual)
        default: return representative(of: all)
        }
    }

    /// - Parameters:
    ///   - usual: variants that are chosen in any case.
    ///   - counts: whether a setting must be shown.
    package static func representative(
        of variants: [KernelVariant], with usual: [KernelVariant] = [],
        where counts: (Setting) -> Bool = { _ in true }
    ) -> [KernelVariant] {
        var chosen = usual
        let shown = Set(usual.flatMap(\.settings))
        var open = variants.map {
            (variant: $0, shows: $0.settings.filter(counts).subtracting(shown))
        }
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

    /// The values of one family of a kernel's macros; of an empty family, that the kernel occurs at all.
    package struct Setting: Sendable, Hashable {
        let kernel: String
        let family: String
        let values: [String]
    }

    /// The entry point, alone and with the macros of each family.
    private var settings: Set<Setting> {
        let kernel = "\(unit.source) \(entry)"
        let families = Dictionary(grouping: unit.sortedDefinitions) { definition in
            let stem = definition.key.lastIndex(of: "_").map { definition.key[..<$0] } ?? ""
            return stem.contains("_") ? String(stem) : definition.key
        }
        return Set(
            families.map { family, macros in
                Setting(
                    kernel: kernel, family: family,
                    values: macros.map { "\($0.key)=\($0.value)" })
            } + [Setting(kernel: kernel, family: "", values: [])])
    }
}
