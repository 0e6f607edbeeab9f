/// How alike two lines of code are, as LongBench computes it: `fuzz.ratio` of the Python package `fuzzywuzzy`.
///
/// Without python-Levenshtein, which LongBench does not ask for, that is the ratio of Python's `difflib`: the characters
/// in matching blocks (the longest, then the longest on either side of it, and so on), twice, over all characters,
/// rounded to a hundredth.
public enum EditSimilarity {
    /// From 0 to 1.
    public static func score(_ prediction: String, _ truth: String) -> Double {
        let a = Scalars(prediction)
        let b = Scalars(truth)
        if a == b { return 1 }
        if a.isEmpty || b.isEmpty { return 0 }
        var blocks = MatchingBlocks(a, b)
        let ratio = 2 * Double(blocks.matches()) / Double(a.count + b.count)
        return (100 * ratio).rounded(.toNearestOrEven) / 100
    }

    /// The score of the first line of a generation that is not a comment or the edge of a code block.
    public static func scoreOfCode(_ prediction: String, _ truth: String) -> Double {
        let line = Scalars(prediction).lines.first { line in
            !line.contains("`") && !line.contains("#") && !Array(line).text.holds("//")
        }
        return score(line.map { Array($0).text } ?? "", truth)
    }
}

/// Matching blocks as `difflib.SequenceMatcher` finds them, with its heuristic for popular characters.
private struct MatchingBlocks {
    private let a: [Int]
    private let b: [Int]
    /// Where each character stands in `b`; empty for those that are too common to start a block.
    private var places: [[Int]]
    /// The length of the match that ends at each place of `b`, in the last row and in this one.
    private var last: [Int]
    private var this: [Int]

    init(_ first: Scalars, _ second: Scalars) {
        var ids: [Unicode.Scalar: Int] = [:]
        func id(_ scalar: Unicode.Scalar) -> Int {
            if let id = ids[scalar] { return id }
            ids[scalar] = ids.count
            return ids.count - 1
        }
        b = second.map(id)
        a = first.map(id)
        places = Array(repeating: [], count: ids.count)
        for (index, character) in b.enumerated() { places[character].append(index) }
        if b.count >= 200 {
            let most = b.count / 100 + 1
            for character in places.indices where places[character].count > most {
                places[character] = []
            }
        }
        last = Array(repeating: 0, count: b.count + 1)
        this = last
    }

    /// How many characters all blocks hold together.
    mutating func matches() -> Int {
        var total = 0
        var ranges = [(a: 0..<a.count, b: 0..<b.count)]
        while let range = ranges.popLast() {
            let (i, j, size) = longest(range.a, range.b)
            if size == 0 { continue }
            total += size
            if range.a.lowerBound < i, range.b.lowerBound < j {
                ranges.append((range.a.lowerBound..<i, range.b.lowerBound..<j))
            }
            if i + size < range.a.upperBound, j + size < range.b.upperBound {
                ranges.append((i + size..<range.a.upperBound, j + size..<range.b.upperBound))
            }
        }
        return total
    }

    /// The longest block in two ranges; of several, the first in `a`, then in `b`.
    private mutating func longest(
        _ aRange: Range<Int>, _ bRange: Range<Int>
    ) -> (i: Int, j: Int, size: Int) {
        var (i, j, size) = (aRange.lowerBound, bRange.lowerBound, 0)
        for row in aRange {
            for place in places[a[row]] {
                if place < bRange.lowerBound { continue }
                if place >= bRange.upperBound { break }
                let length = last[place] + 1
                this[place + 1] = length
                if length > size {
                    (i, j, size) = (row - length + 1, place - length + 1, length)
                }
            }
            if row > aRange.lowerBound { clear(a[row - 1]) }
            swap(&last, &this)
        }
        if let row = aRange.last { clear(a[row]) }
        // Popular characters do not start a block but may lengthen it.
        while i > aRange.lowerBound, j > bRange.lowerBound, a[i - 1] == b[j - 1] {
            (i, j, size) = (i - 1, j - 1, size + 1)
        }
        while i + size < aRange.upperBound, j + size < bRange.upperBound, a[i + size] == b[j + size]
        {
            size += 1
        }
        return (i, j, size)
    }

    /// Forgets the lengths of the last row, which was `character`'s.
    private mutating func clear(_ character: Int) {
        for place in places[character] { last[place + 1] = 0 }
    }
}
