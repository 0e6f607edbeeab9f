/// One run of the encoder over one input.
///
///     input ─ find added tokens ─► stretches ─ normalize ─► arena ─ cut ─► words ─ merge ─► ids
///
/// The arena holds normalized text; without normalization words are cut from the input itself.
/// Words that were merged before are copied from where their ids already stand in the output.
struct EncodePass: ~Copyable {
    /// Which buffer a word lies in.
    enum Source { case input, arena }

    private let tokenizer: Tokenizer
    private let rules: TokenizerRules
    private let input: UnsafePointer<UInt8>
    private let inputCount: Int
    private let scope: SpecialScope
    private let composes: Bool
    private var arena: GrowingBuffer<UInt8>
    private var speller: WordSpeller
    /// The first region that may still hold a special token.
    private var region: Int

    init(_ tokenizer: Tokenizer, _ buffer: UnsafeBufferPointer<UInt8>, _ scope: SpecialScope) {
        // Everything is worked out before the first property is set. Reading `self` in between made
        // the optimizer (Swift 6.3.1) destroy a buffer that was not there yet.
        let rules = tokenizer.rules
        // An empty buffer has no address; nothing is read from it.
        let start = buffer.baseAddress ?? emptyText.pointer
        let composes =
            rules.composesCharacters && CanonicalComposition.mayChange(start, buffer.count)
        let usesArena = composes || rules.preTokenizer == nil
        arena = GrowingBuffer(capacity: usesArena ? buffer.count + buffer.count / 2 : 0)
        speller = WordSpeller(tokenizer, inputCount: buffer.count)
        input = start
        inputCount = buffer.count
        self.tokenizer = tokenizer
        self.rules = rules
        self.scope = scope
        self.composes = composes
        region = 0
    }

    mutating func emit(_ id: Int32) { speller.emit(id) }

    func result() -> [Int32] { speller.ids() }

    mutating func run() {
        var position = 0
        var stretch = 0
        let matcher: AddedTokenMatcher
        if case .inside = scope {
            matcher = tokenizer.segmentMatcher
        } else {
            matcher = tokenizer.rawMatcher
        }
        while let match = matcher.next(in: input, from: position, end: inputCount) {
            position = match.end
            let token = matcher.tokens[match.token]
            guard match.start >= stretch, !token.isSpecial || allows(match.start..<match.end),
                !token.isSingleWord || standsAlone(match, input, 0, inputCount)
            else { continue }
            let (start, end) = Self.stripped(match, token, input, stretch, inputCount)
            encodeStretch(stretch, start)
            emit(token.id)
            stretch = end
        }
        encodeStretch(stretch, inputCount)
    }

    /// Whether a special token may be recognized here.
    private mutating func allows(_ range: Range<Int>) -> Bool {
        switch scope {
        case .nowhere: return false
        case .everywhere: return true
        case .inside(let regions):
            while region < regions.count, regions[region].upperBound <= range.lowerBound {
                region += 1
            }
            return region < regions.count && regions[region].lowerBound <= range.lowerBound
                && range.upperBound <= regions[region].upperBound
        }
    }

    /// The match together with the whitespace that its token swallows.
    private static func stripped(
        _ match: AddedTokenMatcher.Match, _ token: TokenizerRules.AddedToken,
        _ text: UnsafePointer<UInt8>, _ lower: Int, _ upper: Int
    ) -> (start: Int, end: Int) {
        var (start, end) = (match.start, match.end)
        if token.stripsLeft {
            while start > lower {
                var previous = start - 1
                while previous > lower, text[previous] & 0xC0 == 0x80 { previous -= 1 }
                let (scalar, length) = readScalar(text, previous, upper)
                guard ScalarClasses.shared[scalar] == ScalarClass.space, previous + length == start
                else { break }
                start = previous
            }
        }
        if token.stripsRight {
            while end < upper {
                let (scalar, length) = readScalar(text, end, upper)
                guard ScalarClasses.shared[scalar] == ScalarClass.space else { break }
                end += length
            }
        }
        return (start, end)
    }

    /// Whether no word character touches the match.
    private func standsAlone(
        _ match: AddedTokenMatcher.Match, _ text: UnsafePointer<UInt8>, _ lower: Int, _ upper: Int
    ) -> Bool {
        if match.start > lower {
            var previous = match.start - 1
            while previous > lower, text[previous] & 0xC0 == 0x80 { previous -= 1 }
            if ScalarClasses.isWordCharacter(readScalar(text, previous, upper).scalar) {
                return false
            }
        }
        return match.end == upper
            || !ScalarClasses.isWordCharacter(readScalar(text, match.end, upper).scalar)
    }

    // MARK: - Stretches between added tokens

    private mutating func encodeStretch(_ start: Int, _ end: Int) {
        if start == end { return }
        if tokenizer.normalizedMatcher.isEmpty {
            let (source, lower, upper) = normalize(start, end, prefixing: true)
            cut(source, lower, upper)
            return
        }
        let (source, lower, upper) = normalize(start, end, prefixing: false)
        var position = lower
        var stretch = lower
        let matcher = tokenizer.normalizedMatcher
        while let match = matcher.next(in: address(source), from: position, end: upper) {
            position = match.end
            let token = matcher.tokens[match.token]
            // In segments, special tokens have been found before normalization.
            var isAllowed = !token.isSpecial
            if case .everywhere = scope { isAllowed = true }
            guard isAllowed, match.start >= stretch,
                !token.isSingleWord || standsAlone(match, address(source), lower, upper)
            else { continue }
            let (from, to) = Self.stripped(match, token, address(source), stretch, upper)
            prefixAndCut(source, stretch, from, isFirst: start == 0 && stretch == lower)
            emit(token.id)
            stretch = to
        }
        prefixAndCut(source, stretch, upper, isFirst: start == 0 && stretch == lower)
    }

    private func address(_ source: Source) -> UnsafePointer<UInt8> {
        source == .input ? input : UnsafePointer(arena.pointer)
    }

    /// Whether text that begins with this byte gets a blank in front of it by the pre-tokenizer.
    private func needsPrefix(_ startsWithBlank: Bool, isFirst: Bool) -> Bool {
        switch rules.spacePrefix {
        case .never, .always: false
        case .unlessPresent: !startsWithBlank
        case .atStartUnlessPresent: isFirst && !startsWithBlank
        }
    }

    /// Normalizes a stretch of the input. With `prefixing` it also does what pre-tokenizers do
    /// before they cut, which is possible when nothing happens in between.
    private mutating func normalize(
        _ start: Int, _ end: Int, prefixing: Bool
    ) -> (source: Source, start: Int, end: Int) {
        let lower = arena.count
        let startsWithBlank =
            input[start] == 0x20
            || rules.preTokenizer == nil && end - start >= 3 && input[start] == 0xE2
                && input[start + 1] == 0x96 && input[start + 2] == 0x81
        let prefix =
            rules.spacePrefix == .always
            || prefixing && needsPrefix(startsWithBlank, isFirst: start == 0)
        guard rules.preTokenizer == nil else {
            if !composes, !prefix { return (.input, start, end) }
            if prefix { arena.append(0x20) }
            if composes {
                CanonicalComposition.shared.append(input + start, end - start, to: &arena)
            } else {
                arena.append(input + start, end - start)
            }
            return (.arena, lower, arena.count)
        }
        if prefix { appendMarker() }
        for index in start..<end {
            if input[index] == 0x20 { appendMarker() } else { arena.append(input[index]) }
        }
        return (.arena, lower, arena.count)
    }

    private mutating func appendMarker() {
        arena.append(0xE2)
        arena.append(0x96)
        arena.append(0x81)
    }

    private mutating func prefixAndCut(_ source: Source, _ start: Int, _ end: Int, isFirst: Bool) {
        if start == end { return }
        let text = address(source)
        let isMarked =
            end - start >= 3 && text[start] == 0xE2 && text[start + 1] == 0x96
            && text[start + 2] == 0x81
        let startsWithBlank = rules.preTokenizer == nil ? isMarked : text[start] == 0x20
        guard needsPrefix(startsWithBlank, isFirst: isFirst) else { return cut(source, start, end) }
        let lower = arena.count
        if rules.preTokenizer == nil { appendMarker() } else { arena.append(0x20) }
        if source == .arena {
            arena.appendOwn(from: start, end - start)
        } else {
            arena.append(input + start, end - start)
        }
        cut(.arena, lower, arena.count)
    }

    // MARK: - Words

    private mutating func cut(_ source: Source, _ start: Int, _ end: Int) {
        let text = address(source)
        let scanner = WordScanner(text: text, classes: ScalarClasses.shared)
        var index = start
        switch rules.preTokenizer {
        case .gpt2:
            while index < end {
                let next = scanner.gpt2(index, end)
                speller.spell(text, source, index, next)
                index = next
            }
        case .smolLM:
            while index < end {
                let number = scanner.nextNumber(index, end)
                while index < number.index {
                    let next = scanner.gpt2(index, number.index)
                    speller.spell(text, source, index, next)
                    index = next
                }
                if number.length > 0 {
                    speller.spell(text, source, index, index + number.length)
                    index += number.length
                }
            }
        case .llama3, .qwen2:
            let digits = rules.preTokenizer == .llama3 ? 3 : 1
            while index < end {
                let next = scanner.llama3(index, end, digits: digits)
                speller.spell(text, source, index, next)
                index = next
            }
        case nil:
            cutAtMarkers(text, source, start, end)
        }
    }

    /// SentencePiece: cuts before every `▁`, or before every run of them where that is known to
    /// change nothing.
    private mutating func cutAtMarkers(
        _ text: UnsafePointer<UInt8>, _ source: Source, _ start: Int, _ end: Int
    ) {
        let joins = tokenizer.joinsMarker.pointer
        var word = start
        var index = start
        var afterMarker = false
        while index < end {
            guard text[index] == 0xE2, index + 2 < end, text[index + 1] == 0x96,
                text[index + 2] == 0x81
            else {
                afterMarker = false
                index += 1
                continue
            }
            let isBorder =
                rules.splitsAtSpaces
                || !afterMarker && index > start && !joins[Int(text[index - 1])]
            if isBorder, index > word {
                speller.spell(text, source, word, index)
                word = index
            }
            afterMarker = true
            index += 3
        }
        if word < end { speller.spell(text, source, word, end) }
    }
}

private let emptyText = ConstantTable<UInt8>([0])
