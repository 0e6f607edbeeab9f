public import ModelFiles

/// A conversation: a session that a model's chat template feeds.
///
/// Each turn encodes only what the template adds to the tokens that the session holds, so the cache stays, whatever
/// the length of the conversation. What a user writes never becomes a special token.
///
/// ```swift
/// let chat = try ChatSession(model.makeSession(), system: "Answer in one sentence.")
/// for try await token in chat.reply(to: "What is a key-value cache?") { print(token.text, terminator: "") }
/// ```
///
/// It keeps nothing that the session does not hold, so a restored session goes on as a conversation.
public struct ChatSession: Sendable {
    public let session: Session
    public let template: ChatTemplate
    /// Instructions before the first message; `nil` takes the template's own, if it has any.
    public let system: String?
    private let stopTokens: [Int32]

    /// - Parameter session: an empty one, or one that a chat was held with.
    /// - Throws: ``GenerationError/noChatTemplate``.
    public init(_ session: Session, system: String? = nil) throws(GenerationError) {
        guard let template = session.model.chatTemplate else { throw .noChatTemplate }
        self.session = session
        self.system = system
        // A system prompt that moved with every turn would not stay where the cache has it.
        self.template = template.movingSystemToFirstUser()
        stopTokens = template.stopTokens(session.model.tokenizer)
    }

    /// Says something to the model, and gives its reply as it comes.
    ///
    /// A reply that was cancelled or cut short is closed before the next message.
    /// - Returns: the reply; iterating throws ``GenerationError`` or `ChatTemplateError`.
    public func reply(
        to message: String, options: GenerationOptions = GenerationOptions()
    ) -> TokenStream {
        var options = options
        options.stopTokens += stopTokens
        return session.run(options) { tokens in try encode(message, after: tokens) }
    }

    /// Tokens that a message adds to those of the conversation so far.
    package func encode(_ message: String, after tokens: [Int32]) throws -> [Int32] {
        let segments: [PromptSegment]
        if let last = tokens.last {
            segments = try template.continuation(
                [.user(message)], afterStopToken: stopTokens.contains(last))
        } else {
            let opening = system.map { [ChatMessage.system($0)] } ?? []
            segments = try template.segments(
                opening + [.user(message)], addGenerationPrompt: true)
        }
        return session.model.tokenizer.encode(segments)
    }
}
