/// The F1 of two texts as bags of words: the score of SQuAD, and of LongBench's questions.
///
/// LongBench, `metrics.py`: `normalize_answer`, `f1_score`, `qa_f1_score`. Lower case is Unicode's, without the special
/// form of a final sigma.
public enum TokenF1 {
    /// From 0 to 1; 0 when either has no word left.
    public static func score(_ prediction: String, _ truth: String) -> Double {
        let predicted = words(prediction)
        let expected = words(truth)
        var counts: [Scalars: Int] = [:]
        for word in expected { counts[word, default: 0] += 1 }
        var common = 0
        for word in predicted {
            guard let left = counts[word], left > 0 else { continue }
            counts[word] = left - 1
            common += 1
        }
        if common == 0 { return 0 }
        let precision = Double(common) / Double(predicted.count)
        let recall = Double(common) / Double(expected.count)
        return 2 * precision * recall / (precision + recall)
    }

    /// The words of a text in lower case, without ASCII punctuation and without articles.
    static func words(_ text: String) -> [Scalars] {
        let kept = Scalars(text.lowercased()).filter { !$0.isASCIIPunctuation }
        // An article stands between anything that is no letter, so it is cut out before white space divides.
        var bare: Scalars = []
        bare.reserveCapacity(kept.count)
        var start = 0
        while start < kept.count {
            var end = start
            while end < kept.count, kept[end].isPythonWord { end += 1 }
            if end > start {
                let word = kept[start..<end]
                if articles.contains(where: word.elementsEqual) {
                    bare.append(" ")
                } else {
                    bare.append(contentsOf: word)
                }
                start = end
            } else {
                bare.append(kept[start])
                start += 1
            }
        }
        return bare.words.map(Array.init)
    }

    private static let articles: [Scalars] = [Scalars("a"), Scalars("an"), Scalars("the")]
}
