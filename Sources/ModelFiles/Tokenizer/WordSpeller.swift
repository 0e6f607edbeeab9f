/// Turns words into ids, remembering the words that it has met.
///
/// The memory is a table of the last word for each hash:
///
///     entry   hash | place and buffer of the word | its length | place and number of its ids
///
/// so that a hit costs a comparison and a copy, and nothing is ever allocated for it.
///
/// Measured with everything around it, one core of a server, Wikitext-2's test set (1.29 MB):
///
///     SmolLM2  49152 pieces   57 MB/s        Gemma 3  262144 pieces   11 MB/s
///     Qwen2   151936 pieces   19 MB/s        a megabyte of random letters in one word: 1 … 3 MB/s
struct WordSpeller: ~Copyable {
    private struct Entry: BitwiseCopyable {
        var hash: UInt64
        var start: Int
        var ids: Int
        var length: Int32
        var idCount: Int32
    }

    /// Longer words are cut, so that positions in a word fit 32 bits.
    private static let wordLimit = 1 << 30
    /// Longer words are not remembered: they hardly repeat.
    private static let memoryLimit = 64

    private let merges: MergeTable?
    private let pieces: PieceTable
    private let texts: PieceTable
    private let priorities: ConstantTable<UInt32>
    private let byteIDs: ConstantTable<Int32>
    private let isByteLevel: Bool
    private let ignoresMerges: Bool
    private let fusesUnknown: Bool
    private let fallsBackToBytes: Bool
    private let unknownID: Int32
    private let seed: UInt64
    private var merger: PairMerger
    private var output: GrowingBuffer<Int32>
    private let entries: UnsafeMutablePointer<Entry>
    private let entryMask: Int

    init(_ tokenizer: Tokenizer, inputCount: Int) {
        var size = 64
        while size < 16384, size < inputCount / 8 { size *= 2 }
        let table = UnsafeMutablePointer<Entry>.allocate(capacity: size)
        table.initialize(
            repeating: Entry(hash: 0, start: 0, ids: 0, length: 0, idCount: 0), count: size)
        merger = PairMerger()
        output = GrowingBuffer(capacity: inputCount / 4 + 16)
        entries = table
        entryMask = size - 1
        seed = UInt64.random(in: .min ... .max)
        merges = tokenizer.merges
        pieces = tokenizer.pieces
        texts = tokenizer.texts
        priorities = tokenizer.priorities
        byteIDs = tokenizer.byteIDs
        isByteLevel = tokenizer.model == .byteLevelBPE
        ignoresMerges = tokenizer.rules.ignoresMerges
        fusesUnknown = tokenizer.rules.fusesUnknown
        fallsBackToBytes = tokenizer.rules.fallsBackToBytes
        unknownID = tokenizer.unknownID
    }

    deinit { entries.deallocate() }

    mutating func emit(_ id: Int32) { output.append(id) }

    func ids() -> [Int32] { output.array() }

    /// Writes the ids of the word `text[start ..< end]`.
    @inline(__always)
    mutating func spell(
        _ text: UnsafePointer<UInt8>, _ source: EncodePass.Source, _ start: Int, _ end: Int
    ) {
        let length = end - start
        if length == 1, isByteLevel {
            let id = byteIDs.pointer[Int(text[start])]
            if id >= 0 { return output.append(id) }
        }
        if length > Self.memoryLimit { return spellLong(text, start, end) }
        let hash = hashBytes(text + start, length, seed: seed)
        let slot = Int(truncatingIfNeeded: hash >> 32) & entryMask
        let known = entries[slot]
        // The lowest bit of the place says which buffer it is in. Only words of the same buffer are
        // compared, since only that one's address is at hand.
        let place = start << 1 | (source == .arena ? 1 : 0)
        if known.hash == hash, Int(known.length) == length, known.start & 1 == place & 1,
            equalBytes(text + known.start >> 1, text + start, length)
        {
            return output.appendOwn(from: known.ids, Int(known.idCount))
        }
        let before = output.count
        merge(text + start, length)
        entries[slot] = Entry(
            hash: hash, start: place, ids: before, length: Int32(truncatingIfNeeded: length),
            idCount: Int32(truncatingIfNeeded: output.count - before))
    }

    private mutating func spellLong(_ text: UnsafePointer<UInt8>, _ start: Int, _ end: Int) {
        var start = start
        while start < end {
            let part = min(end - start, Self.wordLimit)
            merge(text + start, part)
            start += part
        }
    }

    @inline(never)
    private mutating func merge(_ word: UnsafePointer<UInt8>, _ length: Int) {
        if isByteLevel {
            mergeBytes(word, length)
        } else {
            mergeCharacters(word, length)
        }
    }

    // MARK: - Byte-level byte-pair encoding

    private mutating func mergeBytes(_ word: UnsafePointer<UInt8>, _ length: Int) {
        if ignoresMerges {
            let id = texts.find(word, length)
            if id >= 0 { return output.append(id) }
        }
        merger.begin(length)
        var lastIsUnknown = false
        for index in 0..<length {
            var id = byteIDs.pointer[Int(word[index])]
            if id < 0 {
                // Neighbours of a byte that is dropped become neighbours.
                if unknownID < 0 || fusesUnknown && lastIsUnknown { continue }
                id = unknownID
                lastIsUnknown = true
            } else {
                lastIsUnknown = false
            }
            merger.append(Symbol(id: id, start: Int32(index), end: Int32(index + 1)))
        }
        if let merges { merger.merge(RankedPairs(merges: merges)) }
        for index in 0..<merger.count { output.append(merger.symbols[index].id) }
    }

    // MARK: - SentencePiece

    private mutating func mergeCharacters(_ word: UnsafePointer<UInt8>, _ length: Int) {
        merger.begin(length)
        var lastIsUnknown = false
        var index = 0
        while index < length {
            let step = readScalar(word, index, length).length
            var id = pieces.find(word + index, step)
            if id >= 0, priorities.pointer[Int(id)] == .max { id = -1 }
            let end = index + step
            // With scores, a character without a piece may yet be part of a longer one; with ranked
            // merges it cannot, and Hugging Face spells it out before merging.
            if id >= 0 || merges == nil {
                merger.append(Symbol(id: id, start: Int32(index), end: Int32(end)))
                lastIsUnknown = false
            } else if hasBytes(word, index, end) {
                for at in index..<end {
                    merger.append(
                        Symbol(
                            id: byteIDs.pointer[Int(word[at])], start: Int32(at),
                            end: Int32(at + 1)))
                }
                lastIsUnknown = false
            } else if unknownID >= 0, !(fusesUnknown && lastIsUnknown) {
                merger.append(Symbol(id: unknownID, start: Int32(index), end: Int32(end)))
                lastIsUnknown = true
            }
            index = end
        }
        if let merges {
            merger.merge(RankedPairs(merges: merges))
        } else {
            merger.merge(
                ScoredPairs(pieces: pieces, priorities: priorities.pointer, word: word))
        }
        lastIsUnknown = false
        for at in 0..<merger.count {
            let symbol = merger.symbols[at]
            if symbol.id >= 0 {
                output.append(symbol.id)
                lastIsUnknown = false
            } else if hasBytes(word, Int(symbol.start), Int(symbol.end)) {
                for byte in Int(symbol.start)..<Int(symbol.end) {
                    output.append(byteIDs.pointer[Int(word[byte])])
                }
                lastIsUnknown = false
            } else if unknownID >= 0, !(fusesUnknown && lastIsUnknown) {
                output.append(unknownID)
                lastIsUnknown = true
            }
        }
    }

    /// Whether every byte of a character has a byte piece.
    private func hasBytes(_ word: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Bool {
        guard fallsBackToBytes else { return false }
        for index in start..<end where byteIDs.pointer[Int(word[index])] < 0 { return false }
        return true
    }
}
