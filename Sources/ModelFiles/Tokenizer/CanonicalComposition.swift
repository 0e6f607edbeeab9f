/// Unicode's normalization form C (UAX #15) on bytes that should be UTF-8.
///
/// Written out here because Foundation's on Linux takes some Hangul syllables apart and leaves them
/// so (`"납"` among other scripts, Swift 6.3.1).
struct CanonicalComposition: Sendable {
    static let shared = CanonicalComposition()

    private let decompositions: [UInt32: (UInt32, UInt32)]
    private let compositions: [UInt64: UInt32]

    private init() {
        var decompositions: [UInt32: (UInt32, UInt32)] = [:]
        var compositions: [UInt64: UInt32] = [:]
        let (pairs, excluded) = (CanonicalTables.pairs, CanonicalTables.excludedPairs)
        for index in stride(from: 0, to: pairs.count, by: 3) {
            decompositions[pairs[index]] = (pairs[index + 1], pairs[index + 2])
            compositions[UInt64(pairs[index + 1]) << 32 | UInt64(pairs[index + 2])] = pairs[index]
        }
        for index in stride(from: 0, to: excluded.count, by: 3) {
            decompositions[excluded[index]] = (excluded[index + 1], excluded[index + 2])
        }
        for index in stride(from: 0, to: CanonicalTables.singles.count, by: 2) {
            decompositions[CanonicalTables.singles[index]] = (CanonicalTables.singles[index + 1], 0)
        }
        self.decompositions = decompositions
        self.compositions = compositions
    }

    /// Whether composing could change the text. Errs on the side of yes: only ranges known to hold
    /// nothing that composes or decomposes are passed over.
    static func mayChange(_ text: UnsafePointer<UInt8>, _ count: Int) -> Bool {
        var index = 0
        while index < count {
            // Everything below U+0300 is composed already; its lead bytes are below 0xCC.
            if text[index] < 0xCC {
                index += 1
                continue
            }
            let (scalar, length) = readScalar(text, index, count)
            if scalar != invalidScalar, !isStable(scalar) { return true }
            index += length
        }
        return false
    }

    private static func isStable(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x0000...0x02FF,
            0x03A3...0x03CE,  // Greek letters
            0x0400...0x0482, 0x048A...0x052F,  // Cyrillic
            0x05D0...0x05EA, 0x0620...0x064A,  // Hebrew and Arabic letters
            0x2010...0x2027, 0x2030...0x205E,  // dashes, quotation marks
            0x3001...0x3029, 0x3041...0x3096, 0x30A1...0x30FA,  // CJK marks, kana
            0x3400...0x4DBF, 0x4E00...0x9FFF, 0xAC00...0xD7A3,  // ideographs, Hangul
            0xFF01...0xFF60, 0x1F300...0x1FAFF, 0x20000...0x2A6DF:
            true
        default:
            false
        }
    }

    /// Appends the composed text to `output`; bytes that are not UTF-8 pass through unchanged and
    /// nothing composes across them.
    func append(
        _ text: UnsafePointer<UInt8>, _ count: Int, to output: inout GrowingBuffer<UInt8>
    ) {
        var marked: [Marked] = []
        var index = 0
        while index < count {
            let (scalar, length) = readScalar(text, index, count)
            if scalar == invalidScalar {
                write(&marked, to: &output)
                output.append(text[index])
            } else {
                decompose(scalar, into: &marked)
            }
            index += length
        }
        write(&marked, to: &output)
    }

    /// A scalar with its canonical combining class in the upper byte; 0 for starters.
    private typealias Marked = UInt32

    private func decompose(_ scalar: UInt32, into marked: inout [Marked]) {
        // Nothing below À decomposes, nothing below U+0300 combines.
        if scalar < 0xC0 { return marked.append(scalar) }
        if scalar >= Hangul.syllables, scalar < Hangul.syllables + Hangul.count {
            let index = scalar - Hangul.syllables
            marked.append(Hangul.leads + index / Hangul.perLead)
            marked.append(Hangul.vowels + index % Hangul.perLead / Hangul.perVowel)
            let trail = index % Hangul.perVowel
            if trail > 0 { marked.append(Hangul.trails + trail) }
            return
        }
        if let (first, second) = decompositions[scalar] {
            decompose(first, into: &marked)
            if second != 0 { decompose(second, into: &marked) }
            return
        }
        let combining =
            scalar < 0x300
            ? 0 : Unicode.Scalar(scalar)?.properties.canonicalCombiningClass.rawValue ?? 0
        marked.append(UInt32(combining) << 24 | scalar)
    }

    /// Orders and composes what has been gathered, writes it as UTF-8 and forgets it.
    private func write(_ marked: inout [Marked], to output: inout GrowingBuffer<UInt8>) {
        Self.order(&marked)
        let count = compose(&marked)
        for scalar in marked[..<count] {
            if scalar < 0x80 {
                output.append(UInt8(scalar))
            } else if let encoded = Unicode.Scalar(scalar).flatMap({ UTF8.encode($0) }) {
                for byte in encoded { output.append(byte) }
            }
        }
        marked.removeAll(keepingCapacity: true)
    }

    /// Puts each run of combining marks in ascending order of class, keeping the order within one.
    private static func order(_ marked: inout [Marked]) {
        var index = 0
        while index < marked.count {
            guard marked[index] >> 24 != 0 else {
                index += 1
                continue
            }
            let start = index
            var isOrdered = true
            index += 1
            while index < marked.count, marked[index] >> 24 != 0 {
                if marked[index] >> 24 < marked[index - 1] >> 24 { isOrdered = false }
                index += 1
            }
            if isOrdered { continue }
            // With the place in the key the sort is stable, and n log n however long the run.
            let keys = (start..<index).map { UInt64(marked[$0] >> 24) << 32 | UInt64($0 - start) }
            let run = Array(marked[start..<index])
            for (place, key) in keys.sorted().enumerated() {
                marked[start + place] = run[Int(UInt32(truncatingIfNeeded: key))]
            }
        }
    }

    /// Composes in place, drops the classes, and returns how many scalars are left.
    private func compose(_ marked: inout [Marked]) -> Int {
        var count = 0
        var starter = -1
        var lastClass: UInt32 = 0
        for index in marked.indices {
            let (scalar, combining) = (marked[index] & 0xFF_FFFF, marked[index] >> 24)
            // A mark reaches its starter unless one of the same or a higher class stands between;
            // a starter only when nothing does.
            let isReachable =
                starter >= 0 && (count == starter + 1 || combining != 0 && lastClass < combining)
            if isReachable, let composed = composition(marked[starter], scalar) {
                marked[starter] = composed
                continue
            }
            if combining == 0 { starter = count }
            lastClass = combining
            marked[count] = scalar
            count += 1
        }
        return count
    }

    private func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if first < 0x80, second < 0x80 { return nil }
        if second >= Hangul.vowels, second < Hangul.vowels + 21, first >= Hangul.leads,
            first < Hangul.leads + 19
        {
            return Hangul.syllables + (first - Hangul.leads) * Hangul.perLead
                + (second - Hangul.vowels) * Hangul.perVowel
        }
        if second > Hangul.trails, second < Hangul.trails + Hangul.perVowel,
            first >= Hangul.syllables, first < Hangul.syllables + Hangul.count,
            (first - Hangul.syllables) % Hangul.perVowel == 0
        {
            return first + second - Hangul.trails
        }
        return compositions[UInt64(first) << 32 | UInt64(second)]
    }

    /// Unicode 3.12: a syllable is a lead, a vowel and perhaps a trail, numbered in that order.
    private enum Hangul {
        static let syllables: UInt32 = 0xAC00
        static let count: UInt32 = 11172
        static let leads: UInt32 = 0x1100
        static let vowels: UInt32 = 0x1161
        /// One below the first trail: 0 means none.
        static let trails: UInt32 = 0x11A7
        static let perLead: UInt32 = 588
        static let perVowel: UInt32 = 28
    }
}
