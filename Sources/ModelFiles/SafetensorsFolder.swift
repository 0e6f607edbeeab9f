import Foundation

/// The weights of a folder in Hugging Face's layout: `model.safetensors`, or shards named by
/// `model.safetensors.index.json`.
public struct SafetensorsFolder: Sendable {
    public let path: String
    /// One reader per file, by file name.
    public let shards: [SafetensorsReader]
    private let shardOfTensor: [String: Int]

    /// Opens all shards of the folder at `path`.
    public init(path: String) throws(ModelFileError) {
        self.path = path
        let index = path + "/model.safetensors.index.json"
        if FileManager.default.fileExists(atPath: index) {
            (shards, shardOfTensor) = try Self.openShards(index: index, folder: path)
            return
        }
        guard FileManager.default.fileExists(atPath: path + "/model.safetensors") else {
            throw ModelFileError(
                .missing, path: path,
                "The folder has neither model.safetensors nor model.safetensors.index.json. "
                    + "Download the model's safetensors files, or convert its weights to safetensors."
            )
        }
        let reader = try SafetensorsReader(path: path + "/model.safetensors")
        shards = [reader]
        var places: [String: Int] = [:]
        for entry in reader.entries { places[entry.name] = 0 }
        shardOfTensor = places
    }

    private static func openShards(
        index path: String, folder: String
    ) throws(ModelFileError) -> ([SafetensorsReader], [String: Int]) {
        let file = try MappedFile(path: path)
        let json = try FileJSON(parsing: file.bytes, path: path)
        guard let map = json["weight_map"]?.members else {
            throw ModelFileError(
                .malformed, path: path, "There is no weight_map. Download the file again.")
        }
        var shards: [SafetensorsReader] = []
        var numbers: [String: Int] = [:]
        var places: [String: Int] = [:]
        for (tensor, value) in map {
            // Only names of files in this very folder: an index must not reach other files.
            guard let name = value.string, !name.isEmpty, !name.contains("/"),
                !name.hasPrefix("."),
                !name.utf8.contains(0)
            else {
                throw ModelFileError(
                    .malformed, path: path,
                    "The weight_map entry of \"\(tensor)\" is not a plain file name. Download the file again."
                )
            }
            if let number = numbers[name] {
                places[tensor] = number
                continue
            }
            numbers[name] = shards.count
            places[tensor] = shards.count
            shards.append(try SafetensorsReader(path: folder + "/" + name))
        }
        for (tensor, number) in places where shards[number].entry(named: tensor) == nil {
            throw ModelFileError(
                .missingTensor, path: shards[number].file.path,
                "The index promises the tensor \"\(tensor)\" here, but it is not there. Download the model again."
            )
        }
        return (shards, places)
    }

    /// The weight of that name; `nil` if no shard has it.
    public func tensor(named name: String) throws(ModelFileError) -> TensorView? {
        guard let shard = shardOfTensor[name] else { return nil }
        return try shards[shard].tensor(named: name)
    }

    /// Whether a tensor of that name exists.
    public func contains(_ name: String) -> Bool { shardOfTensor[name] != nil }
}
