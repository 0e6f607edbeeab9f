internal import CUDAKernels

/// The texts of the kernels, which are part of the program.
package enum KernelSource {
    /// Texts by the names that sources include them by.
    static let texts: [String: String] = {
        var texts: [String: String] = [:]
        for index in 0..<iq_source_count() {
            let source = iq_source_at(index)
            texts[String(cString: source.name)] = String(cString: source.text)
        }
        return texts
    }()

    /// What `.cu` files may include, by name.
    static let headers: [String] = texts.keys.filter { $0.hasSuffix(".h") }.sorted()

    /// Names of the `.cu` files.
    package static let kernels: [String] = texts.keys.filter { $0.hasSuffix(".cu") }.sorted()
}
