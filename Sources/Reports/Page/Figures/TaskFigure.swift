/// Scores of the tasks.
enum TaskFigure {
    static func make(_ model: ModelSummary, _ styles: [SeriesStyle]) -> Figure? {
        // The order in which caches name them; passkeys have a figure of their own.
        var names: [String] = []
        for cache in model.caches {
            for task in cache.tasks where task.isMain && !names.contains(task.task) {
                if task.task != PasskeyCell.task || cache.passkey.isEmpty {
                    names.append(task.task)
                }
            }
        }
        guard !names.isEmpty else { return nil }
        return Figure(
            name: "tasks", heading: "Tasks",
            caption:
                "Mean scores of each task’s main metric; bars are one standard error, the upright line is float16’s score. † marks a difference to float16 that chance hardly explains (p below 0.05, on the same questions).",
            panels: names.map { panel($0, model, styles) },
            tables: [table(model)])
    }

    private static func panel(_ name: String, _ model: ModelSummary, _ styles: [SeriesStyle])
        -> Panel
    {
        let scores = zip(model.caches, styles).compactMap { cache, style in
            cache.tasks.first { $0.task == name && $0.isMain }.map { (cache, style, $0) }
        }
        let asked = scores.map { $0.2.score.count }.max() ?? 0
        let reference = scores.first { $0.0.isReference }?.2.score.value
        return DotChart(
            title: name,
            unit: "\(scores.first?.2.metric ?? ""), \(Numbers.count(asked)) questions",
            description: "Mean scores. "
                + scores.map { "\($0.0.cache): \(Numbers.percent($0.2.score.value))" }
                .joined(separator: "; ") + ".",
            mark: reference,
            rows: scores.map { cache, style, task in
                DotChart.Row(
                    name: cache.cache, style: style, value: task.score.value,
                    error: task.score.error,
                    note: task.comparison?.isSignificant == true ? "†" : "", tip: tip(cache, task))
            }
        ).panel()
    }

    private static func tip(_ cache: CacheSummary, _ task: TaskSummary) -> [String] {
        var tip = [
            cache.cache,
            "\(task.metric) \(Numbers.percent(task.score.value))\(Numbers.plusMinus(100 * task.score.error, 1)), \(Numbers.count(task.score.count)) questions",
        ]
        if let test = task.comparison {
            tip.append(
                "\(points(test.difference.value)) points to float16’s (p \(pValue(test.pValue)))")
        }
        return tip
    }

    private static func points(_ share: Double) -> String {
        (share > 0 && share.isFinite ? "+" : "") + Numbers.fixed(100 * share, 1)
    }

    private static func pValue(_ value: Double) -> String {
        let text = Numbers.pValue(value)
        return text.hasPrefix("<") ? text : "= " + text
    }

    private static func table(_ model: ModelSummary) -> DataTable {
        let rows = model.caches.flatMap { cache in
            cache.tasks.map { task in
                let test = task.comparison
                return [
                    cache.cache, task.task, task.metric + (task.isMain ? "" : " (second)"),
                    Numbers.percent(task.score.value)
                        + Numbers.plusMinus(100 * task.score.error, 1),
                    test.map {
                        points($0.difference.value)
                            + Numbers.plusMinus(100 * $0.difference.error, 1)
                    }
                        ?? Numbers.missing,
                    test.map { Numbers.pValue($0.pValue) + ($0.isSignificant ? " †" : "") }
                        ?? Numbers.missing,
                    Numbers.percent(task.sealedShare, 0), Numbers.count(task.score.count),
                ]
            }
        }
        return DataTable(
            caption: "scores of the tasks",
            columns: [
                "Cache", "Task", "Metric", "Score ± standard error", "Points to float16 ± error",
                "p",
                "Tokens sealed", "Questions",
            ], rows: rows, words: [0, 1, 2])
    }
}
