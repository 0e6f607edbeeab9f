internal import CPUKernels
import ModelFiles
import Threading

/// The weights of one transformer block, ready to multiply.
struct LayerWeights: Sendable {
    let attentionNorm: WeightVector
    /// Q, K and V: outputs `[query size | KV size | KV size]`.
    let queryKeyValue: MatrixStack
    /// In the same order.
    let queryKeyValueBias: WeightVector?
    /// One head each.
    let queryNorm: WeightVector?
    let keyNorm: WeightVector?
    let attentionOutput: Matrix
    let attentionOutputBias: WeightVector?
    let postAttentionNorm: WeightVector?
    let feedForwardNorm: WeightVector
    /// Outputs `[feed-forward | feed-forward]`.
    let gateUp: MatrixStack
    let down: Matrix
    let postFeedForwardNorm: WeightVector?

    init(_ loader: inout WeightLoader, layer: Int) throws(ModelFileError) {
        let configuration = loader.checkpoint.configuration
        attentionNorm = try loader.norm(.layer(layer, .attentionNorm))
        queryKeyValue = try loader.stack(layer, [.query, .key, .value])
        queryKeyValueBias =
            configuration.hasQKVBias
            ? try loader.joined(layer, [.queryBias, .keyBias, .valueBias]) : nil
        queryNorm = configuration.hasQKNorm ? try loader.norm(.layer(layer, .queryNorm)) : nil
        keyNorm = configuration.hasQKNorm ? try loader.norm(.layer(layer, .keyNorm)) : nil
        attentionOutput = try loader.matrix(.layer(layer, .attentionOutput))
        attentionOutputBias =
            configuration.hasAttentionOutputBias
            ? try loader.joined(layer, [.attentionOutputBias]) : nil
        postAttentionNorm =
            configuration.hasPostNorms ? try loader.norm(.layer(layer, .postAttentionNorm)) : nil
        feedForwardNorm = try loader.norm(.layer(layer, .feedForwardNorm))
        gateUp = try loader.stack(layer, [.gate, .up])
        down = try loader.matrix(.layer(layer, .down))
        postFeedForwardNorm =
            configuration.hasPostNorms ? try loader.norm(.layer(layer, .postFeedForwardNorm)) : nil
    }
}

/// Brings tensors of a checkpoint into the forms that products and loops want.
struct WeightLoader {
    let checkpoint: Checkpoint
    let workers: WorkerPool
    let storage: WeightStorage
    private var panels = PanelMemory()
    /// Files that weights were copied from.
    private var copied: [MappedFile] = []

    init(checkpoint: Checkpoint, workers: WorkerPool, storage: WeightStorage) {
        self.checkpoint = checkpoint
        self.workers = workers
        self.storage = storage
        // What reading metadata and the tokenizer left of the heap would stay while weights are copied.
        if storage == .interleaved { iq_trim_heap() }
    }

    /// A weight matrix, left in its file or interleaved beside it.
    /// - Parameter isMultiplied: false of one from which only rows are taken; it stays in its file.
    mutating func matrix(
        _ name: TensorName, isMultiplied: Bool = true
    ) throws(ModelFileError) -> Matrix {
        let view = try checkpoint.tensor(name)
        // Both enumerations use GGML's numbers and have the same members.
        guard let type = WeightType(rawValue: view.type.ggmlID) else {
            throw fault(view, "has type \(view.type.rawValue), for which there are no kernels")
        }
        do throws(MatrixError) {
            let matrix = try Matrix(
                type: type, rows: view.rows, columns: view.columns, bytes: view.bytes,
                owner: view.file)
            guard storage == .interleaved, isMultiplied else { return matrix }
            let interleaved = matrix.interleaved(in: &panels, workers: workers)
            if interleaved.isInterleaved {
                view.file.release(view.bytes)
                if copied.last !== view.file { copied.append(view.file) }
            }
            return interleaved
        } catch {
            throw fault(view, "cannot be multiplied: \(error)")
        }
    }

    /// Gives back memory that is not needed any more: of files whose weights were copied all pages, since the system maps more
    /// around each that is touched, and so again what was given back before; of the heap what loading left.
    mutating func finish() {
        panels.giveBackRest()
        for file in copied { file.release(file.bytes) }
        if !copied.isEmpty { iq_trim_heap() }
    }

    mutating func stack(_ layer: Int, _ parts: [LayerTensor]) throws(ModelFileError) -> MatrixStack
    {
        var matrices: [Matrix] = []
        for part in parts { matrices.append(try matrix(.layer(layer, part))) }
        do throws(MatrixError) {
            return try MatrixStack(matrices)
        } catch {
            throw fault(
                try checkpoint.tensor(.layer(layer, parts[0])), "cannot be stacked: \(error)")
        }
    }

    /// Vectors, one after the other.
    func joined(_ layer: Int, _ parts: [LayerTensor]) throws(ModelFileError) -> WeightVector {
        var values: [Float] = []
        for part in parts { values += try floats(.layer(layer, part)) }
        return WeightVector(values)
    }

    /// The weights of an RMSNorm, as factors.
    func norm(_ name: TensorName) throws(ModelFileError) -> WeightVector {
        let values = try floats(name)
        return WeightVector(
            checkpoint.configuration.normWeightsLackOne ? values.map { $0 + 1 } : values)
    }

    func floats(_ name: TensorName) throws(ModelFileError) -> [Float] {
        let view = try checkpoint.tensor(name)
        guard let values = view.floats() else {
            throw fault(view, "is quantized, which vectors must not be")
        }
        return values
    }

    private func fault(_ view: TensorView, _ what: String) -> ModelFileError {
        ModelFileError(
            .wrongTensor, path: view.file.path, offset: view.offset,
            "The tensor \"\(view.name)\" \(what). Convert the model again, for example to Q8_0.")
    }
}
