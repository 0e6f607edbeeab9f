/// Checks a file's fields and works out the tables that a ``Tokenizer`` consists of.
struct TokenizerBuild {
    var rules: TokenizerRules
    let pieces: PieceTable
    let texts: PieceTable
    let special: [Bool]
    var byteIDs = [Int32](repeating: -1, count: 256)
    var merges: MergeTable?
    var priorities: [UInt32] = []
    var unknownID: Int32 = -1
    var joinsMarker = [Bool](repeating: true, count: 256)
    var endOfTurn: Int32?
    var endOfGeneration: [Int32] = []
    let rawMatcher: AddedTokenMatcher
    let normalizedMatcher: AddedTokenMatcher
    let segmentMatcher: AddedTokenMatcher

    /// More pieces than any model has; keeps ids inside 32 bits with room to spare.
    static let pieceLimit = 1 << 24
    /// U+2581, which SentencePiece writes for a blank.
    static let marker: [UInt8] = [0xE2, 0x96, 0x81]

    init(_ fields: TokenizerFields) throws(TokenizerError) {
        try Self.check(fields)
        var rules: TokenizerRules
        if let given = fields.rules {
            rules = given
        } else {
            rules = try TokenizerRules(inferredFrom: fields)
        }
        if fields.model == .byteLevelBPE, rules.preTokenizer == nil {
            throw .missing(path: "the pre-tokenizer")
        }
        let count = fields.pieces.count
        var kinds = fields.kinds
        if kinds.isEmpty { kinds = .init(repeating: .normal, count: count) }
        let named = [
            fields.beginningOfSequence, fields.endOfSequence, fields.endOfTurn, fields.padding,
        ]
        if fields.kinds.isEmpty {
            for id in named.compactMap({ $0 }) { kinds[Int(id)] = .control }
        }
        let files = Self.markedPieces(fields, kinds)
        for id in 0..<count where kinds[id] == .normal || kinds[id] == .userDefined {
            // Only a few pieces have the shape; the set's hashing is kept from the rest.
            guard let first = files[id].first, first == 0x3C || first == 0x5B else { continue }
            if files[id].count < 20,
                TokenizerRules.turnMarkers.contains(String(decoding: files[id], as: UTF8.self))
            {
                kinds[id] = .control
            }
        }
        try Self.settleAddedTokens(&rules, files, &kinds)
        var special = kinds.map { $0 == .control || $0 == .unknown }
        for token in rules.addedTokens { special[Int(token.id)] = token.isSpecial }
        self.special = special

        // Added tokens are literal; everything else is in the model's spelling.
        pieces = try PieceTable(files) { !files[$0].isEmpty }
        var spelled = [Bool](repeating: false, count: count)
        var plain = files
        for id in 0..<count where kinds[id] == .normal || kinds[id] == .unused {
            if fields.model == .sentencePiece {
                plain[id] = Self.unmarked(files[id])
            } else if let bytes = ByteAlphabet.bytes(spelledBy: files[id]) {
                plain[id] = bytes
                spelled[id] = kinds[id] == .normal
            }
        }
        let usesTexts = rules.ignoresMerges
        if fields.model == .sentencePiece {
            for id in 0..<count where kinds[id] == .userDefined {
                plain[id] = Self.unmarked(files[id])
            }
            for id in 0..<count where kinds[id] == .byte {
                guard let byte = Self.byte(spelledBy: files[id]) else {
                    throw .unsupported(
                        what: "byte piece", found: preview(files[id]), supported: "<0x00> … <0xFF>")
                }
                plain[id] = [byte]
                byteIDs[Int(byte)] = Int32(id)
            }
        }
        texts = try PieceTable(plain) { usesTexts && spelled[$0] }
        self.rules = rules

        let raw = rules.addedTokens.filter { !$0.matchesNormalized }
        let normalized = rules.addedTokens.filter(\.matchesNormalized)
        rawMatcher = AddedTokenMatcher(raw)
        normalizedMatcher = AddedTokenMatcher(
            normalized,
            patterns: normalized.map { Self.normalizedPattern($0.content, rules, fields.model) })
        segmentMatcher = AddedTokenMatcher(
            rules.addedTokens.filter { $0.isSpecial || !$0.matchesNormalized })

        let isText = kinds.map { $0 == .normal || $0 == .userDefined || $0 == .unused }
        try settleMerging(fields, isText: isText)
        settleEnds(fields)
    }

    /// Lengths, ids and scores.
    private static func check(_ fields: TokenizerFields) throws(TokenizerError) {
        let count = fields.pieces.count
        if count == 0 { throw .emptyVocabulary }
        if count > pieceLimit { throw .tooLarge(what: "pieces", found: count, limit: pieceLimit) }
        if !fields.kinds.isEmpty, fields.kinds.count != count {
            throw .countMismatch(what: "piece kinds", found: fields.kinds.count, expected: count)
        }
        if !fields.scores.isEmpty, fields.scores.count != count {
            throw .countMismatch(what: "scores", found: fields.scores.count, expected: count)
        }
        if let bad = fields.scores.firstIndex(where: \.isNaN) { throw .invalidScore(id: bad) }
        let named: [(String, Int32?)] = [
            ("the beginning-of-sequence id", fields.beginningOfSequence),
            ("the end-of-sequence id", fields.endOfSequence),
            ("the end-of-turn id", fields.endOfTurn), ("the unknown id", fields.unknown),
            ("the padding id", fields.padding),
        ]
        for (what, id) in named {
            if let id, id < 0 || Int(id) >= count {
                throw .idOutOfRange(what: what, id: Int(id), count: count)
            }
        }
        guard let rules = fields.rules else { return }
        for id in rules.prefix + rules.suffix + rules.endsOfGeneration + rules.addedTokens.map(\.id)
        where id < 0 || Int(id) >= count {
            throw .idOutOfRange(what: "an added token's id", id: Int(id), count: count)
        }
    }

    /// The file's pieces; SentencePiece's user-defined ones with `▁` where GGUF wrote blanks.
    ///
    /// GGUF stores Gemma's runs of blanks as blanks, while everything else in the file, and the
    /// text that pieces are compared with, has `▁`.
    private static func markedPieces(
        _ fields: TokenizerFields, _ kinds: [TokenizerFields.Kind]
    ) -> [[UInt8]] {
        guard fields.model == .sentencePiece else { return fields.pieces }
        var changes: [[UInt8]: Int] = [:]
        for (id, piece) in fields.pieces.enumerated()
        where kinds[id] == .userDefined && piece.contains(0x20) {
            changes[piece.flatMap { $0 == 0x20 ? marker : [$0] }] = id
        }
        if changes.isEmpty { return fields.pieces }
        // Hashing every piece would cost more than all the rest of this function.
        var firsts = [Bool](repeating: false, count: 256)
        for piece in changes.keys { firsts[Int(piece[0])] = true }
        for piece in fields.pieces {
            if let first = piece.first, firsts[Int(first)], changes[piece] != nil {
                changes[piece] = nil
            }
        }
        var result = fields.pieces
        for (piece, id) in changes { result[id] = piece }
        return result
    }

    /// Lists the added tokens that kinds imply, and makes kinds agree with those that are listed.
    private static func settleAddedTokens(
        _ rules: inout TokenizerRules, _ pieces: [[UInt8]], _ kinds: inout [TokenizerFields.Kind]
    ) throws(TokenizerError) {
        if rules.addedTokens.isEmpty {
            for (id, kind) in kinds.enumerated() {
                guard kind == .control || kind == .unknown || kind == .userDefined else { continue }
                rules.addedTokens.append(
                    .init(
                        id: Int32(id), content: pieces[id], isSpecial: kind != .userDefined))
            }
            return
        }
        for index in rules.addedTokens.indices {
            let id = Int(rules.addedTokens[index].id)
            if kinds[id] == .control || kinds[id] == .unknown {
                rules.addedTokens[index].isSpecial = true
            } else {
                kinds[id] = rules.addedTokens[index].isSpecial ? .control : .userDefined
            }
        }
    }

    private static func unmarked(_ piece: [UInt8]) -> [UInt8] {
        guard piece.contains(marker[0]) else { return piece }
        var result: [UInt8] = []
        var index = 0
        while index < piece.count {
            if piece[index...].starts(with: marker) {
                result.append(0x20)
                index += 3
            } else {
                result.append(piece[index])
                index += 1
            }
        }
        return result
    }

    /// The byte that `<0x0A>` stands for.
    static func byte(spelledBy piece: [UInt8]) -> UInt8? {
        guard piece.count == 6, piece.starts(with: "<0x".utf8), piece[5] == UInt8(ascii: ">") else {
            return nil
        }
        return UInt8(String(decoding: piece[3..<5], as: UTF8.self), radix: 16)
    }

    /// What the normalizer makes of an added token's own text, for finding it after normalization.
    private static func normalizedPattern(
        _ content: [UInt8], _ rules: TokenizerRules, _ model: TokenizerFields.Model
    ) -> [UInt8] {
        if model == .sentencePiece {
            let body = content.flatMap { $0 == 0x20 ? marker : [$0] }
            return rules.spacePrefix == .always && !body.isEmpty ? marker + body : body
        }
        guard rules.composesCharacters else { return content }
        var buffer = GrowingBuffer<UInt8>(capacity: content.count)
        content.withUnsafeBufferPointer { bytes in
            if let base = bytes.baseAddress {
                CanonicalComposition.shared.append(base, bytes.count, to: &buffer)
            }
        }
        return buffer.array()
    }
}
