// Expands a tile of a lookup format in shared memory: levels, outliers in their places, keys turned to their positions,
// rotated vectors turned back. See unpack.cu.
#ifndef UNPACK_LOOKUP_H
#define UNPACK_LOOKUP_H

#include "hadamard.cuh"
#include "iq_seal.h"
#include "page_source.cuh"

constexpr bool has_lookup = IQ_KEY_KIND == IQ_LOOKUP || IQ_VALUE_KIND == IQ_LOOKUP;
constexpr int expanded_stride = IQ_D + 1;            // floats from a token to the next
constexpr int expanded_bytes = 32 * expanded_stride * 4;
/// Of any tile: float16, or floats and behind them 32 ranges and zeros, or as many turns as there are pairs.
constexpr int shared_bytes = has_lookup ? expanded_bytes + (IQ_PRE_ROTARY ? 8 * pairs : 0) + 256 : half_bytes;

/// RoPE of 32 keys, the first of them at `position`.
__device__ __forceinline__ void turn_keys(
    const unsigned char *tables, const struct iq_tables &all, int position, float *values, iq_turn *firsts
) {
    const double *frequencies = (const double *)(tables + all.frequencies);
    const float *places = (const float *)(tables + all.places);
    for (int pair = threadIdx.x; pair < pairs; pair += IQ_UNPACK_THREADS)
        firsts[pair] = iq_turn_of((double)position * frequencies[pair]);
    __syncthreads();
    for (int i = threadIdx.x; i < 32 * pairs; i += IQ_UNPACK_THREADS) {
        int token = i / pairs, pair = i % pairs;
        struct iq_turn place = {places[64 * pair + token], places[64 * pair + 32 + token]};
        struct iq_turn turn = iq_turn_sum(firsts[pair], place);
        bool is_split = IQ_PRE_ROTARY == IQ_HALF_SPLIT;
        float *x = values + token * expanded_stride + (is_split ? pair : 2 * pair), *y = x + (is_split ? pairs : 1);
        float a = *x, b = *y;
        *x = iq_sum(iq_mul(a, turn.cosine), -iq_mul(b, turn.sine));
        *y = iq_sum(iq_mul(a, turn.sine), iq_mul(b, turn.cosine));
    }
    __syncthreads();
}

/// Turns 32 vectors back: butterflies, then signs; a warp a vector.
__device__ __forceinline__ void turn_back(const float *signs, float *values) {
    constexpr int per_lane = IQ_D / 32;
    int lane = threadIdx.x & 31;
    for (int token = threadIdx.x >> 5; token < 32; token += IQ_UNPACK_THREADS / 32) {
        float x[per_lane];
#pragma unroll
        for (int i = 0; i < per_lane; i++) x[i] = values[token * expanded_stride + 32 * i + lane];
        hadamard(x);
#pragma unroll
        for (int i = 0; i < per_lane; i++)
            values[token * expanded_stride + 32 * i + lane] =
                iq_mul(signs[32 * i + lane], iq_mul(x[i], iq_rotation_scale(IQ_D)));
    }
    __syncthreads();
}

/// - Returns: the values, [token][expanded_stride].
template <bool is_key, int lookup, int bits>
__device__ __forceinline__ const float *expand(
    const struct iq_unpack &work, const unsigned char *tile, const unsigned char *side, int head, int position,
    unsigned char *shared
) {
    const unsigned char *tables = (const unsigned char *)work.normalizer;
    struct iq_tables all = iq_tables_of(
        work.lookup.table_start, work.kv_heads, IQ_D, key_lookup, value_lookup, IQ_PRE_ROTARY);
    struct iq_lookup_tables at = is_key ? all.keys : all.values;
    const float *decoded = (const float *)(tables + at.decoded);
    const float *ranges = (const float *)(tables + at.ranges) + head * IQ_D;
    const float *zeros = (const float *)(tables + at.zeros) + head * IQ_D;
    float *values = (float *)shared;
    struct iq_vector_range *own = (struct iq_vector_range *)(shared + expanded_bytes);
    if (threadIdx.x < 32) {
        const uint16_t *halves = (const uint16_t *)(lookup == IQ_ROTATED ? tile + 4 * IQ_D * bits : side);
        if (lookup == IQ_ROTATED)
            own[threadIdx.x] = {iq_half_float(halves[threadIdx.x]), 0};
        else if (lookup == IQ_TOKEN_RANGES)
            own[threadIdx.x] = {iq_half_float(halves[2 * threadIdx.x]), iq_half_float(halves[2 * threadIdx.x + 1])};
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 32 * IQ_D; i += IQ_UNPACK_THREADS) {
        int token = i / IQ_D, channel = i % IQ_D;
        struct iq_fragment_place p =
            is_key ? iq_key_fragment(0, token, channel) : iq_value_fragment(0, token, channel);
        float level = decoded[iq_read_code((const uint32_t *)tile, 0, bits, IQ_D, p)];
        struct iq_vector_range range;
        if (lookup == IQ_CHANNEL_RANGES) range = {ranges[channel], zeros[channel]};
        else range = own[token];
        values[token * expanded_stride + channel] = iq_sum(iq_mul(range.range, level), range.zero);
    }
    __syncthreads();
    if (lookup == IQ_ROTATED) {
        turn_back((const float *)(tables + at.signs), values);
        return values;
    }
    int capacity = is_key ? work.lookup.key_capacity : work.lookup.value_capacity;
    if (capacity > 0) {
        struct iq_side places = iq_side_of(lookup, work.kv_heads, capacity);
        const uint16_t *starts = (const uint16_t *)(side + places.starts);
        const uint32_t *outliers = (const uint32_t *)(side + places.outliers);
        for (int i = starts[head] + threadIdx.x; i < starts[head + 1]; i += IQ_UNPACK_THREADS) {
            int index = outliers[i] & 0x1FFF;
            int token = is_key ? index & 31 : index / IQ_D, channel = is_key ? index >> 5 : index % IQ_D;
            values[token * expanded_stride + channel] = iq_half_float((uint16_t)(outliers[i] >> 16));
        }
        __syncthreads();
    }
    if (is_key && IQ_PRE_ROTARY) turn_keys(tables, all, position, values, (iq_turn *)(shared + expanded_bytes + 256));
    return values;
}

#endif
