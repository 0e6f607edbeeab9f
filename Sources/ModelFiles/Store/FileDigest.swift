import Crypto
import Foundation

/// SHA-256 of a file, read in pieces.
enum FileDigest {
    private static let pieceSize = 1 << 20

    /// Lower-case hexadecimal; `progress` gets the bytes read so far.
    static func sha256(
        of file: URL, progress: (Int64) -> Void = { _ in }
    ) throws(ModelStoreError) -> String {
        let handle: FileHandle
        do { handle = try FileHandle(forReadingFrom: file) } catch {
            throw .failure(file.path, "read", error)
        }
        defer { try? handle.close() }
        var hash = SHA256()
        var done: Int64 = 0
        while true {
            if Task.isCancelled { throw .cancelled }
            let piece: Data?
            do { piece = try handle.read(upToCount: pieceSize) } catch {
                throw .failure(file.path, "read", error)
            }
            guard let piece, !piece.isEmpty else { break }
            hash.update(data: piece)
            done += Int64(piece.count)
            progress(done)
        }
        return hash.finalize().map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }.joined()
    }
}
