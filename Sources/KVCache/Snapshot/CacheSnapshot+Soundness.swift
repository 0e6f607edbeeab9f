internal import Foundation

extension CacheSnapshot {
    /// No number of a key normalizer is larger, neither fixed nor as a sum of squares.
    private static let largestNumber: Float = 1e20

    /// Whether the numbers that will be quantized, or that keys will be normalized with, are such as a cache can hold:
    /// finite, and scales in the range that they are clamped to. A checksum tells only that a file is what its writer
    /// meant. Codes of body pages are not looked at: they are multiplied, and never quantized again. Places of outliers
    /// are.
    static func pagesAreSound(
        _ data: Data, from start: Int, _ cache: SequenceCache, _ tokens: Int
    ) -> Bool {
        data.withUnsafeBytes { bytes in
            var offset = start
            for layer in cache.layers {
                let schedule = layer.schedule
                if let normalizer = layer.normalizer {
                    let isFixed = schedule.sealedTiles(at: tokens) > 0
                    for index in 0..<normalizer.byteCount / 4 {
                        let bits = bytes.loadUnaligned(
                            fromByteOffset: offset + 4 * index, as: UInt32.self)
                        let number = Float(bitPattern: UInt32(littleEndian: bits))
                        // NaN is in no range.
                        guard (-largestNumber...largestNumber).contains(number) else {
                            return false
                        }
                        let isScale = index < normalizer.scales.count
                        guard !isFixed || !isScale || (1e-4...1e4).contains(number) else {
                            return false
                        }
                    }
                    offset += normalizer.byteCount
                }
                let codebookBytes = CodebookState.byteCount(
                    policy: layer.policy, shape: layer.shape)
                for index in 0..<codebookBytes / 4 {
                    let bits = bytes.loadUnaligned(
                        fromByteOffset: offset + 4 * index, as: UInt32.self)
                    guard abs(Float(bitPattern: UInt32(littleEndian: bits))) <= 65504 else {
                        return false
                    }
                }
                offset += codebookBytes
                let sinkPages =
                    schedule.sinkPages(at: tokens) - schedule.droppedSinkPages(at: tokens)
                let bodyPages = schedule.sealedTiles(at: tokens) - schedule.droppedTiles(at: tokens)
                for (pages, size, isRaw) in [
                    (sinkPages, layer.rawPageBytes, true), (bodyPages, layer.bodyPageBytes, false),
                    (schedule.recentPages(at: tokens), layer.rawPageBytes, true),
                ] {
                    let end = offset + pages * size
                    if isRaw, !isFinite(bytes[offset..<end]) { return false }
                    if !isRaw, !sidesAreSound(bytes.baseAddress! + offset, pages, layer) {
                        return false
                    }
                    offset = end
                }
            }
            return true
        }
    }

    /// Whether the outliers of body pages lie in their tiles.
    private static func sidesAreSound(
        _ start: UnsafeRawPointer, _ pages: Int, _ layer: LayerCache
    ) -> Bool {
        let layout = layer.pageLayout
        let elements = layer.shape.headSize * TileLayout.tokens
        return (0..<pages).allSatisfy { page in
            let page = start + page * layout.byteCount
            return [
                (layout.keySide, layout.keySideOffset), (layout.valueSide, layout.valueSideOffset),
            ].allSatisfy { side, offset in
                SideReader(layout: side, bytes: page + offset).isSound(
                    kvHeads: layer.shape.kvHeads, elements: elements)
            }
        }
    }

    /// Whether no float16 is infinite or NaN: their exponents are all ones.
    private static func isFinite(_ halves: Slice<UnsafeRawBufferPointer>) -> Bool {
        var isFinite = true
        for offset in stride(from: halves.startIndex, to: halves.endIndex, by: 2) {
            let bits = halves.base.loadUnaligned(fromByteOffset: offset, as: UInt16.self)
            if UInt16(littleEndian: bits) & 0x7C00 == 0x7C00 { isFinite = false }
        }
        return isFinite
    }
}
