// Dequantizes a stretch of one layer's cache to dense rows, normalization and rotation undone, keys after RoPE: for
// attention over a whole prompt, and for comparing a cache with the CPU's.
//
// A block takes one tile of K or V of one KV head into shared memory; a thread gives eight channels of a token. Tiles of
// lookup formats are expanded there first: unpack_lookup.cuh.
//
// Macros: those of body_tiles.cuh; IQ_KEY_LEVELS, IQ_VALUE_LEVELS; IQ_NORMALIZED; IQ_PRE_ROTARY (enum iq_pre_rotary).
#include "unpack_lookup.cuh"

/// An element of a tile.
template <bool is_key, int kind, int bits, int mode, int levels>
__device__ __forceinline__ float element(const unsigned char *tile, int token, int channel) {
    constexpr bool is_integer = kind == IQ_INNER;
    struct iq_fragment_place p = is_key ? iq_key_fragment(is_integer, token, channel)
                                        : iq_value_fragment(is_integer, token, channel);
    if (kind == IQ_HALF) return iq_half_float(((const uint16_t *)tile)[iq_half_index(p)]);
    uint32_t code = iq_read_code((const uint32_t *)tile, is_integer, bits, IQ_D, p);
    const uint16_t *scales = (const uint16_t *)(tile + 4 * IQ_D * bits);
    int index = is_key ? iq_key_scale(kind, token, channel) : iq_value_scale(kind, IQ_D, token, channel);
    float scale = iq_half_float(scales[index]);
    float level = (float)((int)code - iq_bias(bits, levels));
    if (mode == IQ_SYMMETRIC) return iq_mul(scale, level);
    float zero = iq_half_float(scales[IQ_D + index]);
    if (mode == IQ_ASYMMETRIC || (int)iq_float_bits(scale) < 0)
        return iq_sum(iq_mul(iq_abs(scale), (float)code), zero);
    return iq_mul((int)iq_float_bits(zero) < 0 ? -scale : scale, level);
}

/// Eight channels of each of a tile's tokens, as `element` gives them, to where they are wanted.
template <class Element>
__device__ __forceinline__ void store(
    const struct iq_unpack &work, bool is_key, int head, int position, int first, int end, Element element
) {
    uint16_t *halves = (uint16_t *)(is_key ? work.half_keys : work.half_values);
    float *floats = (float *)(is_key ? work.float_keys : work.float_values);
    for (int i = threadIdx.x; i < 4 * IQ_D; i += IQ_UNPACK_THREADS) {
        int token = i / (IQ_D / 8), channel = i % (IQ_D / 8) * 8;
        if (position + token < first || position + token >= end) continue;
        long long at = ((long long)(position + token - work.first) * work.kv_heads + head) * IQ_D + channel;
        float x[8];
#pragma unroll
        for (int j = 0; j < 8; j++) x[j] = element(token, channel + j);
        if (halves) {
            uint32_t words[4];
#pragma unroll
            for (int j = 0; j < 4; j++)
                words[j] = iq_stored_half(x[2 * j]) | (uint32_t)iq_stored_half(x[2 * j + 1]) << 16;
            *(uint4 *)(halves + at) = make_uint4(words[0], words[1], words[2], words[3]);
        }
        if (floats) {
            *(float4 *)(floats + at) = make_float4(x[0], x[1], x[2], x[3]);
            *(float4 *)(floats + at + 4) = make_float4(x[4], x[5], x[6], x[7]);
        }
    }
}

template <bool is_key, int kind, int bits, int mode, int levels>
__device__ __forceinline__ void unpack(
    const struct iq_unpack &work, const unsigned char *source, const unsigned char *side, int head, int position,
    int first, int end, const float *scales, const float *means, unsigned char *shared
) {
    constexpr int bytes = body_tile_bytes(kind, bits, mode);
    if constexpr (kind == IQ_LOOKUP) {
        const float *values = expand<is_key, mode, bits>(work, source, side, head, position, shared);
        store(work, is_key, head, position, first, end,
              [=](int token, int channel) { return values[token * expanded_stride + channel]; });
    } else {
        for (int i = threadIdx.x; i < bytes / 16; i += IQ_UNPACK_THREADS)
            ((uint4 *)shared)[i] = ((const uint4 *)source)[i];
        __syncthreads();
        store(work, is_key, head, position, first, end, [=](int token, int channel) {
            float x = element<is_key, kind, bits, mode, levels>(shared, token, channel);
            return is_key && scales ? iq_sum(iq_mul(x, scales[channel]), means[channel]) : x;
        });
    }
}

extern "C" __global__ void __launch_bounds__(IQ_UNPACK_THREADS, 1)
iq_unpack_tiles(const __grid_constant__ struct iq_unpack work) {
    __shared__ __align__(16) unsigned char shared[shared_bytes];
    int head = blockIdx.x >> 1;
    bool is_key = (blockIdx.x & 1) == 0;
    int chunk = work.first_chunk + blockIdx.y;
    int sink_chunks = (work.body_position + 31) >> 5;
    int first = work.first, end = work.end, position;
    const unsigned char *tile, *side = nullptr;
    bool is_raw = true;
    if (chunk < sink_chunks) {
        position = 32 * chunk;
        end = min(end, work.body_position);
        tile = (const unsigned char *)work.sink + chunk * work.raw_stride;
    } else {
        int number = chunk - sink_chunks;
        position = work.body_position + 32 * number;
        is_raw = position >= work.recent_position;
        if (is_raw) {
            int slot = (work.recent_first + ((position - work.recent_position) >> 5)) % work.ring_tiles;
            tile = (const unsigned char *)work.recent + slot * work.raw_stride;
        } else {
            body_place place(work.body, work.page_stride, number, work.kv_heads);
            tile = is_key ? place.keys_of(head) : place.values_of(head);
            int key_side = iq_side_of(key_lookup, work.kv_heads, work.lookup.key_capacity).byte_count;
            int value_side = iq_side_of(value_lookup, work.kv_heads, work.lookup.value_capacity).byte_count;
            side = place.sides(work.kv_heads, key_side + value_side) + (is_key ? 0 : key_side);
        }
    }
    if (position >= end) return;
    const float *scales = nullptr, *means = nullptr;
    if (is_raw) {
        tile += (2 * head + (is_key ? 0 : 1)) * half_bytes;
        if (is_key)
            unpack<true, IQ_HALF, 16, 0, 0>(work, tile, side, head, position, first, end, scales, means, shared);
        else
            unpack<false, IQ_HALF, 16, 0, 0>(work, tile, side, head, position, first, end, scales, means, shared);
        return;
    }
#if IQ_NORMALIZED
    scales = (const float *)work.normalizer + head * IQ_D;
    means = scales + work.kv_heads * IQ_D;
#endif
    if (is_key)
        unpack<true, IQ_KEY_KIND, IQ_KEY_BITS, IQ_KEY_MODE, IQ_KEY_LEVELS>(
            work, tile, side, head, position, first, end, scales, means, shared);
    else
        unpack<false, IQ_VALUE_KIND, IQ_VALUE_BITS, IQ_VALUE_MODE, IQ_VALUE_LEVELS>(
            work, tile, side, head, position, first, end, nullptr, nullptr, shared);
}
