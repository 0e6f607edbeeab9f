/// Tokens as they are generated.
///
/// Dropping the iterator, or cancelling its task, ends generation after the token in work; the session stays usable.
/// Generation does not wait for the reader: tokens that it has not taken by then are part of the session all the same.
public struct TokenStream: AsyncSequence, Sendable {
    public typealias Element = GeneratedToken
    public typealias Failure = any Error

    let stream: AsyncThrowingStream<GeneratedToken, any Error>
    let flag: CancellationFlag

    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: AsyncThrowingStream<GeneratedToken, any Error>.AsyncIterator
        let lifeline: Lifeline

        public mutating func next() async throws -> GeneratedToken? { try await base.next() }
    }

    /// Cancels the run when the last copy of its iterator goes away.
    final class Lifeline: Sendable {
        private let flag: CancellationFlag
        init(_ flag: CancellationFlag) { self.flag = flag }
        deinit { flag.cancel() }
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: stream.makeAsyncIterator(), lifeline: Lifeline(flag))
    }

    /// All text at once.
    public func text() async throws -> String {
        var text = ""
        for try await token in self { text += token.text }
        return text
    }
}
