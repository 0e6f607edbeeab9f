public import Foundation

/// Why a model file could not be used. Every reader of this room throws this one type.
///
/// The text names the file, the byte offset where reading stopped (if there is one), what is wrong and what to do next.
public struct ModelFileError: Error, Sendable, Equatable {
    /// The kinds of failure, for code that wants to tell them apart.
    public enum Reason: Sendable, Equatable {
        /// No file at the path, or no such file in a folder.
        case missing
        /// The path is a directory where a file is needed.
        case isDirectory
        /// The file exists but cannot be opened or mapped, or is not a regular file.
        case notReadable
        /// The file has no bytes.
        case empty
        /// The file is of another kind or another version than the reader reads.
        case notThisFormat
        /// A length points past the end of the file.
        case truncated
        /// The file contradicts itself or the format's rules.
        case malformed
        /// A well-formed file asks for something InnerQ does not do.
        case unsupported
        /// A tensor that the configuration needs is not in the file.
        case missingTensor
        /// A tensor's shape or element type contradicts the configuration.
        case wrongTensor
    }

    public let reason: Reason
    /// The file or folder.
    public let path: String
    /// Bytes from the start of the file to the field at fault; `nil` where no single place is.
    public let offset: Int?
    /// What is wrong and what to do about it, as whole sentences.
    public let detail: String

    public init(_ reason: Reason, path: String, offset: Int? = nil, _ detail: String) {
        self.reason = reason
        self.path = path
        self.offset = offset
        self.detail = detail
    }
}

extension ModelFileError: CustomStringConvertible, LocalizedError {
    public var description: String {
        if let offset { return "\(path), byte \(offset): \(detail)" }
        return "\(path): \(detail)"
    }

    public var errorDescription: String? { description }
}
