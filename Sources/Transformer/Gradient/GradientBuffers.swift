internal import ModelFiles
internal import Threading

/// How many floats each buffer of a gradient pass has.
///
///     of a sample of T tokens                        of a chunk of at most 512 rows
///     inputs    (layers + 1) × T × hidden            normed, summed, projected, delta  hidden
///     gradient  T × hidden                           wide      max(query + 2 KV, 2 feed-forward)
///     queries, output, outputGradient  T × query     inner               feed-forward
///     keys, turnedKeys, values, their gradients  T × KV
///     raw       T × (query + KV), with QK-norm       logits  at most 2²³, at least 16 rows
struct GradientSizes {
    let tokens: Int
    let chunk: Int
    let hidden: Int
    let query: Int
    let kv: Int
    let raw: Int
    let wide: Int
    let inner: Int
    let inputs: Int
    let logitRows: Int
    let vocabulary: Int
    let tables: Int
    let attention: CausalAttention
    let workers: Int

    init(_ model: TransformerModel, tokens: Int) {
        let configuration = model.configuration
        self.tokens = tokens
        chunk = min(tokens, Workspace.chunk)
        hidden = configuration.hiddenSize
        query = configuration.querySize
        kv = configuration.kvSize
        raw = configuration.hasQKNorm ? query + kv : 0
        wide = max(query + 2 * kv, 2 * configuration.feedForwardSize)
        inner = configuration.feedForwardSize
        inputs = (configuration.layerCount + 1) * tokens * hidden
        vocabulary = configuration.vocabularySize
        logitRows = min(tokens, max(16, min(256, (1 << 23) / vocabulary)))
        tables = model.rotary.count * tokens * configuration.headSize
        attention = model.causalAttention(layer: 0, tokens: tokens)
        workers = model.workers.threads
    }

    var logSums: Int { attention.queryHeads * attention.paddedTokens }
    var attentionScratch: Int { workers * attention.scratchFloats }

    /// All floats of a pass.
    var floats: Int {
        let sample = inputs + tables + tokens * (hidden + 3 * query + 5 * kv + raw)
        let chunks = chunk * (4 * hidden + wide + inner) + logitRows * (vocabulary + 2 * hidden)
        let heads =
            attention.packedFloats + attention.partialFloats + logSums + attentionScratch
        return sample + chunks + heads + workers * TransposedScratch.floats
    }
}

/// The memory of one gradient pass.
final class GradientBuffers {
    let sizes: GradientSizes
    let inputs: FloatBuffer
    let gradient: FloatBuffer
    let queries: FloatBuffer
    let output: FloatBuffer
    let outputGradient: FloatBuffer
    let keys: FloatBuffer
    let turnedKeys: FloatBuffer
    let values: FloatBuffer
    let keyGradients: FloatBuffer
    let valueGradients: FloatBuffer
    /// Queries and keys before their norms.
    let raw: FloatBuffer
    /// `[kind][token][head size]`, cosines before sines.
    let table: FloatBuffer
    let packed: FloatBuffer
    let partial: FloatBuffer
    let logSums: FloatBuffer
    let attentionScratch: FloatBuffer
    let normed: FloatBuffer
    let summed: FloatBuffer
    let projected: FloatBuffer
    let delta: FloatBuffer
    let wide: FloatBuffer
    let inner: FloatBuffer
    let scratch: MatrixScratch
    let transposed: TransposedScratch

    init(_ model: TransformerModel, tokens: Int) {
        let sizes = GradientSizes(model, tokens: tokens)
        self.sizes = sizes
        inputs = FloatBuffer(count: sizes.inputs)
        gradient = FloatBuffer(count: tokens * sizes.hidden)
        queries = FloatBuffer(count: tokens * sizes.query)
        output = FloatBuffer(count: tokens * sizes.query)
        outputGradient = FloatBuffer(count: tokens * sizes.query)
        keys = FloatBuffer(count: tokens * sizes.kv)
        turnedKeys = FloatBuffer(count: tokens * sizes.kv)
        values = FloatBuffer(count: tokens * sizes.kv)
        keyGradients = FloatBuffer(count: tokens * sizes.kv)
        valueGradients = FloatBuffer(count: tokens * sizes.kv)
        raw = FloatBuffer(count: tokens * sizes.raw)
        table = FloatBuffer(count: sizes.tables)
        packed = FloatBuffer(count: sizes.attention.packedFloats)
        partial = FloatBuffer(count: sizes.attention.partialFloats)
        logSums = FloatBuffer(count: sizes.logSums)
        attentionScratch = FloatBuffer(count: sizes.attentionScratch)
        normed = FloatBuffer(count: sizes.chunk * sizes.hidden)
        summed = FloatBuffer(count: sizes.chunk * sizes.hidden)
        projected = FloatBuffer(count: sizes.chunk * sizes.hidden)
        delta = FloatBuffer(count: sizes.chunk * sizes.hidden)
        wide = FloatBuffer(count: sizes.chunk * sizes.wide)
        inner = FloatBuffer(count: sizes.chunk * sizes.inner)
        scratch = MatrixScratch(
            columns: max(sizes.hidden, sizes.query, sizes.inner), workers: sizes.workers)
        transposed = TransposedScratch(workers: sizes.workers)
    }
}
