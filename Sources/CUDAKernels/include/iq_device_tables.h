// Where the numbers of lookup formats lie on the GPU: tables of a layer, and the sides of its pages.
//
// Tables are those of one layer of one sequence, behind `iq_sequence.normalizer`. Scales, means and error feedback of
// normalized keys come first, if there are any; then, from the next multiple of 16 bytes on,
//
//     frequencies   double [d / 2]             radians a position; only if keys are stored as before RoPE, as are
//     places        float [d / 2][2][32]       cosines and sines of 0 … 31 positions
//     K:  ranges, zeros, lows, highs           float [KV head][d] each; only with static ranges
//         boundaries                           float [16], of which 2^bits − 1 count: a code is the number of them that are exceeded
//         decoded                              float [16], of which 2^bits count: what codes stand for
//         signs                                float [d], ±1; only if rotated
//     V:  the same
//
// each at a multiple of 16 bytes. Boundaries and `decoded` are in units of the range, or of the vector's norm.
//
// A page of the body (iq_device_cache.h) has its sides behind its tiles, for each tile those of K and V:
//
//     page = { K tiles } { V tiles } [tile 0…3]{ K side, V side }
//
// A side has the CPU's bytes (SideLayout), padded to a multiple of 16; one of size 0 takes nothing.
#ifndef IQ_DEVICE_TABLES_H
#define IQ_DEVICE_TABLES_H

#include "iq_device_tile.h"

/// What a lookup format's codes are laid over.
enum iq_lookup {
    IQ_NO_LOOKUP = 0,
    IQ_CHANNEL_RANGES = 1,   // codebook over static ranges, one for each channel
    IQ_TOKEN_RANGES = 2,     // codebook over ranges of each token, in the side
    IQ_ROTATED = 3,          // levels of a turned unit vector
};

/// Whether keys are stored as they are before RoPE, and which channels turn together.
enum iq_pre_rotary {
    IQ_POST_ROTARY = 0,
    IQ_HALF_SPLIT = 1,       // channels i and i + d / 2
    IQ_INTERLEAVED = 2,      // channels 2i and 2i + 1
};

/// Offsets of one tensor's tables, in bytes from the normalizer's address; −1 where there is none.
struct iq_lookup_tables {
    int ranges, zeros, lows, highs;
    int boundaries, decoded;
    int signs;
};

/// Offsets of a layer's tables, and their bytes with what is before them.
struct iq_tables {
    int frequencies, places;
    struct iq_lookup_tables keys, values;
    int byte_count;
};

IQ_FN int iq_table_place(int wanted, int bytes, int *end) {
    int place = (*end + 15) / 16 * 16;
    if (!wanted) return -1;
    *end = place + bytes;
    return place;
}

IQ_FN struct iq_lookup_tables iq_lookup_tables_of(int kv_heads, int d, int lookup, int *end) {
    struct iq_lookup_tables t;
    int is_static = lookup == IQ_CHANNEL_RANGES, numbers = 4 * kv_heads * d;
    t.ranges = iq_table_place(is_static, numbers, end);
    t.zeros = iq_table_place(is_static, numbers, end);
    t.lows = iq_table_place(is_static, numbers, end);
    t.highs = iq_table_place(is_static, numbers, end);
    t.boundaries = iq_table_place(lookup != IQ_NO_LOOKUP, 64, end);
    t.decoded = iq_table_place(lookup != IQ_NO_LOOKUP, 64, end);
    t.signs = iq_table_place(lookup == IQ_ROTATED, 4 * d, end);
    return t;
}

/// - Parameters:
///   - start: bytes of scales, means and error feedback.
///   - key_lookup, value_lookup: enum iq_lookup; pre_rotary: enum iq_pre_rotary.
IQ_FN struct iq_tables iq_tables_of(int start, int kv_heads, int d, int key_lookup, int value_lookup, int pre_rotary) {
    struct iq_tables t;
    int end = start;
    t.frequencies = iq_table_place(pre_rotary != IQ_POST_ROTARY, 4 * d, &end);
    t.places = iq_table_place(pre_rotary != IQ_POST_ROTARY, 128 * d, &end);
    t.keys = iq_lookup_tables_of(kv_heads, d, key_lookup, &end);
    t.values = iq_lookup_tables_of(kv_heads, d, value_lookup, &end);
    t.byte_count = end;
    return t;
}

/// Offsets in the side of one tensor of a tile; `byte_count` is padded.
struct iq_side {
    int starts, outliers, byte_count;
};

/// - Parameter capacity: outliers that it has room for.
IQ_FN struct iq_side iq_side_of(int lookup, int kv_heads, int capacity) {
    struct iq_side side;
    side.starts = lookup == IQ_TOKEN_RANGES ? 128 : 0;
    side.outliers = side.starts + (capacity == 0 ? 0 : (2 * (kv_heads + 1) + 3) / 4 * 4);
    side.byte_count = (side.outliers + 4 * capacity + 15) / 16 * 16;
    return side;
}

#endif
