#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Where the interleaved weights of a model go: few large pieces of memory in huge pages.
///
/// A page of 2 MB is one address to look up where pages of 4 KB are 512: plain reads of two cores rose from 24 to 31 GB/s
/// (Zen 3). Files cannot be mapped so.
package struct PanelMemory {
    private static let hugePage = 2 << 20
    /// Address space, not memory: what is never written costs nothing.
    private static let leastPiece = 64 << 20
    private static let alignment = 64

    private var piece: PanelPiece?
    private var used = 0

    package init() {}

    /// `byteCount` bytes at a multiple of 64, and what keeps them valid; `nil` if there is no memory.
    package mutating func take(_ byteCount: Int) -> (UnsafeMutableRawPointer, owner: PanelPiece)? {
        let (rounded, overflow) = byteCount.addingReportingOverflow(Self.alignment - 1)
        guard byteCount > 0, !overflow else { return nil }
        let needed = rounded / Self.alignment * Self.alignment
        if let piece, piece.byteCount - used >= needed {
            defer { used += needed }
            return (piece.base + used, piece)
        }
        guard let fresh = PanelPiece(byteCount: max(needed, Self.leastPiece), page: Self.hugePage)
        else { return nil }
        giveBackRest()
        piece = fresh
        used = needed
        return (fresh.base, fresh)
    }

    /// The part of the last huge page that nothing was put into; nothing can be taken from this piece afterwards.
    package mutating func giveBackRest() {
        guard let piece else { return }
        piece.release(from: used)
        self.piece = nil
    }
}

/// One mapping; unmapped when no matrix lies in it any more.
package final class PanelPiece: @unchecked Sendable {
    /// At a multiple of a huge page.
    let base: UnsafeMutableRawPointer
    let byteCount: Int
    private let mapping: UnsafeMutableRawPointer
    private let mappedCount: Int

    fileprivate init?(byteCount: Int, page: Int) {
        let (withPage, overflow) = byteCount.addingReportingOverflow(page)
        guard !overflow,
            let mapping = mmap(
                nil, withPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | Self.noReserve,
                -1, 0), mapping != MAP_FAILED
        else { return nil }
        self.mapping = mapping
        mappedCount = withPage
        self.byteCount = byteCount
        base = mapping.alignedUp(toMultipleOf: page)
        #if os(Linux)
            // Where huge pages are switched off, small ones serve.
            madvise(base, byteCount, MADV_HUGEPAGE)
        #endif
    }

    fileprivate func release(from used: Int) {
        let start = (base + used).alignedUp(toMultipleOf: Int(sysconf(Int32(_SC_PAGESIZE))))
        let end = base + byteCount
        if start < end { madvise(start, end - start, MADV_DONTNEED) }
    }

    #if os(Linux)
        private static let noReserve = MAP_NORESERVE
    #else
        private static let noReserve: Int32 = 0
    #endif

    deinit { munmap(mapping, mappedCount) }
}
