public import KVCache
import ModelFiles

/// The memory of forward passes over one model, made once and reused; one pass at a time.
///
///     per token of a span          per token of a chunk (at most 512)
///     hidden   [hidden size]       normed [hidden size]
///     queries  [query size]        wide   [max(query + 2 KV, 2 feed-forward)]
///     keys, values [KV size]
///     output   [query size]
///     table    [head size] × 1 or 2 kinds of RoPE
///
/// A span is the tokens that go through a layer before the next layer begins: a whole prompt, or a chunk. A span's
/// memory beyond one chunk is given back when the pass ends.
public final class Workspace {
    /// Tokens of a chunk: enough to make products efficient, few enough that activations stay in the cache.
    public static let chunk = 512
    /// Logit rows computed at once when many are asked for.
    static let logitRows = 16

    let configuration: ModelConfiguration
    let scratch: MatrixScratch
    var hidden = FloatBuffer()
    var queries = FloatBuffer()
    var keys = FloatBuffer()
    var values = FloatBuffer()
    var output = FloatBuffer()
    /// `[kind][token][head size]`, cosines before sines.
    var table = FloatBuffer()
    var normed = FloatBuffer()
    var wide = FloatBuffer()
    var logitBuffer = FloatBuffer()
    /// Floats of one row of ``wide``.
    let wideSize: Int
    private let tableKinds: Int

    init(_ configuration: ModelConfiguration, workers: Int) {
        self.configuration = configuration
        let columns = max(
            configuration.hiddenSize, configuration.querySize, configuration.feedForwardSize)
        scratch = MatrixScratch(columns: columns, workers: workers)
        wideSize = max(
            configuration.querySize + 2 * configuration.kvSize, 2 * configuration.feedForwardSize)
        tableKinds = configuration.localRotary == nil ? 1 : 2
    }

    /// The logits of the last pass's last row: `vocabularySize` floats. Valid until the next pass; empty before the
    /// first pass that asked for logits.
    public var logits: UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: logitBuffer.pointer, count: lastLogits)
    }
    var lastLogits = 0

    /// How weights are multiplied with few tokens. The cache has an ``SequenceCache/arithmetic`` of its own.
    public var arithmetic: ProductArithmetic {
        get { scratch.arithmetic }
        set { scratch.arithmetic = newValue }
    }

    /// Bytes now allocated.
    public var byteCount: Int {
        let floats =
            hidden.count + queries.count + keys.count + values.count + output.count + table.count
            + normed.count + wide.count + logitBuffer.count
        return MemoryLayout<Float>.stride * floats + scratch.byteCount
    }

    /// Makes room for spans of `span` tokens.
    func reserve(span: Int) {
        let chunk = min(span, Self.chunk)
        hidden.reserve(span * configuration.hiddenSize)
        queries.reserve(span * configuration.querySize)
        keys.reserve(span * configuration.kvSize)
        values.reserve(span * configuration.kvSize)
        output.reserve(span * configuration.querySize)
        table.reserve(span * configuration.headSize * tableKinds)
        normed.reserve(chunk * configuration.hiddenSize)
        wide.reserve(chunk * wideSize)
    }

    /// Gives back what only a long prompt needed.
    func shrink() {
        let span = Self.chunk
        hidden.shrink(to: span * configuration.hiddenSize)
        queries.shrink(to: span * configuration.querySize)
        keys.shrink(to: span * configuration.kvSize)
        values.shrink(to: span * configuration.kvSize)
        output.shrink(to: span * configuration.querySize)
        table.shrink(to: span * configuration.headSize * tableKinds)
    }
}
