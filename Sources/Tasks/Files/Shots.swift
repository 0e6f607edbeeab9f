/// Worked examples that stand before a question.
enum Shots {
    /// The examples from the head of a file of their own.
    /// - Throws: `parameterOutOfRange` for a file with fewer than asked for; as `TaskFile.read`.
    static func read<Line: Decodable, Value>(
        _ count: Int, from file: TaskFile, _ line: Line.Type,
        _ make: (Line) throws(LineFault) -> Value
    ) throws(TaskError) -> TaskLines<Value> {
        try check(count)
        if count == 0 { return TaskLines() }
        let lines = try file.read(line, limit: count, make)
        if lines.values.count < count {
            throw .parameterOutOfRange(
                "\(file.path) holds \(lines.values.count) worked examples and \(count) are asked for; "
                    + "ask for fewer, or give another file")
        }
        return lines
    }

    /// Takes the examples from the head of the task's own lines, which are then not asked.
    /// - Throws: `parameterOutOfRange` when no question is left.
    static func take<Value>(
        _ count: Int, from lines: inout TaskLines<Value>, path: String
    ) throws(TaskError) -> [Value] {
        try check(count)
        if count > 0, lines.values.count <= count {
            throw .parameterOutOfRange(
                "\(path) holds \(lines.values.count) usable lines, of which \(count) are to be worked "
                    + "examples: none is left to ask; ask for fewer examples, or more samples")
        }
        let shots = lines.values.prefix(count).map(\.value)
        lines.values.removeFirst(count)
        return shots
    }

    /// How many lines hold the examples and the questions asked after them.
    static func lines(_ count: Int, and limit: Int?) -> Int? {
        limit.map { $0.addingReportingOverflow(count).overflow ? .max : $0 + count }
    }

    static func check(_ count: Int) throws(TaskError) {
        if count < 0 {
            throw .parameterOutOfRange("there cannot be \(count) worked examples; give 0 or more")
        }
    }
}
