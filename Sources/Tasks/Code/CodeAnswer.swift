/// What of a model's answer is program text.
enum CodeAnswer {
    /// The program in an answer: the body of its first Markdown fence if it has one, else all of it.
    ///
    /// A fence that names Python comes before one that names nothing. A single bare fence after some text closes what
    /// the prompt opened: the text before it is the program.
    static func program(in answer: String) -> String {
        let lines = answer.replacing("\r\n", with: "\n").split(
            separator: "\n", omittingEmptySubsequences: false)
        let fences = lines.indices.filter { label(lines[$0]) != nil }
        guard let first = fences.first else { return lines.joined(separator: "\n") }
        if let python = fences.firstIndex(where: { isPython(label(lines[$0])) }) {
            return body(of: lines, from: fences[python], to: fences[(python + 1)...].first)
        }
        let isClosing =
            fences.count % 2 == 1 && label(lines[first]) == ""
            && lines[..<first].contains { !$0.allSatisfy(\.isWhitespace) }
        if isClosing { return lines[..<first].joined(separator: "\n") }
        return body(of: lines, from: first, to: fences.dropFirst().first)
    }

    private static func body(of lines: [Substring], from start: Int, to end: Int?) -> String {
        lines[(start + 1)..<(end ?? lines.count)].joined(separator: "\n")
    }

    /// The text after the three backticks that a line begins with, or nil.
    private static func label(_ line: Substring) -> String? {
        let text = line.drop { $0 == " " }
        guard text.hasPrefix("```") else { return nil }
        return text.dropFirst(3).lowercased().filter { !$0.isWhitespace }
    }

    private static func isPython(_ label: String?) -> Bool {
        label == "python" || label == "py" || label == "python3"
    }
}

extension PythonSandbox {
    /// Pass or not, as the metric `pass`: with one greedy answer a problem, its mean is pass@1.
    func score(_ program: String) throws(TaskError) -> [TaskScore] {
        [TaskScore("pass", try run(program) == .passed ? 1 : 0)]
    }
}
