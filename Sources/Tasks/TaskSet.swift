/// The samples of a task, in the order of their file.
public struct TaskSet: Sendable {
    public var samples: [TaskSample]
    /// The lines that were left out, as `TaskError.badLine`.
    public var skipped: [TaskError]

    public init(samples: [TaskSample], skipped: [TaskError] = []) {
        self.samples = samples
        self.skipped = skipped
    }

    /// - Throws: `noSamples` for lines of which none is usable.
    package init(
        path: String, lines: TaskLines<TaskSample>
    ) throws(TaskError) {
        if lines.values.isEmpty { throw .noSamples(path: path) }
        self.init(samples: lines.values.map(\.value), skipped: lines.skipped)
    }
}

extension TaskSet {
    /// - Throws: `parameterOutOfRange` for numbers of which nothing could come.
    package static func check(limit: Int?, maxTokens: Int? = nil) throws(TaskError) {
        if let limit, limit < 1 {
            throw .parameterOutOfRange("the limit of samples is \(limit); give 1 or more")
        }
        if let maxTokens, maxTokens < 1 {
            throw .parameterOutOfRange(
                "an answer of \(maxTokens) tokens says nothing; give 1 or more")
        }
    }
}
