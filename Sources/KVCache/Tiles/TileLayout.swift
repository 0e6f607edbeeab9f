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
///
/// Codebook: codes only, in the same words; what tokens and channels have in common is in the page's side (PageLayout).
///
/// Rotated: arrays one after the other; rows and lanes are those of the turned vectors.
///
///     codes   as above
///     norms   32 × float16, one a token
///     signs   of the residual, as codes of one bit; only with a residual
///     errors  32 × float16, the residual's norms; only with a residual
package struct TileLayout: Sendable, Hashable {
    /// Tokens of a tile.
    package static let tokens = 32

    package let rows: Int
    package let lanes: Int
    package let format: TensorFormat
    /// Whether a group lies along the rows, the inner dimension of the product. Rotated: whether a vector does, as in K.
    package let isInner: Bool
    package let codeBytes: Int
    package private(set) var byteCount = 0

    init(rows: Int, lanes: Int, format: TensorFormat, isInner: Bool) {
        self.rows = rows
        self.lanes = lanes
        self.format = format
        self.isInner = isInner
        // Computed once: attention asks for sizes and offsets at every tile.
        codeBytes = rows * lanes * (format.codeBits ?? 16) / 8
        byteCount = countedBytes
    }

    private var countedBytes: Int {
        switch format {
        case .float16, .codebook: codeBytes
        case .grouped(let grouped): zeroOffset + (grouped.storesZeros ? 2 * groupCount : 0)
        case .rotated(let rotated):
            rotated.hasResidual ? errorOffset + 2 * Self.tokens : signOffset
        }
    }

    package static func keys(headSize: Int, format: TensorFormat) -> TileLayout {
        TileLayout(
            rows: headSize, lanes: tokens, format: format,
            isInner: format.rotated != nil || format.grouped?.axis == .channel)
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

    package var scaleOffset: Int { codeBytes }
    package var zeroOffset: Int { codeBytes + 2 * groupCount }

    /// Rotated formats: norms, signs and norms of the residual.
    package var normOffset: Int { codeBytes }
    package var signOffset: Int { normOffset + 2 * Self.tokens }
    package var errorOffset: Int { signOffset + rows * lanes / 8 }

    /// Byte offset of the words of a row block.
    package func wordOffset(block: Int) -> Int { block * (format.codeBits ?? 0) * lanes * 4 }
}
