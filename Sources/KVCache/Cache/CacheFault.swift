extension SequenceCache {
    /// Breaks everything that is sealed from now on, so that one sees whether a measure notices: the codes of each tile are
    /// shuffled, in words of 32 bits, always alike. Scales, outliers and what is in float16 stay as they are.
    package func shuffleCodesFromNowOn() {
        for layer in layers { layer.shufflesCodes = true }
    }
}

extension LayerCache {
    /// Shuffles the codes of a page that was just sealed.
    func shuffleCodes(in page: UnsafeMutableRawPointer, tile: Int) {
        for head in 0..<shape.kvHeads {
            let start = page + head * pageLayout.headBytes
            var numbers = SplitMix64(seed: UInt64(tile * shape.kvHeads + head))
            Self.shuffle(start, keyLayout.codeBytes / 4, &numbers)
            Self.shuffle(start + keyLayout.byteCount, valueLayout.codeBytes / 4, &numbers)
        }
    }

    /// Fisher and Yates' shuffle.
    private static func shuffle(
        _ start: UnsafeMutableRawPointer, _ count: Int, _ numbers: inout SplitMix64
    ) {
        let words = start.assumingMemoryBound(to: UInt32.self)
        for last in stride(from: count - 1, to: 0, by: -1) {
            let other = Int(numbers.next() % UInt64(last + 1))
            let word = words[last]
            words[last] = words[other]
            words[other] = word
        }
    }
}
