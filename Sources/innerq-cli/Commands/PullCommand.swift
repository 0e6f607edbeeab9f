import ArgumentParser
import Foundation
import InnerQ
import Synchronization

struct PullCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pull",
        abstract: "Get models by name.",
        discussion: """
            innerq pull smollm2-135m
            innerq pull --list

            Models go to $XDG_CACHE_HOME/innerq/models (or ~/.cache/innerq/models), and their checksums are compared \
            with those that InnerQ knows. An interrupted pull goes on where it stopped. --verify checks a file that is \
            already here.
            """)

    @Argument(help: ArgumentHelp("Names of models.", valueName: "name"))
    var names: [String] = []

    @Flag(help: "List the models that can be had.")
    var list = false

    @Flag(help: "Compute the checksum of files that are already here.")
    var verify = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        if names.isEmpty, !list {
            throw ValidationError("Give the name of a model, or --list.")
        }
    }

    private struct Item: Encodable {
        var name: String
        var title: String
        var file: String
        var bytes: Int64
        var downloadBytes: Int64
        var sha256: String
        var license: String
        var isInstalled: Bool
    }

    func run() async throws {
        let store = ModelStore()
        if list { return try show(ModelCatalog.entries, store) }
        // All names are looked up before the first is pulled.
        let entries = try names.map { name in
            guard let entry = ModelCatalog.entry(named: name) else {
                throw ModelStoreError.unknownName(
                    name, suggestions: ModelCatalog.suggestions(for: name))
            }
            return entry
        }
        let interrupted = SharedFlag()
        let verifying = verify
        let work = Task {
            for entry in entries {
                let bar = PullBar(entry.name)
                defer { bar.end() }
                let file = try await store.pull(entry.name, verifying: verifying) { bar.show($0) }
                bar.end()
                Console.say("\(entry.name): \(file.path)")
            }
        }
        let interrupt = Interrupt {
            interrupted.set()
            work.cancel()
        }
        do {
            try await work.value
        } catch ModelStoreError.cancelled where interrupt.hasFired {
            Console.say("stopped; the same command goes on from here")
            throw ExitCode(Interrupt.exitCode)
        }
        if output.json { try Output.json(entries.map { item($0, store) }) }
    }

    private func item(_ entry: ModelCatalog.Entry, _ store: ModelStore) -> Item {
        Item(
            name: entry.name, title: entry.title, file: store.file(of: entry).path,
            bytes: entry.byteCount, downloadBytes: entry.downloadByteCount, sha256: entry.sha256,
            license: entry.license, isInstalled: store.isInstalled(entry))
    }

    private func show(_ entries: [ModelCatalog.Entry], _ store: ModelStore) throws {
        if output.json { return try Output.json(entries.map { item($0, store) }) }
        var table = Table(["<name", "size", "<license", "<here", "<model"])
        for entry in entries {
            table.row([
                entry.name, Format.bytes(Int(entry.byteCount)), entry.license,
                store.isInstalled(entry) ? "yes" : "no", "\(entry.title); \(entry.notes)",
            ])
        }
        try Output.write(table.text)
        Console.say("models are in \(store.folder.path)")
    }
}

/// A bar on a terminal; elsewhere a line for each tenth.
private final class PullBar: Sendable {
    private let name: String
    private let start = ContinuousClock.now
    private let state = Mutex((phase: "", tenth: -1, isOpen: false, isDone: false))

    init(_ name: String) { self.name = name }

    func show(_ progress: PullProgress) {
        let what =
            switch progress.phase {
            case .waiting: "waiting for another pull"
            case .downloading: "downloading"
            case .unpacking: "unpacking"
            case .verifying: "verifying"
            case .finished: "done"
            }
        state.withLock { state in
            guard !state.isDone else { return }
            if Console.isTerminal {
                state.isOpen = true
                return Console.replaceLine(line(what, progress))
            }
            let tenth = Int(progress.fraction * 10)
            guard what != state.phase || tenth != state.tenth else { return }
            // Parts alternate between downloading and unpacking; a line for each would be noise.
            if progress.phase == .unpacking, tenth == state.tenth { return }
            if progress.phase == .downloading, tenth == state.tenth { return }
            state.phase = what
            state.tenth = tenth
            if progress.phase != .finished { Console.say(line(what, progress)) }
        }
    }

    private func line(_ what: String, _ progress: PullProgress) -> String {
        let width = 24
        let filled = Int(progress.fraction * Double(width))
        let bar =
            Console.isTerminal
            ? "["
                + String(repeating: "=", count: filled)
                + String(repeating: " ", count: width - filled) + "] " : ""
        let part = progress.partCount > 1 ? ", part \(progress.part) of \(progress.partCount)" : ""
        return
            "\(name): \(bar)\(Int(progress.fraction * 100)) % of \(Format.bytes(Int(progress.totalBytes))), \(what)\(part)"
    }

    func end() {
        state.withLock { state in
            if state.isOpen { Console.replaceLine("") }
            state.isOpen = false
            state.isDone = true
        }
    }
}
