/// The pages of a layer, without the reference counts and checks of its arrays.
struct CachePages: @unchecked Sendable {
    /// Given back ones are `nil`.
    let sink: UnsafeBufferPointer<UnsafeMutableRawPointer?>
    /// Sealed pages from tile `bodyFirst` on.
    let body: UnsafeBufferPointer<UnsafeMutableRawPointer>
    let bodyFirst: Int
    /// Float16 pages from tile `rawFirst` on.
    let raw: UnsafeBufferPointer<UnsafeMutableRawPointer>
    let rawFirst: Int
}
