// What the kernels that write a cache are told: append.cu, seal.cu, seal_codebook.cu, seal_rotated.cu and unpack.cu.
// Passed by value.
//
// The cache is laid out as iq_device_cache.h says. Token `position` of a sequence lies
//
//     position < body_position         in the sink, tile position / 32
//     position ≥ recent_position       in the ring, tile (position − recent_position) / 32 from slot `recent_first` on
//
// and between the two in the body, where nothing is appended.
#ifndef IQ_DEVICE_APPEND_H
#define IQ_DEVICE_APPEND_H

#include "iq_device_cache.h"
#include "iq_device_tile.h"

// MARK: - Append

/// New tokens of one sequence. 56 bytes.
struct iq_append_sequence {
    uint64_t sink, recent;
    /// float32 [position][query heads][d]: turned queries for the key statistics; 0 where they are not wanted.
    uint64_t statistics;
    /// Row of the inputs that holds the first new token; number of new tokens; position of the first.
    int32_t first_row, count, position;
    /// Tokens of the policy's sink; position of the first recent token, and its tile's ring slot.
    int32_t body_position, recent_position, recent_first;
    /// Queries of positions below this are wanted for the statistics.
    int32_t statistics_end;
    int32_t reserved;
};

/// Turns queries and keys by RoPE and appends keys and values as float16, for one layer.
///
/// Grid: (iq_append_blocks, most new tokens of a sequence, sequences), IQ_APPEND_THREADS threads.
struct iq_append {
    /// float32 rows of a token: [query heads][d], [KV heads][d], [KV heads][d], before RoPE; 8-byte aligned, strides
    /// even. `queries` 0: there are none.
    uint64_t queries, keys, values;
    /// float32 [row][query heads][d]: turned queries; may be `queries` if its stride is [query heads][d].
    uint64_t turned;
    /// float32 [position]{ cosine [pairs], sine [pairs] }.
    uint64_t angles;
    /// float16 [row][KV heads][d]: keys and values once more as they are stored, for attention over a whole prompt;
    /// 0: not wanted.
    uint64_t dense_keys, dense_values;
    uint64_t raw_stride;
    /// Floats from one row to the next.
    int32_t query_stride, key_stride, value_stride;
    int32_t sequences, query_heads, kv_heads, ring_tiles;
    /// Channels 0 ..< 2 · pairs turn, an even number of pairs; 0: no RoPE.
    int32_t pairs;
    /// 0: channels i and i + pairs turn together; 1: channels 2i and 2i + 1.
    int32_t is_interleaved;
    int32_t reserved;
    struct iq_append_sequence sequence[IQ_MOST_SEQUENCES];
};

#define IQ_APPEND_THREADS 128

/// Blocks of one token: a thread takes four channels of a head.
IQ_FN int iq_append_blocks(int query_heads, int kv_heads, int d) {
    return ((query_heads + 2 * kv_heads) * (d / 4) + IQ_APPEND_THREADS - 1) / IQ_APPEND_THREADS;
}

// MARK: - Seal

/// Tiles of one sequence that are due. 40 bytes.
struct iq_seal_sequence {
    uint64_t recent, body;
    /// As in iq_sequence.
    uint64_t normalizer;
    /// Ring slot of the oldest recent tile; number of the body tile that it becomes; tiles to be sealed.
    int32_t recent_first, first_tile, tiles;
    int32_t reserved;
};

/// What lookup formats need to know of a layer besides.
struct iq_lookup_layer {
    /// Position of the first body token: the policy's sink.
    int32_t body_position;
    /// Bytes of what precedes the tables: `start` of iq_tables_of.
    int32_t table_start;
    /// Outliers that a side of K, or of V, has room for.
    int32_t key_capacity, value_capacity;
    /// With a range for each token: outliers of a token above the range, and as many below.
    int32_t key_outliers, value_outliers;
};

/// Quantizes the oldest recent tiles into body tiles, for one layer. Reads the ring, writes every byte of those tiles and
/// of their sides, and nothing else. Each kernel does the tensors whose format it knows.
///
/// iq_seal_tiles, float16 and groups: grid (KV heads · iq_seal_parts, most tiles of a sequence, sequences),
/// IQ_SEAL_THREADS threads, iq_seal_shared_bytes of dynamic shared memory.
///
/// iq_seal_codebook: grid (tensors, tiles, sequences), IQ_SEAL_CODEBOOK_THREADS threads, iq_seal_codebook_shared_bytes.
///
/// iq_seal_rotated: grid (KV heads · tensors, tiles, sequences), IQ_SEAL_THREADS threads, iq_seal_rotated_shared_bytes.
struct iq_seal {
    uint64_t page_stride, raw_stride;
    int32_t kv_heads, ring_tiles, sequences, reserved;
    struct iq_lookup_layer lookup;
    struct iq_seal_sequence sequence[IQ_MOST_SEQUENCES];
};

#define IQ_SEAL_THREADS 128

/// Blocks of one tile: with error feedback four for K, eight tokens each, and one for V.
IQ_FN int iq_seal_parts(int has_feedback) { return has_feedback ? 5 : 2; }

/// Dynamic shared memory of a block.
IQ_FN int iq_seal_shared_bytes(int d, int has_feedback) {
    // Values of d groups (33 floats each), and staged codes.
    int whole = d * 33 * 4 + d * 32;
    if (!has_feedback) return whole;
    // Values of d / 4 groups (36 floats each), staged codes, divisors, a ring of 64 rows of factors, and what is read
    // past its end.
    int part = d / 4 * 36 * 4 + d * 8 + d / 4 * 16 + 64 * d * 4 + 128;
    return part > whole ? part : whole;
}

#define IQ_SEAL_CODEBOOK_THREADS 512

/// Dynamic shared memory of a block that seals codebooks: angles of a tile, a bit for each element, and histograms of 32
/// tokens.
IQ_FN int iq_seal_codebook_shared_bytes(int kv_heads, int d, int has_outliers, int has_token_ranges, int is_pre_rotary) {
    int histograms = has_outliers ? (has_token_ranges ? 32 * 257 * 4 : 257 * 4) : 0;
    return (is_pre_rotary ? 8 * 33 * (d / 2) : 0) + (has_outliers ? 4 * kv_heads * d : 0) + (histograms + 15) / 16 * 16;
}

/// Of a block that seals rotated tiles: vectors of 32 tokens, then staged codes.
IQ_FN int iq_seal_rotated_shared_bytes(int d) { return 32 * (d + 1) * 4 + 32 * d; }

// MARK: - Unpack

/// Dequantizes positions `first ..< end` of one layer of one sequence, all of them stored, normalization undone.
///
/// Grid: (2 · KV heads, tiles from first_chunk on), IQ_UNPACK_THREADS threads. Tiles are numbered through: those of the
/// sink, of the body, of recent.
struct iq_unpack {
    uint64_t sink, recent, body, normalizer;
    /// [token − first][KV head][d]: float16 if not 0, and float32 if not 0.
    uint64_t half_keys, half_values, float_keys, float_values;
    uint64_t page_stride, raw_stride;
    int32_t kv_heads, ring_tiles;
    int32_t first, end, first_chunk;
    int32_t body_position, recent_position, recent_first;
    struct iq_lookup_layer lookup;
};

#define IQ_UNPACK_THREADS 128

/// Number of the tile that holds `position`.
IQ_FN int iq_unpack_chunk(int body_position, int position) {
    return position < body_position ? position >> 5
                                    : ((body_position + 31) >> 5) + ((position - body_position) >> 5);
}

#endif
