import CUDAKernels
import KVCache
import Testing

/// What the GPU computes when it seals tiles, run on the CPU and compared with the cache's own code to the last bit.
@Suite("Arithmetic of sealing")
struct SealArithmeticTests {
    // MARK: - Numbers

    @Test("Conversion to float16 is Swift's")
    func halves() {
        var random = SealRandom(1)
        for bits in UInt16.min...UInt16.max {
            let half = Float16(bitPattern: bits)
            if half.isNaN { continue }
            #expect(iq_half_float(bits).bitPattern == Float(half).bitPattern)
            #expect(iq_half_bits(Float(half)) == bits)
            // Middle of two neighbours, and just beside it.
            let middle = (Float(half) + Float(half.nextUp)) / 2
            for x in [middle, middle.nextUp, middle.nextDown] where x.isFinite {
                #expect(iq_half_bits(x) == Float16(x).bitPattern)
            }
        }
        for _ in 0..<100_000 {
            let x = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
            if x.isNaN { continue }
            #expect(iq_half_bits(x) == Float16(x).bitPattern)
        }
        #expect(iq_stored_half(.nan) == 0)
        #expect(iq_stored_half(.infinity) == Float16(65504).bitPattern)
        #expect(iq_stored_half(-1e9) == Float16(-65504).bitPattern)
        #expect(iq_stored_half(-0.0) == 0x8000)
    }

    @Test(
        "A level without division is that of the rounded quotient, at every boundary of every scale"
    )
    func levels() {
        for bits in UInt16(1)..<0x7C00 {
            for scale in [Float(Float16(bitPattern: bits)), -Float(Float16(bitPattern: bits))] {
                let divisor = iq_divisor_of(scale)
                // All boundaries for few scales, some for all.
                let step: Float = bits % 61 == 0 ? 0.5 : 15.5
                var quotient: Float = -129
                while quotient <= 256 {
                    let middle = quotient * scale
                    for x in [middle, middle.nextUp, middle.nextDown] {
                        let level = min(max(-128, (x / scale).rounded(.toNearestOrEven)), 255)
                        if iq_level(x, divisor, -128, 255) != level {
                            Issue.record("\(x) / \(scale)")
                            return
                        }
                    }
                    quotient += step
                }
                for (x, level): (Float, Float) in [
                    (.infinity, scale > 0 ? 3 : -4), (-.infinity, scale > 0 ? -4 : 3), (.nan, -4),
                    (3e38, scale > 0 ? 3 : -4), (.leastNonzeroMagnitude, 0), (0, 0),
                ] where x != .leastNonzeroMagnitude || bits > 0x400 {
                    #expect(iq_level(x, divisor, -4, 3) == level)
                }
            }
        }
    }

    @Test("A quotient by a reciprocal is the rounded quotient")
    func quotients() {
        var random = SealRandom(3)
        for round in 0..<400_000 {
            let divisor = Float(
                bitPattern: UInt32(random.next() % (40 << 23)) + (107 << 23))
            let reciprocal = 1 / divisor
            var x = Float(bitPattern: UInt32(random.next() % (80 << 23)) + (87 << 23))
            // Every other quotient as near to the middle of two floats as may be.
            if round % 2 == 0 {
                let quotient = x / divisor
                x = Float((Double(quotient) + Double(quotient.ulp) / 2) * Double(divisor))
            }
            if round % 3 == 0 { x = -x }
            guard iq_is_usual(x, divisor) != 0 else { continue }
            let got = iq_usual_quotient(x, divisor, reciprocal)
            if got.bitPattern != (x / divisor).bitPattern {
                Issue.record("\(x) / \(divisor) gave \(got), not \(x / divisor)")
                return
            }
        }
        for x: Float in [0, -0.0] {
            #expect(iq_usual_quotient(x, 3, 1 / 3).bitPattern == x.bitPattern)
        }
        for x: Float in [.nan, .infinity, 1e-30, 1e30] { #expect(iq_is_usual(x, 1) == 0) }
        for divisor: Float in [.nan, .infinity, 0, 1e-30, 1e30] {
            #expect(iq_is_usual(1, divisor) == 0)
        }
    }

    // MARK: - Groups

    static let formats: [GroupedFormat] = {
        var result: [GroupedFormat] = []
        for bits in [2, 3, 4, 8] {
            for mode in QuantizationMode.allCases {
                for levels in LevelSet.allCases {
                    result.append(
                        GroupedFormat(bits: bits, axis: .channel, mode: mode, levels: levels))
                }
            }
        }
        return result
    }()

    @Test("Codes, scale and zero point of a group are the quantizer's", arguments: formats)
    func groups(_ format: GroupedFormat) {
        var random = SealRandom(UInt64(format.bits))
        let layout = TileLayout.keys(headSize: 32, format: .grouped(format))
        let tile = UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 64)
        defer { tile.deallocate() }
        var codes = [UInt8](repeating: 0, count: 32)
        var words = [UInt32](repeating: 0, count: 8)
        let quantizer = GroupQuantizer(format)
        for kind in SealRandom.Kind.allCases {
            for _ in 0..<400 {
                let x = random.group(kind)
                let scale = quantizer.encode(x, count: 32, codes: &codes)
                layout.setScale(scale, tile, group: 0)
                let scaleBits = (tile + layout.scaleOffset).load(as: UInt16.self)
                let zeroBits =
                    format.storesZeros ? (tile + layout.zeroOffset).load(as: UInt16.self) : 0
                let group = iq_encode_group(
                    x, Int32(format.bits), format.mode.number, format.levels.number, &words)
                let got = (0..<32).map { (i: Int) -> UInt8 in
                    UInt8(truncatingIfNeeded: words[i / 4] >> UInt32(8 * (i % 4)))
                }
                guard got == codes, Self.same(group.scale_bits, scaleBits),
                    Self.same(group.zero_bits, zeroBits)
                else {
                    Issue.record(
                        """
                        \(kind) \(x): codes \(got), \(codes); scales \(group.scale_bits), \
                        \(scaleBits); zeros \(group.zero_bits), \(zeroBits)
                        """)
                    return
                }
            }
        }
    }

    /// Which NaN it is does not matter.
    private static func same(_ a: UInt16, _ b: UInt16) -> Bool {
        a == b || (Float16(bitPattern: a).isNaN && Float16(bitPattern: b).isNaN)
    }

    // MARK: - Error feedback

    @Test(
        "Sealing with error feedback gives the cache's tiles",
        arguments: [(64, 3), (96, 2), (128, 3), (128, 4), (256, 8)])
    func feedback(headSize d: Int, bits: Int) {
        for levels in LevelSet.allCases {
            var random = SealRandom(UInt64(d + bits))
            let format = GroupedFormat(bits: bits, axis: .channel, levels: levels)
            var normalization = KeyNormalization.standard
            (normalization.tokens, normalization.skipsSink) = (32, false)
            let policy = CachePolicy(
                name: "", keys: .grouped(format), values: .float16, windows: .none,
                keyNormalization: normalization)
            let cache = LayerCache(
                shape: LayerShape(queryHeads: 2, kvHeads: 1, headSize: d),
                policy: policy.layer(0, of: 1))
            let kinds = SealRandom.Kind.allCases
            // One group of 32 channels of every token is odd in its own way, another is all zeros.
            var keys: [Float] = []
            for token in 0..<32 {
                keys += (0..<d / 32).flatMap {
                    $0 == 1
                        ? [Float](repeating: 0, count: 32)
                        : random.group($0 == 0 ? kinds[token % kinds.count] : .normal)
                }
            }
            let queries = (0..<32).flatMap { _ in
                (0..<2 * d / 32).flatMap { _ in random.group(.normal) }
            }
            cache.append(keys: keys, values: keys, count: 32)
            queries.withUnsafeBufferPointer {
                cache.watch(queries: $0.baseAddress!, position: 0, count: 32)
            }
            cache.seal(visibleFrom: 0)
            var pages: [[UInt8]] = []
            cache.forEachPage { pages.append(Array($0)) }
            let normalizer = cache.normalizer!
            let factors = normalizer.feedback!.factors
            let raw = pages[pages.count - 1]
            let body = pages[pages.count - 2]
            var values = [Float](repeating: 0, count: d * 32)
            raw.withUnsafeBytes { cache.rawKeyLayout.decode($0.baseAddress!, into: &values) }
            values.withUnsafeMutableBufferPointer {
                normalizer.apply(head: 0, keyTile: $0.baseAddress!)
            }
            var targets = [Float](repeating: 0, count: d)
            var codes = [UInt8](repeating: 0, count: d)
            var scales = [UInt16](repeating: 0, count: d / 32)
            for token in 0..<32 {
                let row = (0..<d).map { values[$0 * 32 + token] }
                iq_feedback_token(
                    row, factors, Int32(d), Int32(bits), levels.number, &targets, &codes, &scales)
                body.withUnsafeBytes { page in
                    let tile = page.baseAddress!
                    let expected = (0..<d).map {
                        cache.keyLayout.code(tile, row: $0, lane: token)
                    }
                    #expect(codes == expected)
                    for block in 0..<d / 32 {
                        let stored = (tile + cache.keyLayout.scaleOffset).loadUnaligned(
                            fromByteOffset: 2 * (block * 32 + token), as: UInt16.self)
                        #expect(scales[block] == stored)
                    }
                }
            }
        }
    }

    // MARK: - Packing

    @Test("Packed words hold every code at its place", arguments: [64, 96, 128, 256])
    func packing(headSize d: Int) {
        var random = SealRandom(UInt64(d))
        for isInteger in [true, false] {
            for bits in isInteger ? [2, 3, 4, 8] : [1, 2, 3, 4, 8] {
                let integer: Int32 = isInteger ? 1 : 0
                let perRegister = isInteger ? 4 : 2
                let fragments = isInteger ? d / 16 : d / 8
                let staged = (0..<fragments * 128 * perRegister).map { _ in
                    UInt8(random.next() & ((1 << UInt64(bits)) - 1))
                }
                let words = (0..<d * bits).map { word in
                    iq_packed_word(integer, Int32(bits), Int32(d), Int32(word), staged, 0, 32)
                }
                var errors = 0
                for index in staged.indices {
                    let (register, element) = index.quotientAndRemainder(dividingBy: perRegister)
                    let place = iq_fragment_place(
                        lane: Int32(register / 4 % 32), fragment: Int32(register / 128),
                        reg: Int32(register % 4), element: Int32(element))
                    let code = iq_read_code(words, integer, Int32(bits), Int32(d), place)
                    if UInt8(code & ((1 << UInt32(bits)) - 1)) != staged[index] { errors += 1 }
                }
                #expect(errors == 0)
                // A quarter of the lanes, as a block with error feedback stages them.
                let lane = 4 * perRegister
                var quarter: [UInt8] = []
                for fragment in 0..<fragments {
                    let first = (fragment * 32 + 16) * lane
                    quarter += staged[first..<first + 8 * lane]
                }
                let width = iq_word_width(integer, Int32(bits), Int32(d))
                for word in 0..<d * bits where (16..<24).contains(Int32(word) / width % 32) {
                    let got = iq_packed_word(
                        integer, Int32(bits), Int32(d), Int32(word), quarter, 16, 8)
                    #expect(got == words[word])
                }
            }
        }
    }
}

extension QuantizationMode {
    fileprivate var number: Int32 {
        switch self {
        case .symmetric: Int32(IQ_SYMMETRIC.rawValue)
        case .asymmetric: Int32(IQ_ASYMMETRIC.rawValue)
        case .hybrid: Int32(IQ_HYBRID.rawValue)
        }
    }
}

extension LevelSet {
    fileprivate var number: Int32 {
        switch self {
        case .official: Int32(IQ_OFFICIAL.rawValue)
        case .kernel: Int32(IQ_KERNEL.rawValue)
        case .fullRange: Int32(IQ_FULL_RANGE.rawValue)
        }
    }
}
