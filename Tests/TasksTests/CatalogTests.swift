import Tasks
import Testing

@Suite("The catalog of tasks")
struct CatalogTests {
    @Test("Names and aliases are unique, in lower case, and each entry has its help")
    func names() {
        let names = TaskCatalog.entries.flatMap { [$0.name] + $0.aliases }
        #expect(Set(names).count == names.count)
        #expect(names.allSatisfy { $0 == $0.lowercased() })
        #expect(TaskCatalog.entries.allSatisfy { !$0.help.isEmpty && !$0.help.contains("\n") })
        for name in ["gsm8k", "math500", "choice", "longbench"] {
            #expect(TaskCatalog.entry(named: name)?.name == name)
        }
        #expect(TaskCatalog.entry(named: "HellaSwag")?.name == "choice")
        #expect(TaskCatalog.entry(named: "nothing") == nil)
    }

    @Test("Options reach the tasks")
    func options() throws {
        let folder = try TestFolder()
        let problems = try folder.write(
            (1...4).map { #"{"question": "Q\#($0)", "answer": "A #### \#($0)"}"# + "\n" }.joined()
                + "no\n")
        var options = TaskOptions(shots: 1, limit: 2, maxTokens: 9)
        let set = try TaskCatalog.load(name: "gsm8k", file: problems, options: options)
        #expect(set.samples.map(\.id) == ["2", "3"])
        #expect(try set.samples[0].generation().maxTokens == 9)
        options.limit = nil
        #expect(throws: TaskError.self) {
            try TaskCatalog.load(name: "gsm8k", file: problems, options: options)
        }
        options.badLines = .skip
        #expect(
            try TaskCatalog.load(name: "gsm8k", file: problems, options: options).skipped.count == 1
        )

        let prompts = try folder.write(
            try json(["task": "lcc", "prompt": "12345", "gold": ["a"]])
                + json(["task": "qasper", "prompt": "1", "gold": ["a"]])
                + json(["task": "qasper", "prompt": "12345", "gold": ["a"]]), as: "prompts.jsonl")
        let long = TaskOptions(subtasks: ["qasper"], longestPrompt: 4) { $0.utf8.count }
        #expect(
            try TaskCatalog.load(name: "longbench", file: prompts, options: long).samples.map(\.id)
                == ["2"])
    }

    @Test("An unknown task and a missing file are errors that say what there is")
    func faults() throws {
        let unknown = try taskError { () throws(TaskError) in
            try TaskCatalog.load(name: "nothing", file: nil)
        }
        #expect("\(unknown)".contains("'nothing'; the tasks are gsm8k, math500"))
        let missing = try taskError { () throws(TaskError) in
            try TaskCatalog.load(name: "gsm8k", file: nil)
        }
        #expect("\(missing)".contains("gsm8k needs a file: JSON lines with the fields question"))
    }
}
