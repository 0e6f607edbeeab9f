/// The form in which a model has learned to read conversations.
///
/// The text is, character for character, what Hugging Face's Jinja template renders; the details in
/// which templates of one family differ (default system prompt, blanks, where the system prompt
/// goes) are taken from the file's own template by ``detect(jinja:tokenizer:)``.
///
/// **Text from outside stays text.** ``segments(_:addGenerationPrompt:)`` tells what the template
/// wrote from what users wrote, and ``Tokenizer/encode(_:addSpecial:)-([PromptSegment],_)``
/// recognizes special tokens only in the former: a user who types `<|im_end|>` ends nothing.
///
/// **Turns extend each other.** The rendering of a conversation that ends with a generation prompt
/// is a prefix of the rendering of the same conversation with the reply and further messages added,
/// so that a key–value cache goes on where it is. Two exceptions follow from the templates
/// themselves: families that trim content (``trimsContent``) do so with a reply that begins or ends
/// with whitespace, and ``SystemPlacement/lastUser`` moves the system prompt with every turn; use
/// ``movingSystemToFirstUser()`` then. ``continuation(_:afterStopToken:)`` renders only what is new,
/// and is right for a cache in every case.
public struct ChatTemplate: Sendable, Equatable {
    public enum Family: String, Sendable, CaseIterable {
        /// `<|im_start|>role\n…<|im_end|>\n` (SmolLM2, Qwen2).
        case chatML = "chatml"
        /// `<s>[INST] <<SYS>>\n…\n<</SYS>>\n\n… [/INST] … </s>`.
        case llama2 = "llama-2"
        /// `<|start_header_id|>role<|end_header_id|>\n\n…<|eot_id|>`.
        case llama3 = "llama-3"
        /// `<s>[INST] … [/INST]…</s>`.
        case mistral = "mistral"
        /// `<start_of_turn>role\n…<end_of_turn>\n`, the assistant being `model`.
        case gemma = "gemma"
    }

    /// What becomes of a system message where the family has no turn for it.
    public enum SystemPlacement: Sendable, Equatable {
        /// It goes before the first user message.
        case firstUser
        /// It goes before the last message, if that is a user's (Mistral 7B v0.3).
        case lastUser
        /// The template refuses it.
        case refused
    }

    /// How Mistral's templates differ.
    public struct MistralStyle: Sendable, Equatable {
        public var beforeUser = "[INST] "
        public var afterUser = " [/INST]"
        public var beforeAssistant = ""
        /// After the end-of-sequence token.
        public var afterAssistant = ""
    }

    public var family: Family
    /// The text of the beginning-of-sequence token where the template writes it, else empty.
    /// Encode rendered prompts without `addSpecial`.
    public var beginning: String
    /// The text of the end-of-sequence token, which Llama 2 and Mistral put after a reply.
    public var end: String
    /// The system prompt that the template itself adds to a conversation without one.
    public var defaultSystem: String?
    /// Whitespace around content is dropped (for Mistral: around the assistant's).
    public var trimsContent: Bool
    public var systemPlacement: SystemPlacement
    /// Llama 3.1 and later: text before the system prompt, with the date (`Cutting Knowledge Date:
    /// December 2023\nToday Date: 26 Jul 2024\n\n`). Llama 3.2's own template writes the day of
    /// rendering; here it is the date that the template falls back to, so that prompts repeat.
    public var systemPreamble: String?
    public var mistral = MistralStyle()

    /// The family's usual form, for a file without a template.
    ///
    /// - Parameters:
    ///   - beginning: the text of the beginning-of-sequence token; ignored for ChatML.
    ///   - end: the text of the end-of-sequence token.
    public init(_ family: Family, beginning: String? = nil, end: String = "</s>") {
        self.family = family
        let usual =
            switch family {
            case .chatML: ""
            case .llama2, .mistral: "<s>"
            case .llama3: "<|begin_of_text|>"
            case .gemma: "<bos>"
            }
        self.beginning = family == .chatML ? "" : beginning ?? usual
        self.end = end
        trimsContent = family == .llama2 || family == .llama3 || family == .gemma
        systemPlacement = .firstUser
    }

    /// What ends a reply, as text. As ids: ``stopTokens(_:)``.
    public var stopStrings: [String] {
        switch family {
        case .chatML: ["<|im_end|>"]
        case .llama2, .mistral: [end]
        case .llama3: ["<|eot_id|>"]
        case .gemma: ["<end_of_turn>"]
        }
    }

    /// The ids after which a reply is finished, in ascending order.
    public func stopTokens(_ tokenizer: Tokenizer) -> [Int32] {
        let named = stopStrings.compactMap { tokenizer.id(ofPiece: $0) }
        return Set(named.filter(tokenizer.isSpecial) + tokenizer.endOfGeneration).sorted()
    }

    /// The same template with the system prompt where later turns do not move it.
    public func movingSystemToFirstUser() -> ChatTemplate {
        var copy = self
        if copy.systemPlacement == .lastUser { copy.systemPlacement = .firstUser }
        return copy
    }

    /// The text of a conversation.
    ///
    /// - Parameter addGenerationPrompt: opens the assistant's turn at the end.
    /// - Throws: ``ChatTemplateError``.
    public func render(
        _ messages: [ChatMessage], addGenerationPrompt: Bool
    ) throws(ChatTemplateError) -> String {
        try segments(messages, addGenerationPrompt: addGenerationPrompt).map(\.string).joined()
    }

    /// A conversation in segments, for ``Tokenizer/encode(_:addSpecial:)-([PromptSegment],_)``.
    ///
    /// - Throws: ``ChatTemplateError``.
    public func segments(
        _ messages: [ChatMessage], addGenerationPrompt: Bool
    ) throws(ChatTemplateError) -> [PromptSegment] {
        var writer = ChatWriter(template: self)
        try writer.begin(messages)
        if addGenerationPrompt { writer.openReply() }
        return writer.segments
    }

    /// What follows a reply that the model has just generated: its end, the next messages, and the
    /// opening of the next reply. Appended to a cache that holds the conversation so far, nothing
    /// of which is rendered again.
    ///
    /// - Parameters:
    ///   - messages: what comes next, usually one user message; no system message where the family
    ///     has no turn for it.
    ///   - afterStopToken: the token that ended the reply is in the cache already; otherwise it is
    ///     written first.
    /// - Throws: ``ChatTemplateError``.
    public func continuation(
        _ messages: [ChatMessage], afterStopToken: Bool
    ) throws(ChatTemplateError) -> [PromptSegment] {
        var writer = ChatWriter(template: self)
        writer.closeReply(isEnded: afterStopToken)
        try writer.resume(messages)
        writer.openReply()
        return writer.segments
    }
}

extension ChatTemplate: CustomStringConvertible {
    public var description: String { family.rawValue }
}
