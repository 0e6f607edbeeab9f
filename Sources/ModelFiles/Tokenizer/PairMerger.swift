/// A piece of the word being merged.
struct Symbol {
    /// The vocabulary's id, or -1 for text without a piece.
    var id: Int32
    /// Where it lies in the text, relative to the word.
    var start: Int32
    var end: Int32
}

/// What two neighbours become.
protocol PairRule {
    /// `priority << 32 | result` (the lowest priority merges first), or ``MergeTable/none``.
    func join(_ left: Symbol, _ right: Symbol) -> UInt64
}

/// Byte-pair encoding: the rank of a rule is its place in the file.
struct RankedPairs: PairRule {
    let merges: MergeTable

    @inline(__always)
    func join(_ left: Symbol, _ right: Symbol) -> UInt64 { merges.find(left.id, right.id) }
}

/// SentencePiece: any two neighbours whose text together is a piece, the best score first.
struct ScoredPairs: PairRule {
    let pieces: PieceTable
    let priorities: UnsafePointer<UInt32>
    let word: UnsafePointer<UInt8>

    @inline(__always)
    func join(_ left: Symbol, _ right: Symbol) -> UInt64 {
        let id = pieces.find(word + Int(left.start), Int(right.end - left.start))
        if id < 0 { return MergeTable.none }
        return UInt64(priorities[Int(id)]) << 32 | UInt64(UInt32(bitPattern: id))
    }

    /// Scores as integers in descending order: the better the score, the lower the number.
    static func priority(of score: Float) -> UInt32 {
        // Adding zero makes -0 and +0 one; flipping makes the bit patterns ascend with the value.
        let bits = (score + 0).bitPattern
        let ascending = bits >> 31 == 1 ? ~bits : bits | 0x8000_0000
        // .max means “no rule”, and only -NaN would reach it.
        return min(~ascending, .max - 1)
    }
}

/// Merges the symbols of one word, always the pair of lowest priority and of those the leftmost.
///
/// Up to ``shortLimit`` symbols it searches a row for the minimum; beyond, a heap over a linked
/// list makes n symbols cost O(n log n), so that a megabyte without a blank is no trap.
///
///     symbols   s0 s1 s2 …        next   1 2 3 …  -1
///     pairs     p0 p1 …           pairs[i] = join(s[i], s[next[i]]), none at the end or when dead
///     heap      priority << 32 | i, stale once pairs[i] has another priority
struct PairMerger: ~Copyable {
    static let shortLimit = 40

    private(set) var symbols: UnsafeMutablePointer<Symbol>
    private(set) var count: Int
    private var pairs: UnsafeMutablePointer<UInt64>
    private var next: UnsafeMutablePointer<Int32>
    private var previous: UnsafeMutablePointer<Int32>
    private var heap: [UInt64]
    private var capacity: Int

    init() {
        let capacity = 256
        symbols = .allocate(capacity: capacity)
        pairs = .allocate(capacity: capacity)
        next = .allocate(capacity: capacity)
        previous = .allocate(capacity: capacity)
        heap = []
        count = 0
        self.capacity = capacity
    }

    deinit {
        symbols.deallocate()
        pairs.deallocate()
        next.deallocate()
        previous.deallocate()
    }

    /// Empties the word and makes room for `size` symbols.
    @inline(__always)
    mutating func begin(_ size: Int) {
        count = 0
        if size > capacity { grow(size) }
    }

    private mutating func grow(_ size: Int) {
        symbols.deallocate()
        pairs.deallocate()
        next.deallocate()
        previous.deallocate()
        capacity = size + size / 2
        symbols = .allocate(capacity: capacity)
        pairs = .allocate(capacity: capacity)
        next = .allocate(capacity: capacity)
        previous = .allocate(capacity: capacity)
    }

    /// Adds a symbol; no more than ``begin(_:)`` made room for.
    @inline(__always)
    mutating func append(_ symbol: Symbol) {
        symbols[count] = symbol
        count += 1
    }

    /// Merges until no rule applies; ``symbols`` then holds the result.
    @inline(__always)
    mutating func merge(_ rule: some PairRule) {
        if count < 2 { return }
        if count <= Self.shortLimit { mergeShort(rule) } else { mergeLong(rule) }
    }

    @inline(__always)
    private mutating func mergeShort(_ rule: some PairRule) {
        var last = count - 1
        for index in 0..<last { pairs[index] = rule.join(symbols[index], symbols[index + 1]) }
        while last > 0 {
            var best = UInt64(UInt32.max)
            var at = -1
            for index in 0..<last {
                let priority = pairs[index] >> 32
                if priority < best {
                    best = priority
                    at = index
                }
            }
            if at < 0 { break }
            symbols[at] = Self.joined(symbols[at], symbols[at + 1], pairs[at])
            for index in at + 1..<last {
                symbols[index] = symbols[index + 1]
                pairs[index] = pairs[index + 1]
            }
            last -= 1
            if at < last { pairs[at] = rule.join(symbols[at], symbols[at + 1]) }
            if at > 0 { pairs[at - 1] = rule.join(symbols[at - 1], symbols[at]) }
        }
        count = last + 1
    }

    @inline(__always)
    private static func joined(_ left: Symbol, _ right: Symbol, _ pair: UInt64) -> Symbol {
        Symbol(
            id: Int32(bitPattern: UInt32(truncatingIfNeeded: pair)), start: left.start,
            end: right.end)
    }

    private mutating func mergeLong(_ rule: some PairRule) {
        heap.removeAll(keepingCapacity: true)
        for index in 0..<count {
            next[index] = index + 1 < count ? Int32(index + 1) : -1
            previous[index] = Int32(index - 1)
            pairs[index] =
                index + 1 < count ? rule.join(symbols[index], symbols[index + 1]) : MergeTable.none
            push(index)
        }
        while let top = pop() {
            let at = Int(UInt32(truncatingIfNeeded: top))
            let pair = pairs[at]
            // A pair that has changed since was pushed again under its new priority.
            if pair >> 32 != top >> 32 { continue }
            let right = Int(next[at])
            symbols[at] = Self.joined(symbols[at], symbols[right], pair)
            pairs[right] = MergeTable.none
            let after = Int(next[right])
            next[at] = Int32(after)
            if after >= 0 {
                previous[after] = Int32(at)
                pairs[at] = rule.join(symbols[at], symbols[after])
            } else {
                pairs[at] = MergeTable.none
            }
            push(at)
            let before = Int(previous[at])
            if before >= 0 {
                pairs[before] = rule.join(symbols[before], symbols[at])
                push(before)
            }
        }
        // Left to right, so a symbol never overwrites one that is still to be read.
        var index = 0
        var kept = 0
        while index >= 0 {
            symbols[kept] = symbols[index]
            kept += 1
            index = Int(next[index])
        }
        count = kept
    }

    /// Puts the pair at `index` on the heap, if it has a rule.
    private mutating func push(_ index: Int) {
        let pair = pairs[index]
        if pair == MergeTable.none { return }
        let entry = (pair & ~UInt64(UInt32.max)) | UInt64(index)
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if heap[parent] <= entry { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = entry
    }

    private mutating func pop() -> UInt64? {
        guard let top = heap.first else { return nil }
        let entry = heap.removeLast()
        if heap.isEmpty { return top }
        var parent = 0
        while true {
            var child = parent * 2 + 1
            if child >= heap.count { break }
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            if heap[child] >= entry { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = entry
        return top
    }
}
