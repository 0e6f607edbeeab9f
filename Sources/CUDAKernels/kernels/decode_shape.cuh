// Sizes that follow from what a decode kernel is specialised by, and the partial that each warp keeps.
#pragma once
#include "iq_device_tile.h"

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
constexpr int key_bytes = code_bytes(key_bits) + (IQ_KEY_KIND == IQ_HALF ? 0 : 2 * d * (1 + IQ_KEY_ZEROS));
constexpr int value_bytes = code_bytes(value_bits) + (IQ_VALUE_KIND == IQ_HALF ? 0 : 2 * d * (1 + value_zeros));
constexpr int largest_tile = key_bytes > value_bytes ? key_bytes : value_bytes;

/// Tiles of one chunk, which are worked on together: up to 9 KB of keys and as much of values, never more than a page.
constexpr int load = largest_tile > 4608 ? 1 : largest_tile > 2304 ? 2 : 4;
/// Tiles whose scores are held at once.
constexpr int step = sets > 1 && load > 2 ? 2 : load;
constexpr int slot(int tile) { return ((load * tile > raw_bytes ? load * tile : raw_bytes) + 127) / 128 * 128; }
constexpr int key_slot = slot(key_bytes), value_slot = slot(value_bytes);

/// Floats between heads of a warp's partial in shared memory; 8 more than a head has, so that stores meet no bank twice.
constexpr int merge_stride = d + 8;
constexpr int merge_heads = single ? 1 : sets * 4;
/// Bytes of shared memory: slots; barriers and counters; partials of warps; partials of blocks.
constexpr int slots_end = IQ_WARPS * (key_slot + value_slot);
constexpr int control_end = slots_end + IQ_WARPS * 32;
constexpr int partials_end = control_end + IQ_WARPS * merge_heads * (merge_stride + 2) * 4;
constexpr int shared_bytes = partials_end + IQ_WARPS * (d + 2) * 4;
}  // namespace shape

/// The attention of one warp so far. Lane 4g + c has channels 16m + 8h + g of head 4 set + c, summed over all tokens;
/// single: of tiles that are c modulo 4. The sum `l` is of tokens 4g … 4g + 3 of each tile. Maxima are equal for all g.
struct Partials {
    float acc[shape::sets][shape::channel_tiles][2];
    float m[shape::sets], l[shape::sets];
    /// Σ weight · zero point, by channel group, of this lane's tokens.
    float zeros[shape::sets][shape::groups];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int set = 0; set < shape::sets; set++) {
            m[set] = IQ_LOWEST;
            l[set] = 0;
#pragma unroll
            for (int i = 0; i < shape::channel_tiles; i++) acc[set][i][0] = acc[set][i][1] = 0;
#pragma unroll
            for (int i = 0; i < shape::groups; i++) zeros[set][i] = 0;
        }
    }

    /// Multiplies all that was summed.
    __device__ __forceinline__ void rescale(int set, float factor) {
        if (!__any_sync(0xFFFFFFFFu, factor != 1.0f)) return;
        l[set] *= factor;
#pragma unroll
        for (int i = 0; i < shape::channel_tiles; i++) {
            acc[set][i][0] *= factor;
            acc[set][i][1] *= factor;
        }
        if constexpr (IQ_VALUE_KIND == IQ_OUTER && shape::value_zeros) {
#pragma unroll
            for (int i = 0; i < shape::groups; i++) zeros[set][i] *= factor;
        }
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
