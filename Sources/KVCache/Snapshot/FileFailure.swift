internal import Foundation

/// Why a file of ours could not be read or written, in words.
enum FileFailure {
    static func reason(_ error: any Error) -> String {
        if let error = error as? CocoaError {
            switch error.code {
            case .fileReadNoSuchFile, .fileNoSuchFile: return "there is no such file"
            case .fileReadNoPermission, .fileWriteNoPermission:
                return "no permission, or no such folder"
            case .fileWriteOutOfSpace: return "the disk is full"
            default: break
            }
        }
        return error.localizedDescription
    }
}
