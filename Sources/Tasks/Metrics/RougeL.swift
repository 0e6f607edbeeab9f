/// Rouge-L of summaries, as LongBench computes it: with the Python package `rouge` 1.0.1.
///
/// That package cuts texts into sentences at periods and compares sets of words: the union, over all pairs of
/// sentences, of the words of a longest common subsequence, against the words of each text. Where Python gives up with
/// a recursion error on sentences of a thousand words, this goes on.
public enum RougeL {
    /// The F measure, from 0 to 1; 0 when either text holds no sentence. Time grows with the product of the lengths.
    public static func score(_ prediction: String, _ truth: String) -> Double {
        var ids: [Scalars: Int] = [:]
        let predicted = sentences(prediction, &ids)
        let expected = sentences(truth, &ids)
        if predicted.isEmpty || expected.isEmpty { return 0 }

        // A sentence that comes again adds nothing: models that repeat themselves would cost much for it.
        var common = Set<Int>()
        let once = Set(predicted)
        for reference in Set(expected) {
            for sentence in once { commonWords(reference, sentence, into: &common) }
        }
        let precision = Double(common.count) / Double(Set(predicted.joined()).count)
        let recall = Double(common.count) / Double(Set(expected.joined()).count)
        return 2 * (precision * recall / (precision + recall + 1e-8))
    }

    /// The words of each sentence as numbers. A sentence of white space holds one word, the empty one.
    private static func sentences(_ text: String, _ ids: inout [Scalars: Int]) -> [[Int]] {
        Scalars(text).split(separator: ".").map { sentence in
            let words = Array(sentence).words.map(Array.init)
            return (words.isEmpty ? [[]] : words).map { word in
                if let id = ids[word] { return id }
                ids[word] = ids.count
                return ids.count - 1
            }
        }
    }

    /// Adds the words of one longest common subsequence: of several, the one that the package's walk back from the ends
    /// finds.
    private static func commonWords(_ x: [Int], _ y: [Int], into common: inout Set<Int>) {
        var (rows, columns) = (x.count, y.count)
        // The walk takes equal ends first, so that they need no table.
        while rows > 0, columns > 0, x[rows - 1] == y[columns - 1] {
            common.insert(x[rows - 1])
            rows -= 1
            columns -= 1
        }
        if rows == 0 || columns == 0 { return }

        // A bit a cell says whether the walk goes up: the lengths themselves are needed a row at a time.
        let stride = (columns + 63) / 64
        var goesUp = [UInt64](repeating: 0, count: rows * stride)
        var lengths = [Int32](repeating: 0, count: columns + 1)
        x.withUnsafeBufferPointer { x in
            y.withUnsafeBufferPointer { y in
                lengths.withUnsafeMutableBufferPointer { lengths in
                    goesUp.withUnsafeMutableBufferPointer { goesUp in
                        for i in 0..<rows {
                            let word = x[i]
                            var diagonal: Int32 = 0
                            var left: Int32 = 0
                            for j in 0..<columns {
                                let up = lengths[j + 1]
                                if word == y[j] {
                                    left = diagonal + 1
                                } else if up > left {
                                    left = up
                                    goesUp[i * stride + j >> 6] |= 1 << UInt64(j & 63)
                                }
                                diagonal = up
                                lengths[j + 1] = left
                            }
                        }
                    }
                }
            }
        }
        var (i, j) = (rows - 1, columns - 1)
        while i >= 0, j >= 0 {
            if x[i] == y[j] {
                common.insert(x[i])
                i -= 1
                j -= 1
            } else if goesUp[i * stride + j >> 6] >> UInt64(j & 63) & 1 == 1 {
                i -= 1
            } else {
                j -= 1
            }
        }
    }
}
