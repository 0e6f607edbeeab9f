/// Where things lie in a page of the body: 32 tokens of all KV heads of a layer.
///
///     page = [KV head]{ K tile, V tile }, side of K, side of V
///
/// Sides hold what the heads of a ``CodebookFormat`` share; other formats have none.
package struct PageLayout: Sendable, Hashable {
    package let kvHeads: Int
    package let keys: TileLayout
    package let values: TileLayout
    package let keySide: SideLayout
    package let valueSide: SideLayout
    package let headBytes: Int

    package init(shape: LayerShape, keys: TensorFormat, values: TensorFormat) {
        kvHeads = shape.kvHeads
        self.keys = .keys(headSize: shape.headSize, format: keys)
        self.values = .values(headSize: shape.headSize, format: values)
        keySide = SideLayout(keys, shape)
        valueSide = SideLayout(values, shape)
        headBytes = self.keys.byteCount + self.values.byteCount
    }

    package var keySideOffset: Int { headBytes * kvHeads }
    package var valueSideOffset: Int { keySideOffset + keySide.byteCount }
    package var byteCount: Int { valueSideOffset + valueSide.byteCount }
}

/// Where things lie in a page's side: little endian, aligned to 4 bytes.
///
///     affine    32 × { range, zero } float16            only with a range for each token
///     starts    (KV heads + 1) × UInt16                  only with outliers; then padding to 4 bytes
///     outliers  capacity × UInt32                        head h has starts[h] ..< starts[h + 1]; the rest is 0
///
///     outlier:  bits 31…16 value, float16  |  bits 12…0 index of the element in the head's tile, row · lanes + lane
///               (K: channel · 32 + token; V: token · head size + channel); rising within a head
package struct SideLayout: Sendable, Hashable {
    package let hasAffine: Bool
    package let kvHeads: Int
    package let capacity: Int

    /// A side of nothing.
    package static let none = SideLayout(hasAffine: false, kvHeads: 0, capacity: 0)

    private init(hasAffine: Bool, kvHeads: Int, capacity: Int) {
        self.hasAffine = hasAffine
        self.kvHeads = kvHeads
        self.capacity = capacity
    }

    package init(format: CodebookFormat, channels: Int, kvHeads: Int) {
        self.init(
            hasAffine: format.vector == .token, kvHeads: kvHeads,
            capacity: format.outlierCapacity(channels: channels))
    }

    init(_ format: TensorFormat, _ shape: LayerShape) {
        guard case .codebook(let codebook) = format else {
            self = .none
            return
        }
        self.init(
            format: codebook, channels: shape.kvHeads * shape.headSize, kvHeads: shape.kvHeads)
    }

    package var startsOffset: Int { hasAffine ? 4 * TileLayout.tokens : 0 }
    package var outliersOffset: Int {
        startsOffset + (capacity == 0 ? 0 : (2 * (kvHeads + 1) + 3) / 4 * 4)
    }
    package var byteCount: Int { outliersOffset + 4 * capacity }
}
