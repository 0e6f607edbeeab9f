/// What the page's words mean.
enum PageNotes {
    private static let words: [(String, String)] = [
        (
            "Bits an element",
            "Bytes of the cache over the numbers that it holds, float16 windows, scales and outliers included, counted for 32,768 tokens or the nearest context that was counted. Float16 has 16."
        ),
        (
            "Perplexity and its increase",
            "The exponential of the mean loss on a text. The increase compares the same tokens read through both caches, so that its error is far smaller than that of either perplexity. p is the probability of such a difference by chance alone (Student’s t on the differences)."
        ),
        (
            "KL divergence",
            "How far the next-token probabilities are from those with a float16 cache, in nats; 0 if they are the same. It sees changes that perplexity averages away."
        ),
        (
            "Same first choice",
            "Share of tokens at which both caches make the model prefer the same next token."
        ),
        (
            "±",
            "One standard error. Scores are compared question by question: the exact sign test where scores are 0 or 1, Student’s t otherwise."
        ),
        (
            "Tokens sealed",
            "Share of a task’s tokens that had left the float16 windows when the answer was complete. At 0 % the format was not tested at all."
        ),
    ]

    static var markup: [Markup] {
        let terms = words.flatMap { [tag("dt", [], [Markup($0)]), tag("dd", [], [Markup($1)])] }
        return [
            tag("h2", [], ["How to read this page"]), tag("dl", [], terms),
            tag("h2", [], ["How grades are given"]),
            tag(
                "p", [],
                [
                    "Each measure gives a grade, and the worst counts. A loss within two standard errors, or one that chance explains, is none. The numbers are the smallest losses of each grade."
                ]),
            grades.scrolling(id: "grades"),
        ]
    }

    private static var grades: DataTable {
        DataTable(
            caption: "Limits of the grades",
            columns: ["Measure"] + Grade.allCases.dropFirst().map(\.words),
            rows: Grade.limits.map { measure in
                [measure.name]
                    + measure.limits.map {
                        measure.isShare
                            ? Numbers.tick(100 * $0.rounded(toSignificant: 4)) + " %"
                            : Numbers.tick($0)
                    }
            })
    }
}
