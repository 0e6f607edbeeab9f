/// The results of one run: a file that an earlier run may have begun, or memory alone.
public final class ResultLog {
    private let writer: ResultWriter?
    private var unwritten: [ResultRecord] = []

    /// Records so far, earlier ones included.
    public var records: [ResultRecord] { writer?.records ?? unwritten }

    /// Whether an earlier run's records are there.
    public let continues: Bool

    /// - Parameters:
    ///   - path: of the file; `nil` keeps the records in memory.
    ///   - run: what is measured; a file of something else is refused.
    /// - Throws: ``ResultError``.
    public init(path: String?, run: RunRecord) throws(ResultError) {
        guard let path else {
            writer = nil
            continues = false
            unwritten = [.run(run)]
            return
        }
        let writer = try ResultWriter(path: path)
        self.writer = writer
        for case .run(let earlier) in writer.records {
            if let difference = earlier.difference(from: run) {
                throw .otherRun(path: path, what: difference)
            }
        }
        continues = !writer.records.isEmpty
        if writer.records.isEmpty { try writer.add(.run(run)) }
    }

    /// - Throws: ``ResultError/unwritable(path:reason:)``.
    public func add(_ record: ResultRecord) throws(ResultError) {
        guard let writer else {
            unwritten.append(record)
            return
        }
        try writer.add(record)
    }
}

extension RunRecord {
    /// What of model and settings is not as in `other`, in words; `nil` if results of both belong together.
    func difference(from other: RunRecord) -> String? {
        if model.fingerprint != other.model.fingerprint {
            return "its model is \(model.name)"
        }
        for key in Set(settings.keys).union(other.settings.keys).sorted()
        where settings[key] != other.settings[key] {
            return "its \(key) is \(settings[key] ?? "none"), not \(other.settings[key] ?? "none")"
        }
        return nil
    }
}
