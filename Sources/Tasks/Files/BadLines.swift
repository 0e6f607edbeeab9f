/// What happens at a line that a task cannot use.
public enum BadLines: String, Sendable, Codable, CaseIterable {
    /// Reading ends with an error that names the line.
    case stop
    /// The line is left out, and named among those that were.
    case skip
}

/// Why one line is of no use to a task: a clause such as "the field 'answer' is missing".
public struct LineFault: Error, Sendable, Equatable {
    public var reason: String

    public init(reason: String) { self.reason = reason }

    package init(_ reason: String) { self.reason = reason }
}

/// What the lines of a file hold.
public struct TaskLines<Value> {
    /// Each usable line: its number, from 1, and what was made of it.
    public var values: [(line: Int, value: Value)]
    /// The lines that were left out, as `TaskError.badLine`.
    public var skipped: [TaskError]

    public init(values: [(line: Int, value: Value)] = [], skipped: [TaskError] = []) {
        self.values = values
        self.skipped = skipped
    }
}

extension TaskLines: Sendable where Value: Sendable {}
