public import Foundation

/// One turn of a conversation.
public struct ChatMessage: Sendable, Hashable, Codable {
    public enum Role: String, Sendable, Hashable, Codable, CaseIterable {
        /// Instructions to the model, before everything else.
        case system
        case user
        case assistant
    }

    public var role: Role
    public var content: String

    public init(role: Role, content: String) {
        self.role = role
        self.content = content
    }

    public static func system(_ content: String) -> Self { Self(role: .system, content: content) }
    public static func user(_ content: String) -> Self { Self(role: .user, content: content) }
    public static func assistant(_ content: String) -> Self {
        Self(role: .assistant, content: content)
    }
}

/// Why a conversation cannot be written in a template.
///
/// Where Hugging Face's template would raise an exception, rendering throws one of these.
public enum ChatTemplateError: Error, Sendable, Equatable, CustomStringConvertible, LocalizedError {
    /// There are no messages.
    case empty
    /// The template wants user and assistant in turn, the user first; `index` is the first message
    /// that is out of turn.
    case rolesMustAlternate(index: Int, family: ChatTemplate.Family)
    /// The model was trained without a system role.
    case noSystemRole(family: ChatTemplate.Family)

    public var description: String {
        switch self {
        case .empty:
            "The conversation is empty. Add at least one message."
        case .rolesMustAlternate(let index, let family):
            "Message \(index) is out of turn: the \(family.rawValue) template wants, after an "
                + "optional system message, user and assistant in turn, beginning with the user."
        case .noSystemRole(let family):
            "This model's \(family.rawValue) template has no system role. Put the instructions "
                + "into the first user message."
        }
    }

    public var errorDescription: String? { description }
}
