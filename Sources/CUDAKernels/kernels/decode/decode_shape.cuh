// Sizes that follow from what a decode kernel is specialised by, and the partial that each warp keeps.
#pragma once
#include "iq_device_tables.h"
#include "iq_device_tile.h"

// Only lookup tiles have these: enum iq_lookup and enum iq_pre_rotary; copies of the tables of levels, a power of two.
#ifndef IQ_KEY_LOOKUP
#define IQ_KEY_LOOKUP IQ_NO_LOOKUP
#define IQ_KEY_OUTLIERS 0
#define IQ_PRE_ROTARY IQ_POST_ROTARY
#endif
#ifndef IQ_VALUE_LOOKUP
#define IQ_VALUE_LOOKUP IQ_NO_LOOKUP
#define IQ_VALUE_OUTLIERS 0
#endif
#ifndef IQ_TABLE_COPIES
#define IQ_TABLE_COPIES 1
#endif

/// Queries and weights that are multiplied as float16 are sums of two numbers, the second multiplied by this.
#define IQ_LOW_PART 2048.0f

/// What stands for "no token": low, but finite, so that differences of two of them are 0.
#define IQ_LOWEST -1e30f
/// The score of a token that is not seen.
#define IQ_ABSENT __int_as_float(0xFF800000)


namespace shape {
constexpr int d = IQ_HEAD_SIZE;
constexpr int groups = d / 32;
/// Row tiles of values: 16 channels each.
constexpr int channel_tiles = d / 16;
/// Steps of 16 channels of keys.
constexpr int channel_steps = d / 16;
constexpr bool integer_keys = IQ_KEY_KIND == IQ_INNER;
constexpr bool integer_values = IQ_VALUE_KIND == IQ_INNER;
/// One query head: columns hold groups (keys) and tiles (values) instead of heads.
constexpr bool single = IQ_HEADS == 1 && integer_keys && integer_values;
/// Sets of four heads, two columns each.
constexpr int sets = (IQ_HEADS + 3) / 4;

constexpr int code_bytes(int bits) { return 32 * d * bits / 8; }
constexpr int raw_bytes = code_bytes(16);
constexpr int key_bits = IQ_KEY_KIND == IQ_HALF ? 16 : IQ_KEY_BITS;
constexpr int value_bits = IQ_VALUE_KIND == IQ_HALF ? 16 : IQ_VALUE_BITS;
constexpr bool value_zeros = IQ_VALUE_MODE != 0;
constexpr int tile_bytes(int kind, int bits, int zeros, int lookup) {
    const int scales = kind == IQ_HALF ? 0 : kind == IQ_LOOKUP ? (lookup == IQ_ROTATED ? 64 : 0) : 2 * d * (1 + zeros);
    return code_bytes(bits) + scales;
}
constexpr int key_bytes = tile_bytes(IQ_KEY_KIND, key_bits, IQ_KEY_ZEROS, IQ_KEY_LOOKUP);
constexpr int value_bytes = tile_bytes(IQ_VALUE_KIND, value_bits, value_zeros, IQ_VALUE_LOOKUP);
constexpr int largest_tile = key_bytes > value_bytes ? key_bytes : value_bytes;

/// Tiles of one chunk, which are worked on together: up to 9 KB of keys and as much of values, never more than a page.
constexpr bool has_outliers = IQ_KEY_OUTLIERS || IQ_VALUE_OUTLIERS;
constexpr int load = largest_tile > 4608 ? 1 : largest_tile > 2304 || has_outliers ? 2 : 4;
constexpr bool lookup_keys = IQ_KEY_KIND == IQ_LOOKUP, lookup_values = IQ_VALUE_KIND == IQ_LOOKUP;
constexpr bool has_lookup = lookup_keys || lookup_values;
/// Tiles whose scores are held at once.
constexpr int step = has_lookup ? (sets > 1 || load == 1 || has_outliers ? 1 : 2) : sets > 1 && load > 2 ? 2 : load;
/// Lookup tiles are expanded in pieces of some units of two channel steps, as many as channels that RoPE turns together need.
constexpr int units = d / 32;
constexpr int piece_units = units % 2 == 0 ? 2 : units;
constexpr int pieces = units / piece_units;
/// Ranges of a tile's tokens, which follow a chunk's tiles.
constexpr int range_bytes(int lookup) { return lookup == IQ_TOKEN_RANGES ? 128 : 0; }
/// Rows of a query's B operands, high and low parts of each head, where each tile turns them back: padded to whole 128 bytes.
constexpr int query_row = (2 * d + 127) / 128 * 128;
constexpr int query_room = IQ_PRE_ROTARY ? 2 * IQ_HEADS * query_row : 0;
constexpr int slot(int tile, int lookup, int more = 0) {
    const int bytes = load * (tile + range_bytes(lookup)) + more;
    return ((has_outliers || bytes > raw_bytes ? bytes : raw_bytes) + 127) / 128 * 128;
}
/// Slots for keys and values: each has room for a float16 tile.
///
/// With outliers a warp needs room for one whole tile besides, to put them in their places. So the slots have room for such a
/// tile only together: keys of a raw tile take both, values of a raw tile the third place.
/// Queries that are turned back lie behind the keys, or where tiles are expanded later.
constexpr int key_slot = slot(key_bytes, IQ_KEY_LOOKUP, has_outliers ? 0 : query_room);
constexpr int tight_value_slot = slot(value_bytes, IQ_VALUE_LOOKUP);
constexpr int value_slot = key_slot + tight_value_slot < raw_bytes ? raw_bytes - key_slot : tight_value_slot;
constexpr int warp_slots = key_slot + value_slot + (has_outliers ? raw_bytes : 0);
/// From a warp's first slot; and, from the slot of values, where values of a raw tile are.
constexpr int expanded_at = key_slot + value_slot;
constexpr int raw_values_at = has_outliers ? value_slot : 0;
constexpr int query_at = has_outliers ? expanded_at : key_slot - query_room;

/// Floats between heads of a warp's partial in shared memory; 8 more than a head has, so that stores meet no bank twice.
constexpr int merge_stride = d + 8;
constexpr int merge_heads = single ? 1 : sets * 4;
/// Bytes of shared memory: slots; barriers and counters; partials of warps, which take the place of their slots where much
/// else is needed, and maxima and sums; partials of blocks.
constexpr int slots_end = IQ_WARPS * warp_slots;
constexpr int control_end = slots_end + IQ_WARPS * 32;
constexpr int partial_begin = has_lookup ? 0 : control_end;
constexpr int partial_stride = has_lookup ? warp_slots / 4 : merge_heads * merge_stride;
constexpr int sums_begin = has_lookup ? control_end : control_end + IQ_WARPS * merge_heads * merge_stride * 4;
constexpr int partials_end = sums_begin + IQ_WARPS * merge_heads * 8;
constexpr int merge_bytes = IQ_WARPS * (d + 2) * 4;
/// With lookup tiles, what they need has that place until then.
constexpr int lookup_begin = has_lookup ? partials_end : partials_end + merge_bytes;

/// Tables of two tensors of 4 bits lie side by side where they have all copies.
constexpr bool wide_tables =
    lookup_keys && lookup_values && key_bits == 4 && value_bits == 4 && IQ_TABLE_COPIES == 32;
constexpr int table_row = wide_tables ? 256 : 4 * IQ_TABLE_COPIES;
constexpr int table_bytes(bool is_lookup, int bits) {
    return is_lookup && bits >= 3 ? (4 << 2 * bits) * IQ_TABLE_COPIES : 0;
}
/// Outliers of a tile that are fetched ahead.
constexpr int outlier_room = d > 128 ? 128 : 64;
/// Of a warp: ranges of the channels of K and V (float16 range and zero).
constexpr int key_ranges_at = 0;
constexpr int value_ranges_at = key_ranges_at + (IQ_KEY_LOOKUP == IQ_CHANNEL_RANGES ? 4 * d : 0);
constexpr int warp_bytes = value_ranges_at + (IQ_VALUE_LOOKUP == IQ_CHANNEL_RANGES ? 4 * d : 0);
/// Of the block: tables; cosines and sines of 0 … 31 positions.
constexpr int value_table_begin = lookup_begin + (wide_tables ? 128 : table_bytes(lookup_keys, key_bits));
constexpr int turns_begin = lookup_begin + table_bytes(lookup_keys, key_bits) + table_bytes(lookup_values, value_bits);
constexpr int warps_begin = turns_begin + (IQ_PRE_ROTARY ? 64 * d : 0);
constexpr int lookup_end = warps_begin + IQ_WARPS * warp_bytes;
constexpr int shared_bytes = lookup_end > partials_end + merge_bytes ? lookup_end : partials_end + merge_bytes;

/// Whether levels are multiplied as they are, and ranges and norms go into queries, scores and weights. Otherwise levels are
/// made values first.
constexpr bool folds_keys = !IQ_KEY_OUTLIERS && !IQ_PRE_ROTARY;
constexpr bool folds_values = !IQ_VALUE_OUTLIERS && IQ_VALUE_LOOKUP != IQ_CHANNEL_RANGES;
/// Whether products of high and low parts of weights with lookup tiles are summed apart, where there is room for that.
constexpr bool sums_apart = lookup_values && IQ_HEADS == 1 && d <= 128;
/// Whether a warp keeps cosines and sines of one piece in registers, where there is room for them.
constexpr bool holds_turns = IQ_PRE_ROTARY == IQ_HALF_SPLIT && d == 128 && IQ_HEADS == 1;
/// Whether weights are summed with zero points, by group of 32 channels or, in [0], for all.
constexpr bool group_zeros = IQ_VALUE_KIND == IQ_OUTER && value_zeros;
constexpr bool common_zeros = IQ_VALUE_LOOKUP == IQ_TOKEN_RANGES && folds_values;
}  // namespace shape

/// The attention of one warp so far. Lane 4g + c has channels 16m + 8h + g of head 4 set + c, summed over all tokens;
/// single: of tiles that are c modulo 4. The sum `l` is of tokens 4g … 4g + 3 of each tile. Maxima are equal for all g.
struct Partials {
    float acc[shape::sets][shape::channel_tiles][2];
    /// The same as products of high and low parts, [0] and [2] high, while values are summed so.
    float apart[shape::sums_apart ? shape::channel_tiles : 1][4];
    float m[shape::sets], l[shape::sets];
    /// Σ weight · zero point, by channel group, of this lane's tokens. Lookup tiles: [0], for all channels.
    float zeros[shape::sets][shape::groups];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int set = 0; set < shape::sets; set++) {
            m[set] = IQ_LOWEST;
            l[set] = 0;
#pragma unroll
            for (int i = 0; i < shape::channel_tiles; i++) acc[set][i][0] = acc[set][i][1] = 0;
            split();
#pragma unroll
            for (int i = 0; i < shape::groups; i++) zeros[set][i] = 0;
        }
    }

    /// Adds to a sum.
    __device__ __forceinline__ void add(int set, int tile, int half, float x) {
        if constexpr (shape::sums_apart) apart[tile][2 * half] += x;
        else acc[set][tile][half] += x;
    }
    /// Sums of parts to sums, and back.
    __device__ __forceinline__ void join() {
        if constexpr (shape::sums_apart)
#pragma unroll
            for (int i = 0; i < shape::channel_tiles; i++)
#pragma unroll
                for (int h = 0; h < 2; h++) acc[0][i][h] = apart[i][2 * h] + apart[i][2 * h + 1] * (1 / IQ_LOW_PART);
    }
    __device__ __forceinline__ void split() {
        if constexpr (shape::sums_apart)
#pragma unroll
            for (int i = 0; i < shape::channel_tiles; i++)
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    apart[i][2 * h] = acc[0][i][h];
                    apart[i][2 * h + 1] = 0;
                }
    }

    /// Multiplies all that was summed.
    __device__ __forceinline__ void rescale(int set, float factor) {
        if (!__any_sync(0xFFFFFFFFu, factor != 1.0f)) return;
        l[set] *= factor;
#pragma unroll
        for (int i = 0; i < shape::channel_tiles; i++) {
            if constexpr (shape::sums_apart) {
#pragma unroll
                for (int k = 0; k < 4; k++) apart[i][k] *= factor;
            } else {
                acc[set][i][0] *= factor;
                acc[set][i][1] *= factor;
            }
        }
        if constexpr (shape::group_zeros) {
#pragma unroll
            for (int i = 0; i < shape::groups; i++) zeros[set][i] *= factor;
        }
        if constexpr (shape::common_zeros) zeros[set][0] *= factor;
    }
};

/// The largest of a value over the lanes that share c.
__device__ __forceinline__ float column_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, 4));
    x = fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, 8));
    return fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, 16));
}
__device__ __forceinline__ float column_sum(float x) {
    x += __shfl_xor_sync(0xFFFFFFFFu, x, 4);
    x += __shfl_xor_sync(0xFFFFFFFFu, x, 8);
    return x + __shfl_xor_sync(0xFFFFFFFFu, x, 16);
}

/// Takes tokens outside first … end − 1 out. `score` is of tokens position + 4g + j of a tile.
__device__ __forceinline__ void mask_tile(float (&score)[4], int position, int visible, int end, int lane) {
    const int mine = position + 4 * (lane >> 2);
#pragma unroll
    for (int j = 0; j < 4; j++)
        if (mine + j < visible || mine + j >= end) score[j] = IQ_ABSENT;
}
