import CUDAKernels
import Foundation
import KVCache
import Testing

/// What the GPU computes when it seals lookup formats, run on the CPU and compared with the cache's own code to the last
/// bit.
@Suite("Arithmetic of sealing lookup formats")
struct LookupArithmeticTests {
    @Test("Cosines and sines are those of the C library, rounded to float32")
    func turns() {
        var random = Random(1)
        var wrong = 0
        for round in 0..<200_000 {
            var angle = Double(random.next() >> 11) / Double(1 << 53)
            angle *= [1, 10, 1e3, 1e5, 1e7, 1e9][round % 6]
            if round % 7 == 0 { angle = (angle / (.pi / 2)).rounded() * (.pi / 2) }
            if round % 11 == 0 { angle.negate() }
            let turn = iq_turn_of(angle)
            if turn.cosine != Float(cos(angle)) || turn.sine != Float(sin(angle)) { wrong += 1 }
        }
        #expect(wrong == 0)
        #expect(iq_turn_of(0).cosine == 1 && iq_turn_of(0).sine == 0)
    }

    @Test("Keys are turned back as the cache turns them", arguments: RotaryPairingCase.all)
    func turningBack(_ test: RotaryPairingCase) {
        let pairs = 32
        let rotary = RotaryShape(
            pairing: test.pairing, frequencies: (0..<pairs).map { pow(10_000, -Double($0) / 32) })
        let turns = RotaryTurns(rotary, sink: 5)
        turns.reserve(tiles: 4000)
        var random = Random(2)
        for tile in [0, 1, 77, 3999] {
            let before = (0..<64 * 32).map { _ in Float(Float16(random.value() * 50)) }
            var after = before
            after.withUnsafeMutableBufferPointer { turns.turnBack($0.baseAddress!, tile: tile) }
            for pair in 0..<pairs {
                let (x, y) = turns.rows(pair)
                let first = iq_turn_of(Double(5 + 32 * tile) * rotary.frequencies[pair])
                for token in 0..<32 {
                    let place = iq_turn(
                        cosine: turns.places[64 * pair + token],
                        sine: turns.places[64 * pair + 32 + token])
                    let turn = iq_turn_sum(first, place)
                    let (a, b) = (before[32 * x + token], before[32 * y + token])
                    let got = (iq_turned_back(0, a, b, turn), iq_turned_back(1, a, b, turn))
                    #expect(got == (after[32 * x + token], after[32 * y + token]))
                }
            }
        }
    }

    struct RotaryPairingCase: Sendable {
        var pairing: RotaryShape.Pairing
        static let all = [Self(pairing: .halfSplit), Self(pairing: .interleaved)]
    }

    @Test("Codes and ranges of a codebook are the cache's", arguments: [2, 3, 4])
    func codes(bits: Int) {
        var random = Random(UInt64(bits))
        for kind in [CodebookLevels.normalFloat, .uniform] {
            let levels = LevelTable.levels(kind, bits: bits)
            let table = LevelTable(levels: levels, decoded: levels)
            for round in 0..<20_000 {
                let size = Float(1 << (random.next() % 12)) / 64
                let low = Float(Float16(random.value() * size))
                let high = round % 50 == 0 ? low : Float(Float16(low + abs(random.value()) * size))
                let range = VectorRange(low: low, high: high)
                let own = iq_vector_range_of(low, high)
                #expect(own.range.bitPattern == range.range.bitPattern)
                #expect(own.zero.bitPattern == range.zero.bitPattern)
                var x = Float(Float16(random.value() * size))
                // Every other one at a boundary.
                if round % 2 == 0, let boundary = table.boundaries.randomElement(using: &random) {
                    x = range.zero + boundary * range.range
                }
                let code = iq_lookup_code(iq_normalized(x, own), table.boundaries, Int32(bits))
                #expect(UInt8(code) == table.code(range.normalize(x)))
            }
        }
    }

    @Test("Float16 numbers are in their order")
    func order() {
        var all = (UInt16.min...UInt16.max).map { Float16(bitPattern: $0) }.filter { !$0.isNaN }
        all.sort()
        var previous = -1
        for number in all {
            let place = Int(iq_half_order(UInt32(number.bitPattern)))
            #expect(place >= previous)
            #expect((place == previous) == (number == 0 && previous == 0x8000))
            #expect(iq_half_of_order(UInt32(place)) == Float(number))
            previous = place
        }
    }

    @Test("Codes are added to the words that hold them", arguments: [1, 2, 3, 4])
    func addingCodes(bits: Int) {
        var random = Random(UInt64(bits))
        let d: Int32 = 64
        for set in 0..<2 as Range<Int32> {
            var words = [UInt32](repeating: 0, count: bits)
            var codes: [UInt32] = []
            for position in 0..<16 as Range<Int32> {
                for element in 0..<2 as Range<Int32> {
                    codes.append(UInt32(random.next() % (1 << UInt64(bits))))
                    iq_add_code(&words, Int32(bits), position, element, codes[codes.count - 1])
                }
            }
            // As a tile whose other lanes and sets are zeros.
            var tile = [UInt32](repeating: 0, count: Int(d) * bits)
            let lane: Int32 = 9
            for j in 0..<bits {
                let w = Int32(bits) * set + Int32(j)
                tile[Int(iq_lane_word(w, Int32(bits) * d / 32, lane))] = words[j]
            }
            for position in 0..<16 as Range<Int32> {
                for element in 0..<2 as Range<Int32> {
                    let place = iq_fragment_place(
                        lane: lane, fragment: 4 * set + position / 4, reg: position % 4,
                        element: element)
                    #expect(
                        iq_read_code(tile, 0, Int32(bits), d, place)
                            == codes[Int(2 * position + element)])
                }
            }
        }
    }

    @Test("Rotated vectors are the quantizer's", arguments: [64, 128, 256], [1, 2, 3, 4])
    func rotated(headSize d: Int, bits: Int) {
        let quantizer = RotatedQuantizer(RotatedFormat(bits: bits), headSize: d)
        var random = Random(UInt64(d + bits))
        var codes = [UInt8](repeating: 0, count: d)
        for round in 0..<100 {
            let size: Float = [1, 1e-4, 1e-7, 3e4, 0][round % 5]
            let x = (0..<d).map { _ in
                Float(Float16(min(max(random.value() * size, -65504), 65504)))
            }
            let norms = quantizer.encode(x, codes: &codes, signs: nil)
            let signs = quantizer.rotation.signs
            var turned = (0..<d).map { iq_mul(signs[$0], x[$0]) }
            let norm = iq_stored_norm(turned.reduce(0) { iq_sum($0, iq_mul($1, $1)) })
            #expect(norm == norms.norm.bitPattern)
            var half = 1
            while half < d {
                turned = turned.indices.map {
                    iq_butterfly(turned[$0], turned[$0 ^ half], $0 & half == 0 ? 0 : 1)
                }
                half *= 2
            }
            #expect(iq_rotation_scale(Int32(d)) == quantizer.rotation.scale)
            let found = turned.map {
                UInt8(
                    iq_rotated_code(
                        iq_mul($0, iq_rotation_scale(Int32(d))), iq_half_float(norm),
                        quantizer.boundaries, Int32(bits)))
            }
            #expect(found == codes)
        }
    }
}
