package import KVCache
import Synchronization

/// The CPU's order of a tile and the GPU's, and exact conversion between them.
///
/// Both hold the same bits: codes, scales and zero points; iq_device_tile.h draws where the GPU keeps them. A code is
/// moved by taking the word that holds it, rotating it and masking it. Codes that come from the same word, by the same
/// rotation, into the same word move together, so that a tile takes about one move a code:
///
///     target[w] = OR over moves of w:  rotate(source[move.source], move.rotation) & move.mask
///
/// Scales and zero points are whole float16s and so have a list of indices instead, as have float16 tiles. Norms of
/// rotated vectors are in the order of tokens on both sides.
/// The lists are made once for each format and head size; see ``shared(_:headSize:format:)``.
package struct DeviceTileOrder: Sendable {
    /// What a tile holds.
    package enum Tensor: Sendable, Hashable, CaseIterable { case keys, values }

    package let tensor: Tensor
    /// The CPU's layout of the tile. The GPU's has the same size, and scales and zero points at the same offsets.
    package let layout: TileLayout
    private let codesToDevice: BitMoves
    private let codesToHost: BitMoves
    /// Host index of each float16 of a tile in device order: values of a float16 tile, scales of a grouped one, norms of
    /// a rotated one.
    private let hostHalves: [UInt16]

    /// - Parameter headSize: 64, 96, 128 or 256, the sizes that device tiles are made for.
    package init(_ tensor: Tensor, headSize: Int, format: TensorFormat) {
        self.tensor = tensor
        let layout =
            tensor == .keys
            ? TileLayout.keys(headSize: headSize, format: format)
            : .values(headSize: headSize, format: format)
        self.layout = layout
        let places = DeviceTilePlaces(tensor, headSize: headSize, format: format)
        var halves: [UInt16]
        switch format {
        case .float16: halves = Array(repeating: 0, count: layout.rows * layout.lanes)
        case .grouped: halves = Array(repeating: 0, count: layout.groupCount)
        case .codebook: halves = []
        case .rotated: halves = Array(0..<UInt16(TileLayout.tokens))
        }
        var bits: [(host: Int, device: Int)] = []
        bits.reserveCapacity(8 * layout.codeBytes)
        for token in 0..<TileLayout.tokens {
            for channel in 0..<headSize {
                let (row, lane) = tensor == .keys ? (channel, token) : (token, channel)
                guard let codeBits = format.codeBits else {
                    halves[places.half(token: token, channel: channel)] = UInt16(
                        row * layout.lanes + lane)
                    continue
                }
                if format.grouped != nil {
                    halves[places.scale(token: token, channel: channel)] = UInt16(
                        layout.group(row: row, lane: lane))
                }
                for bit in 0..<codeBits {
                    bits.append(
                        (
                            layout.bitOffset(row: row, lane: lane, bit: bit),
                            places.bit(bit, token: token, channel: channel)
                        ))
                }
            }
        }
        hostHalves = halves
        let words = format.codeBits == nil ? 0 : layout.codeBytes / 4
        codesToDevice = BitMoves(words: words, bits.lazy.map { ($0.host, $0.device) })
        codesToHost = BitMoves(words: words, bits.lazy.map { ($0.device, $0.host) })
    }

    private struct Key: Hashable {
        var tensor: Tensor
        var headSize: Int
        var format: TensorFormat
    }

    private static let made = Mutex<[Key: DeviceTileOrder]>([:])

    /// The order of that kind of tile; made when it is first asked for, which takes some milliseconds.
    package static func shared(
        _ tensor: Tensor, headSize: Int, format: TensorFormat
    ) -> DeviceTileOrder {
        let key = Key(tensor: tensor, headSize: headSize, format: format)
        return made.withLock { made in
            if let order = made[key] { return order }
            let order = DeviceTileOrder(tensor, headSize: headSize, format: format)
            made[key] = order
            return order
        }
    }

    /// Bytes of the tile, on either side.
    package var byteCount: Int { layout.byteCount }

    /// Writes the device's order of a tile in the CPU's order. Both are `byteCount` bytes, aligned to 4, and disjoint.
    package func toDevice(_ host: UnsafeRawPointer, _ device: UnsafeMutableRawPointer) {
        codesToDevice.apply(host, device)
        forEachHalfArray { offset in
            let source = (host + offset).assumingMemoryBound(to: UInt16.self)
            let target = (device + offset).assumingMemoryBound(to: UInt16.self)
            hostHalves.withUnsafeBufferPointer {
                for i in 0..<$0.count { target[i] = source[Int($0[i])] }
            }
        }
    }

    /// Writes the CPU's order of a tile in the device's order. Both are `byteCount` bytes, aligned to 4, and disjoint.
    package func toHost(_ device: UnsafeRawPointer, _ host: UnsafeMutableRawPointer) {
        codesToHost.apply(device, host)
        forEachHalfArray { offset in
            let source = (device + offset).assumingMemoryBound(to: UInt16.self)
            let target = (host + offset).assumingMemoryBound(to: UInt16.self)
            hostHalves.withUnsafeBufferPointer {
                for i in 0..<$0.count { target[Int($0[i])] = source[i] }
            }
        }
    }

    /// Calls `body` with the offset of each array of float16s.
    @inline(__always)
    private func forEachHalfArray(_ body: (Int) -> Void) {
        switch layout.format {
        case .float16: body(0)
        case .grouped(let grouped):
            body(layout.scaleOffset)
            if grouped.storesZeros { body(layout.zeroOffset) }
        case .codebook: break
        case .rotated: body(layout.normOffset)
        }
    }
}

/// Moves of bit fields between two arrays of 32-bit words of the same length.
struct BitMoves: Sendable {
    struct Move {
        var mask: UInt32
        var source: UInt16
        /// To the left.
        var rotation: UInt16
    }

    private var moves: [Move] = []
    /// Moves of target word w: `starts[w] ..< starts[w + 1]`.
    private var starts: [Int32] = [0]

    /// - Parameter bits: source and target of each bit, from the start of the arrays.
    init(words: Int, _ bits: some Sequence<(Int, Int)>) {
        var perWord = [[Move]](repeating: [], count: words)
        for (source, target) in bits {
            let rotation = UInt16((target - source) & 31)
            let mask = UInt32(1) << UInt32(target % 32)
            let index = perWord[target / 32].firstIndex {
                $0.source == source / 32 && $0.rotation == rotation
            }
            if let index {
                perWord[target / 32][index].mask |= mask
            } else {
                perWord[target / 32].append(
                    Move(mask: mask, source: UInt16(source / 32), rotation: rotation))
            }
        }
        for list in perWord {
            moves += list
            starts.append(Int32(moves.count))
        }
    }

    func apply(_ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer) {
        let source = source.assumingMemoryBound(to: UInt32.self)
        let target = target.assumingMemoryBound(to: UInt32.self)
        moves.withUnsafeBufferPointer { moves in
            starts.withUnsafeBufferPointer { starts in
                guard let moves = moves.baseAddress else { return }
                for word in 0..<starts.count - 1 {
                    var value: UInt32 = 0
                    for i in Int(starts[word])..<Int(starts[word + 1]) {
                        let move = moves[i]
                        let bits = source[Int(move.source)]
                        let turn = UInt32(move.rotation)
                        value |= (bits &<< turn | bits &>> (32 &- turn)) & move.mask
                    }
                    target[word] = value
                }
            }
        }
    }
}
