/// Scores of short answers, from LongBench's `metrics.py`.
public enum AnswerMatches {
    /// The class is named in the answer: one over the number of classes that are named.
    ///
    /// A class that is part of the right one's name does not count, unless it follows another such class: the reference
    /// takes classes out of a list that it walks over, and so passes the next one by.
    public static func classification(
        _ prediction: String, _ truth: String, classes: [String]
    ) -> Double {
        var named = classes.filter(prediction.holds)
        var index = 0
        while index < named.count {
            let name = named[index]
            if name != truth, truth.holds(name), let first = named.firstIndex(of: name) {
                named.remove(at: first)
            }
            index += 1
        }
        return named.contains(truth) ? 1 / Double(named.count) : 0
    }

    /// Which part of the numbers in the answer is the right count.
    public static func count(_ prediction: String, _ truth: String) -> Double {
        part(of: prediction, being: Scalars(truth))
    }

    /// Which part of the numbers in the answer is the right paragraph's, where the truth is such as `Paragraph 7`.
    public static func retrieval(_ prediction: String, _ truth: String) -> Double {
        guard let number = paragraph(in: truth) else { return 0 }
        return part(of: prediction, being: number)
    }

    /// The number after the first `Paragraph `.
    static func paragraph(in truth: String) -> Scalars? {
        let all = Scalars(truth)
        let word = Scalars("Paragraph ")
        for start in all.indices where all[start...].starts(with: word) {
            let digits = all[(start + word.count)...].prefix(while: \.isPythonDigit)
            if !digits.isEmpty { return Array(digits) }
        }
        return nil
    }

    private static func part(of prediction: String, being number: Scalars) -> Double {
        let runs = Scalars(prediction).digitRuns
        if runs.isEmpty { return 0 }
        return Double(runs.count { $0.elementsEqual(number) }) / Double(runs.count)
    }
}
