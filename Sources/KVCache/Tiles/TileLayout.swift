/// Where things lie in one tile of one KV head: 32 tokens of K, or 32 tokens of V.
///
/// A tile is a matrix of rows by lanes. Rows are the axis that attention sums over, lanes the axis that it keeps:
///
///            rows        lanes
///     K      channels    32 tokens      scores[lane] = Σ q[row] · K[row][lane]
///     V      32 tokens   channels       out[lane]    = Σ p[row] · V[row][lane]
///
/// float16: `value[row][lane]`, two bytes each.
///
/// Grouped: three arrays, one after the other:
///
///     codes   for each block of 32 rows: word[b][lane], 32-bit words (iq_attention.h draws the bits).
///             A last block of 16 rows (K of head size 80) packs two lanes into one: lane l in rows 0–15 and
///             lane l + lanes/2 in rows 16–31 of word[b][lanes/2], so that no bit is wasted.
///     scales  float16. Groups along rows ("inner"): [row block][lane]. Groups along lanes ("outer"):
///             [lane block of 32][row].
///     zeros   float16, shaped as the scales; only for asymmetric and hybrid groups.
package struct TileLayout: Sendable, Hashable {
    /// Tokens of a tile.
    package static let tokens = 32

    package let rows: Int
    package let lanes: Int
    package let format: TensorFormat
    /// Whether a group lies along the rows, the inner dimension of the product.
    package let isInner: Bool

    package static func keys(headSize: Int, format: TensorFormat) -> TileLayout {
        TileLayout(
            rows: headSize, lanes: tokens, format: format, isInner: format.grouped?.axis == .channel
        )
    }

    package static func values(headSize: Int, format: TensorFormat) -> TileLayout {
        TileLayout(
            rows: tokens, lanes: headSize, format: format, isInner: format.grouped?.axis == .token)
    }

    package var rowBlocks: Int { (rows + 31) / 32 }
    package var laneBlocks: Int { (lanes + 31) / 32 }

    /// Rows of block `block`: 32, or 16 for the last one of head size 80.
    package func rowCount(inBlock block: Int) -> Int { min(32, rows - 32 * block) }

    /// Number of groups, scales and, where there are any, zeros.
    package var groupCount: Int {
        guard format.grouped != nil else { return 0 }
        return isInner ? rowBlocks * lanes : laneBlocks * rows
    }

    package var codeBytes: Int {
        guard let grouped = format.grouped else { return rows * lanes * 2 }
        return rows * lanes * grouped.bits / 8
    }

    package var scaleOffset: Int { codeBytes }
    package var zeroOffset: Int { codeBytes + 2 * groupCount }

    package var byteCount: Int {
        zeroOffset + (format.grouped?.storesZeros == true ? 2 * groupCount : 0)
    }

    /// Byte offset of the words of a row block.
    package func wordOffset(block: Int) -> Int { block * (format.grouped?.bits ?? 0) * lanes * 4 }
}
