/// One kernel: an entry point of a source, compiled with some macros defined.
package struct KernelVariant: Sendable, Hashable, CustomStringConvertible {
    /// What the compiler is given at once. Several entry points may be in it.
    package struct Unit: Sendable, Hashable, CustomStringConvertible {
        /// Name of the text in ``KernelSource``, such as `decode.cu`.
        package let source: String
        /// Values of macros by name.
        package let definitions: [String: Int]

        package var description: String {
            ([source] + sortedDefinitions.map { "\($0.key)=\($0.value)" }).joined(separator: " ")
        }

        var sortedDefinitions: [(key: String, value: Int)] {
            definitions.sorted { $0.key < $1.key }
        }
    }

    package let unit: Unit
    /// Name of the `extern "C" __global__` function.
    package let entry: String

    package init(source: String, entry: String, definitions: [String: Int] = [:]) {
        unit = Unit(source: source, definitions: definitions)
        self.entry = entry
    }

    package var description: String { "\(entry) of \(unit)" }
}
