import CUDABackend
import CUDAKernels
import KVCache
import Testing

/// The placement that iq_device_tile.h describes, and conversion to and from it.
@Suite struct DeviceTileOrderTests {
    @Test func theCapabilityTableHasTheFormatsOfTheContract() {
        // Per head size: keys float16, inner 4, outer 3 × 2; values float16, inner 4 × 3, outer 3 × 2; codebooks 3, rotated 4.
        #expect(TileCase.all.count == 4 * ((1 + 4 + 6) + (1 + 12 + 6) + 2 * (3 + 4)))
    }

    @Test(arguments: TileCase.all) func everyBitOfTheTileIsHitExactlyOnce(_ test: TileCase) {
        let places = DeviceTilePlaces(
            test.tensor, headSize: test.headSize, format: test.format)
        let layout = test.layout
        let bits = test.format.codeBits ?? 16
        var hits = [Int](repeating: 0, count: 8 * layout.codeBytes)
        var scales: [Int: Set<Int>] = [:]
        for token in 0..<32 {
            for channel in 0..<test.headSize {
                let (row, lane) = test.tensor == .keys ? (channel, token) : (token, channel)
                guard test.format.codeBits != nil else {
                    let half = places.half(token: token, channel: channel)
                    for bit in 0..<16 { hits[16 * half + bit] += 1 }
                    continue
                }
                for bit in 0..<bits { hits[places.bit(bit, token: token, channel: channel)] += 1 }
                guard test.format.grouped != nil else { continue }
                scales[places.scale(token: token, channel: channel), default: []].insert(
                    layout.group(row: row, lane: lane))
            }
        }
        #expect(hits.allSatisfy { $0 == 1 })
        // One scale, one group.
        #expect(scales.values.allSatisfy { $0.count == 1 })
        #expect(Set(scales.keys) == Set(0..<layout.groupCount))
    }

    @Test(arguments: TileCase.all) func thereAndBackIsTheSame(_ test: TileCase) {
        let order = DeviceTileOrder(test.tensor, headSize: test.headSize, format: test.format)
        var random = Random(7)
        let words = order.byteCount / 4
        #expect(order.byteCount % 16 == 0, "bulk copies take multiples of 16 bytes")
        for _ in 0..<3 {
            let host = (0..<words).map { _ in UInt32(truncatingIfNeeded: random.next()) }
            var device = [UInt32](repeating: 0xAAAA_AAAA, count: words)
            var back = [UInt32](repeating: 0x5555_5555, count: words)
            order.toDevice(host, &device)
            order.toHost(device, &back)
            #expect(back == host)
            #expect(device != host)
            order.toHost(host, &back)
            order.toDevice(back, &device)
            #expect(device == host)
        }
    }

    /// Written on the CPU, read where the kernels read: with words, shifts and fragments, not with single bits.
    @Test(arguments: TileCase.all) func kernelsFindWhatTheCPUWrote(_ test: TileCase) {
        let order = DeviceTileOrder(test.tensor, headSize: test.headSize, format: test.format)
        let layout = order.layout
        let d = test.headSize
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 16)
        let device = UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 16)
        defer {
            bytes.deallocate()
            device.deallocate()
        }
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: layout.byteCount)
        var random = Random(UInt64(d))
        guard let codeBits = test.format.codeBits else {
            let halves = bytes.assumingMemoryBound(to: UInt16.self)
            for i in 0..<32 * d { halves[i] = UInt16(truncatingIfNeeded: random.next()) }
            order.toDevice(bytes, device)
            let found = device.assumingMemoryBound(to: UInt16.self)
            for token in 0..<Int32(32) {
                for channel in 0..<Int32(d) {
                    let isKey = test.tensor == .keys
                    let place =
                        isKey
                        ? iq_key_fragment(0, token, channel) : iq_value_fragment(0, token, channel)
                    let index =
                        isKey ? Int(channel) * 32 + Int(token) : Int(token) * d + Int(channel)
                    #expect(found[Int(iq_half_index(place))] == halves[index])
                }
            }
            return
        }
        var codes: [UInt8] = []
        for token in 0..<32 {
            for channel in 0..<d {
                let code = UInt8(random.next() % (1 << UInt64(codeBits)))
                codes.append(code)
                let (row, lane) = test.tensor == .keys ? (channel, token) : (token, channel)
                layout.setCode(code, bytes, row: row, lane: lane)
            }
        }
        let scales = (bytes + layout.codeBytes).assumingMemoryBound(to: UInt16.self)
        let numbers = (layout.byteCount - layout.codeBytes) / 2
        for i in 0..<numbers { scales[i] = UInt16(truncatingIfNeeded: random.next()) }
        order.toDevice(bytes, device)
        let words = device.assumingMemoryBound(to: UInt32.self)
        let found = (device + layout.codeBytes).assumingMemoryBound(to: UInt16.self)
        let isInteger: Int32 = test.format.deviceKind(test.tensor) == IQ_INNER ? 1 : 0
        let kind = Int32(test.format.deviceKind(test.tensor).rawValue)
        var wrong = 0
        for token in 0..<32 {
            for channel in 0..<d {
                let (t, c) = (Int32(token), Int32(channel))
                let isKey = test.tensor == .keys
                let code = iq_read_code(
                    words, isInteger, Int32(codeBits), Int32(d),
                    isKey ? iq_key_fragment(isInteger, t, c) : iq_value_fragment(isInteger, t, c))
                if code != UInt32(codes[token * d + channel]) { wrong += 1 }
                guard let grouped = test.format.grouped else { continue }
                let (row, lane) = isKey ? (channel, token) : (token, channel)
                let group = layout.group(row: row, lane: lane)
                let scale = Int(
                    isKey
                        ? iq_key_scale(kind, t, c) : iq_value_scale(kind, Int32(d), t, c))
                if found[scale] != scales[group] { wrong += 1 }
                if grouped.storesZeros,
                    found[layout.groupCount + scale] != scales[layout.groupCount + group]
                {
                    wrong += 1
                }
            }
        }
        #expect(wrong == 0)
        if test.format.rotated != nil {
            #expect((0..<32).allSatisfy { found[$0] == scales[$0] }, "norms are those of tokens")
        }
    }

    /// The CPU's side of the table, against the packing that tiles are made with.
    @Test(arguments: [2, 3, 4, 8]) func bitOffsetsAreWhereCodesAreSet(_ bits: Int) {
        for layout in [
            TileLayout.keys(
                headSize: 80, format: .grouped(GroupedFormat(bits: bits, axis: .channel))),
            .values(headSize: 96, format: .grouped(GroupedFormat(bits: bits, axis: .token))),
        ] {
            let tile = UnsafeMutableRawPointer.allocate(
                byteCount: layout.byteCount, alignment: 16)
            defer { tile.deallocate() }
            for row in 0..<layout.rows {
                for lane in 0..<layout.lanes {
                    for bit in 0..<bits {
                        tile.initializeMemory(as: UInt8.self, repeating: 0, count: layout.byteCount)
                        layout.setCode(1 << UInt8(bit), tile, row: row, lane: lane)
                        let offset = layout.bitOffset(row: row, lane: lane, bit: bit)
                        let byte = tile.load(fromByteOffset: offset / 8, as: UInt8.self)
                        guard byte == 1 << UInt8(offset % 8) else {
                            Issue.record("\(row), \(lane), bit \(bit)")
                            return
                        }
                    }
                }
            }
        }
    }
}
