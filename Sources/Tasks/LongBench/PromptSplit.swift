/// Cuts a prompt into what is read at once and the question at its end.
enum PromptSplit {
    /// The question begins at the last `marker`, or else after the last empty line, if that leaves it `longest` bytes or
    /// fewer; otherwise there is none. Context and question together are the prompt, byte for byte.
    static func split(
        _ prompt: String, at marker: String, longest: Int = 600
    ) -> (context: String, question: String) {
        let bytes = Array(prompt.utf8)
        let first = max(0, bytes.count - longest)
        let start =
            last(Array(marker.utf8), in: bytes, from: first)
            ?? last(Array("\n\n".utf8), in: bytes, from: first).map { $0 + 2 }
        guard let start, start > 0 else { return (prompt, "") }
        return (
            String(decoding: bytes[..<start], as: UTF8.self),
            String(decoding: bytes[start...], as: UTF8.self)
        )
    }

    private static func last(_ part: [UInt8], in bytes: [UInt8], from first: Int) -> Int? {
        var start = bytes.count - part.count
        while start >= first {
            if bytes[start...].starts(with: part) { return start }
            start -= 1
        }
        return nil
    }
}
