extension TaskCatalog {
    /// Tasks whose questions stand in files, and whose answers are judged as text.
    static let texts: [Entry] = [
        Entry(
            name: "gsm8k", reading: "JSON lines with the fields question and answer",
            help: "word problems of grade school, with worked examples"
        ) { (file, options) throws(TaskError) in
            try TaskSet.gsm8k(
                file: file, shotsFile: options.shotsFile, shots: options.shots ?? 5,
                limit: options.limit, maxTokens: options.maxTokens ?? 256,
                badLines: options.badLines)
        },
        Entry(
            name: "math500", aliases: ["math", "math-500"],
            reading: "JSON lines with the fields problem, answer and level",
            help: "problems of mathematics competitions, with worked examples"
        ) { (file, options) throws(TaskError) in
            try TaskSet.math500(
                file: file, shots: options.shots ?? 4, limit: options.limit,
                maxTokens: options.maxTokens ?? 512, badLines: options.badLines)
        },
        Entry(
            name: "choice",
            aliases: [
                "mcq", "arc", "arc-easy", "arc-challenge", "winogrande", "hellaswag", "piqa",
            ],
            reading: "JSON lines of ARC, WinoGrande, HellaSwag or PIQA",
            help: "multiple choice by the likelihood of each choice"
        ) { (file, options) throws(TaskError) in
            try TaskSet.choices(
                file: file, shots: options.shots ?? 0, limit: options.limit,
                badLines: options.badLines)
        },
        Entry(
            name: "longbench", aliases: ["long-bench"],
            reading: "JSON lines with the fields task, prompt and gold",
            help: "questions about long documents, summaries and code, with LongBench's metrics"
        ) { (file, options) throws(TaskError) in
            try TaskSet.longBench(
                file: file, tasks: options.subtasks.isEmpty ? nil : options.subtasks,
                limit: options.limit, maxTokens: options.maxTokens,
                longestPrompt: options.longestPrompt, countTokens: options.countTokens,
                badLines: options.badLines)
        },
    ]
}
