extension TaskCatalog {
    /// Tasks that make their own prompts, at the lengths that are asked for.
    static let synthetic: [Entry] = [
        Entry(
            name: "passkey", file: nil,
            help: "five digits to be found in text that repeats itself, at each length and depth"
        ) { (_: String?, options: TaskOptions) throws(TaskError) -> TaskSet in
            try TaskSet.passkey(
                lengths: options.lengths, depths: options.depths,
                samples: options.samples, seed: options.seed, maxTokens: options.maxTokens ?? 12,
                countTokens: options.countTokens)
        },
        Entry(
            name: "ruler", file: nil,
            help: "RULER's needles, variable tracking and word counts at each length "
                + "(a text file given becomes the haystack)"
        ) { (file: String?, options: TaskOptions) throws(TaskError) -> TaskSet in
            try ruler(file, options)
        },
    ]

    private static func ruler(
        _ file: String?, _ options: TaskOptions
    ) throws(TaskError) -> TaskSet {
        var essay = RulerEssay.generated
        if let file { essay = try RulerEssay(file: file) }
        var samples: [TaskSample] = []
        for task in try rulerTasks(options.subtasks) {
            samples += try TaskSet.ruler(
                task, lengths: options.lengths, samples: options.samples, seed: options.seed,
                essay: essay, answerTokens: options.maxTokens, countTokens: options.countTokens
            ).samples
        }
        return TaskSet(samples: samples)
    }

    /// The tasks of these names or beginnings of names, such as `niah-multikey`; all of them for none.
    private static func rulerTasks(_ names: [String]) throws(TaskError) -> [RulerTask] {
        if names.isEmpty { return RulerTask.allCases }
        var chosen: Set<RulerTask> = []
        for name in names {
            var short = name.lowercased()
            if short.hasPrefix(RulerTask.prefix) { short.removeFirst(RulerTask.prefix.count) }
            let found = RulerTask.allCases.filter {
                $0.rawValue == short || $0.rawValue.hasPrefix(short + "-")
            }
            guard !found.isEmpty else {
                let known = RulerTask.allCases.map(\.rawValue).joined(separator: ", ")
                throw .unknownTask("ruler has no part '\(name)'; its parts are \(known).")
            }
            chosen.formUnion(found)
        }
        return RulerTask.allCases.filter(chosen.contains)
    }
}
