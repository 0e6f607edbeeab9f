import Foundation
import Tasks
import Testing

/// A folder of files for one test, gone with it.
final class TestFolder: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "innerq-tasks-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ text: String, as name: String = "file.jsonl") throws -> String {
        try write(Data(text.utf8), as: name)
    }

    func write(_ data: Data, as name: String) throws -> String {
        let file = path + "/" + name
        try data.write(to: URL(fileURLWithPath: file))
        return file
    }
}

/// A file among the fixtures.
func fixture(_ name: String) throws -> String {
    let folder = try #require(Bundle.module.url(forResource: "Fixtures", withExtension: nil))
    return folder.appendingPathComponent(name).path
}

/// One object as a line of JSON.
func json(_ object: [String: Any]) throws -> String {
    let data = try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys])
    return String(decoding: data, as: UTF8.self) + "\n"
}

extension TaskSample {
    /// The request for text to be continued.
    func generation() throws -> GenerationRequest {
        guard case .generation(let request) = request else { throw WrongRequest() }
        return request
    }

    /// The request for a choice.
    func choice() throws -> ChoiceRequest {
        guard case .choice(let request) = request else { throw WrongRequest() }
        return request
    }

    /// The scores of an answer by metric, and which metric comes first.
    func scores(_ answer: String) throws -> [String: Double] {
        let scores = try generation().judge(answer)
        return Dictionary(uniqueKeysWithValues: scores.map { ($0.metric, $0.value) })
    }

    private struct WrongRequest: Error {}
}

/// The error that a piece of work throws.
func taskError<Value>(_ work: () throws(TaskError) -> Value) throws -> TaskError {
    do throws(TaskError) {
        _ = try work()
    } catch {
        return error
    }
    throw NothingThrown()
}

struct NothingThrown: Error {}
