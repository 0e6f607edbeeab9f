extension TokenizerBuild {
    /// Merge rules or scores, the pieces of single bytes, and the unknown token.
    mutating func settleMerging(
        _ fields: TokenizerFields, isText: [Bool]
    ) throws(TokenizerError) {
        if fields.merges.count > Self.pieceLimit {
            throw .tooLarge(
                what: "merge rules", found: fields.merges.count, limit: Self.pieceLimit)
        }
        if rules.emitsUnknown, let id = fields.unknown { unknownID = id }
        switch fields.model {
        case .byteLevelBPE:
            if fields.merges.isEmpty { throw .missingMerges }
            for byte in UInt8.min ... .max {
                if let id = pieces.find(ByteAlphabet.spelling(of: byte)), isText[Int(id)] {
                    byteIDs[Int(byte)] = id
                }
            }
            merges = try Self.mergeTable(fields.merges, pieces, isText: isText)
            priorities = isText.map { $0 ? 0 : .max }
        case .sentencePiece:
            if !fields.merges.isEmpty {
                merges = try Self.mergeTable(fields.merges, pieces, isText: isText)
                priorities = isText.map { $0 ? 0 : .max }
            } else if fields.scores.isEmpty {
                throw .missing(path: "the pieces' scores")
            } else {
                priorities = zip(fields.scores, isText).map {
                    $1 ? ScoredPairs.priority(of: $0) : .max
                }
            }
            findInnerMarkers(isText)
        }
    }

    /// Reads `left right` lines against the vocabulary.
    ///
    /// A rule that would make a special token is kept out: ordinary text never becomes one.
    private static func mergeTable(
        _ lines: [[UInt8]], _ pieces: PieceTable, isText: [Bool]
    ) throws(TokenizerError) -> MergeTable {
        var rules: [(left: Int32, right: Int32, result: Int32)] = []
        rules.reserveCapacity(lines.count)
        var failure: TokenizerError?
        var joined: [UInt8] = []
        for (index, line) in lines.enumerated() {
            let blank = line.firstIndex(of: 0x20)
            guard let blank, blank > 0, blank < line.count - 1,
                line[(blank + 1)...].firstIndex(of: 0x20) == nil
            else {
                throw .invalidMerge(
                    index: index,
                    reason: "“\(preview(line))” is not two pieces with a blank between")
            }
            joined.removeAll(keepingCapacity: true)
            joined.append(contentsOf: line[..<blank])
            joined.append(contentsOf: line[(blank + 1)...])
            let ids = joined.withUnsafeBufferPointer { bytes -> (Int32, Int32, Int32) in
                guard let base = bytes.baseAddress else { return (-1, -1, -1) }
                return (
                    pieces.find(base, blank), pieces.find(base + blank, bytes.count - blank),
                    pieces.find(base, bytes.count)
                )
            }
            guard ids.0 >= 0, ids.1 >= 0, ids.2 >= 0 else {
                let missing =
                    ids.0 < 0
                    ? preview(line[..<blank])
                    : ids.1 < 0 ? preview(line[(blank + 1)...]) : preview(joined)
                failure = .invalidMerge(
                    index: index, reason: "needs “\(missing)”, which is not in the vocabulary")
                break
            }
            rules.append((ids.0, ids.1, isText[Int(ids.2)] ? ids.2 : -1))
        }
        if let failure { throw failure }
        return MergeTable(rules)
    }

    /// Finds out before which bytes text can be cut at a `▁` without changing the result.
    ///
    /// Merges cross the border between another character and `▁` only if some piece holds the two
    /// in this order. Hardly any vocabulary has one (Gemma has one: `>▁</`), so that text falls
    /// into words, which are short and repeat.
    private mutating func findInnerMarkers(_ isText: [Bool]) {
        guard let id = pieces.find(Self.marker), isText[Int(id)] else { return }
        joinsMarker = .init(repeating: false, count: 256)
        for id in 0..<pieces.count where isText[id] {
            let piece = pieces[id]
            guard piece.count > 3 else { continue }
            for index in 1..<(piece.count - 2) where piece[index] == Self.marker[0] {
                if piece[index + 1] == Self.marker[1], piece[index + 2] == Self.marker[2],
                    !(index >= 3 && piece[index - 3] == Self.marker[0]
                        && piece[index - 2] == Self.marker[1]
                        && piece[index - 1] == Self.marker[2])
                {
                    joinsMarker[Int(piece[index - 1])] = true
                }
            }
        }
    }

    /// The tokens after which generation stops.
    mutating func settleEnds(_ fields: TokenizerFields) {
        let turns = [
            "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end_of_turn|>", "<|end|>", "<|eom_id|>",
        ]
        let texts = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"]
        let turnIDs = turns.compactMap { specialID($0) }
        endOfTurn = fields.endOfTurn ?? turnIDs.first
        var ends = Set(turnIDs + texts.compactMap { specialID($0) })
        ends.formUnion(rules.endsOfGeneration)
        if let id = fields.endOfSequence { ends.insert(id) }
        if let id = fields.endOfTurn { ends.insert(id) }
        endOfGeneration = ends.sorted()
    }

    private func specialID(_ name: String) -> Int32? {
        pieces.find(Array(name.utf8)).flatMap { special[Int($0)] ? $0 : nil }
    }
}
