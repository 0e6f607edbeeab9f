import CUDABackend
import KVCache
import Testing

/// The arithmetic of addresses and bytes.
@Suite struct DeviceLayoutTests {
    static let shape = CacheShape(
        layers: .init(repeating: LayerShape(queryHeads: 32, kvHeads: 8, headSize: 128), count: 32))

    /// Every tile has bytes of its own, inside the pages that are mapped for it.
    @Test(arguments: CachePolicy.presets) func tilesDoNotOverlap(_ policy: CachePolicy) {
        let shape = CacheShape(layers: [
            LayerShape(queryHeads: 4, kvHeads: 2, headSize: 64),
            LayerShape(queryHeads: 3, kvHeads: 3, headSize: 96),
            LayerShape(queryHeads: 2, kvHeads: 1, headSize: 256),
        ])
        let layout = DeviceLayout(shape: shape, policy: policy, granularity: 4096)
        var ranges: [Range<Int>] = []
        for (index, layer) in layout.layers.enumerated() {
            for tile in 0..<9 {
                for head in 0..<layer.shape.kvHeads {
                    let key = layout.keyTile(layer: index, tile: tile, head: head)
                    let value = layout.valueTile(layer: index, tile: tile, head: head)
                    #expect(key % 16 == 0 && value % 16 == 0)
                    ranges += [key..<key + layer.keyTile, value..<value + layer.valueTile]
                }
                let side =
                    tile / 4 * layout.pageStride + layer.pageOffset + layer.sideOffset(tile: tile)
                #expect(side % 16 == 0)
                #expect(layer.page.keySide.byteCount <= layer.keySide)
                #expect(layer.page.valueSide.byteCount <= layer.valueSide)
                let bytes = layer.keySide + layer.valueSide
                if bytes > 0 { ranges.append(side..<side + bytes) }
            }
        }
        ranges.sort { $0.lowerBound < $1.lowerBound }
        for (left, right) in zip(ranges, ranges.dropFirst()) {
            #expect(left.upperBound <= right.lowerBound)
        }
        #expect(ranges.last!.upperBound <= layout.bodyBytes(pages: 3))
    }

    @Test(arguments: CachePolicy.presets) func bytesAreThoseOfTheTiles(_ policy: CachePolicy) {
        let layout = DeviceLayout(shape: Self.shape, policy: policy, granularity: 2 << 20)
        for n in [0, 1, 500, 512, 1000, 131_072] {
            let device = layout.byteCount(tokens: n)
            let host = policy.byteCount(shape: Self.shape, tokens: n)
            #expect(device.body % (2 << 20) == 0 && device.fixed % (2 << 20) == 0)
            // At most a page and a step of mapping more than the tiles themselves, and padding of sides.
            let padding = 32 * layout.layers.count * layout.layers[0].schedule.sealedTiles(at: n)
            #expect(
                (0..<layout.pageStride + 2 << 20 + padding).contains(device.body - host.body))
            #expect((device.queries > 0) == (policy.keyNormalization != nil && n < 512))
        }
    }

    @Test(arguments: CachePolicy.presets) func theLongestContextFitsAndOneTokenMoreDoesNot(
        _ policy: CachePolicy
    ) throws {
        let layout = DeviceLayout(shape: Self.shape, policy: policy, granularity: 2 << 20)
        for bytes in [1 << 30, 40 << 30, 130 << 30] {
            let n = try #require(layout.longestContext(bytes: bytes))
            let spare = layout.byteCount(tokens: 0).queries
            func peak(_ tokens: Int) -> Int {
                let count = layout.byteCount(tokens: tokens)
                return count.fixed + count.body + spare
            }
            #expect(peak(n) <= bytes && peak(n + 1) > bytes)
        }
        #expect(layout.longestContext(bytes: 1 << 20) == nil)
    }

    @Test func rawTilesCostAsManyBodyTilesAsTheirBytesSay() {
        func cost(_ policy: CachePolicy) -> Int {
            DeviceLayout(shape: Self.shape, policy: policy, granularity: 1).layers[0].rawCost
        }
        #expect(cost(.float16) == 1)
        #expect(cost(.q8) == 2)
        #expect(cost(.q4) == 4)
        #expect(cost(.innerQBase) == 4)
        #expect(cost(.innerQSmall) == 4)
    }
}
