/// Every task by its name, for commands that take names.
public enum TaskCatalog {
    public struct Entry: Sendable {
        public var name: String
        /// Other names by which it is found.
        public var aliases: [String]
        /// The file that it reads, in words; `nil` for a task that makes its own prompts.
        public var file: String?
        /// One line of help.
        public var help: String
        /// Reads the file, or makes the prompts.
        public var load:
            @Sendable (_ file: String?, _ options: TaskOptions) throws(TaskError) -> TaskSet

        public init(
            name: String, aliases: [String] = [], file: String?, help: String,
            load:
                @escaping @Sendable (_ file: String?, _ options: TaskOptions) throws(TaskError) ->
                TaskSet
        ) {
            self.name = name
            self.aliases = aliases
            self.file = file
            self.help = help
            self.load = load
        }

        /// A task that cannot do without its file.
        package init(
            name: String, aliases: [String] = [], reading file: String, help: String,
            load:
                @escaping @Sendable (_ file: String, _ options: TaskOptions) throws(TaskError) ->
                TaskSet
        ) {
            self.init(name: name, aliases: aliases, file: file, help: help) {
                (path: String?, options: TaskOptions) throws(TaskError) -> TaskSet in
                guard let path else {
                    throw .parameterOutOfRange("the task \(name) needs a file: \(file)")
                }
                return try load(path, options)
            }
        }
    }

    /// All tasks, in the order of their help.
    public static let entries: [Entry] = texts + synthetic + code

    /// - Throws: `unknownTask` with the names that there are; whatever the task's loader throws.
    public static func load(
        name: String, file: String?, options: TaskOptions = TaskOptions()
    ) throws(TaskError) -> TaskSet {
        guard let entry = entry(named: name) else {
            let names = entries.map(\.name).joined(separator: ", ")
            throw .unknownTask("there is no task '\(name)'; the tasks are \(names).")
        }
        return try entry.load(file, options)
    }

    /// The task of a name or alias, whose case does not matter.
    public static func entry(named name: String) -> Entry? {
        let name = name.lowercased()
        return entries.first { $0.name == name || $0.aliases.contains(name) }
    }
}
