// Steps of sealing a tile, or eight tokens of K: load, encode, pack. See seal.cu.
#ifndef SEAL_TILE_H
#define SEAL_TILE_H

#include "body_tiles.cuh"
#include "iq_pack.h"
#include "iq_seal.h"

constexpr int threads = IQ_SEAL_THREADS;
constexpr int group_stride = 33;                     // floats from a group to the next, so that banks differ
/// Which group an element belongs to, and where in it. `part_tokens` tokens from a multiple of it are there.
template <bool is_key, int kind, int part_tokens, int stride>
__device__ __forceinline__ int group_place(int token, int channel) {
    constexpr bool along_channels = is_key == (kind == IQ_INNER);
    int local = token % part_tokens;
    return along_channels ? ((channel >> 5) * part_tokens + local) * stride + (channel & 31)
                          : channel * stride + token;
}

/// Float16 tile → groups of float32. Of K, tokens part · part_tokens on: lanes part · part_tokens on, as a lane of four
/// holds four tokens. `table`: room for one float4 a channel. `meanwhile` runs while the tile is on its way.
template <bool is_key, int kind, int part_tokens, int stride, class Meanwhile>
__device__ __forceinline__ void load(
    const uint4 *source, int part, const float *scales, const float *means, float *groups, float4 *table,
    Meanwhile meanwhile
) {
    constexpr int count = IQ_D / 8 * part_tokens, runs = (count + threads - 1) / threads;
    uint4 registers[runs];
#pragma unroll
    for (int run = 0; run < runs; run++) {
        int i = threadIdx.x + run * threads;
        if (count % threads == 0 || i < count)
            registers[run] = source[i / part_tokens * 32 + part * part_tokens + i % part_tokens];
    }
    meanwhile();
#if IQ_NORMALIZED
    if (is_key) {
        for (int channel = threadIdx.x; channel < IQ_D; channel += threads) {
            float scale = scales[channel];
            table[channel] = make_float4(means[channel], scale, iq_div(1.0f, scale), 0);
        }
        __syncthreads();
    }
#endif
#pragma unroll
    for (int run = 0; run < runs; run++) {
        int i = threadIdx.x + run * threads;
        if (count % threads != 0 && i >= count) break;
        int fragment = i / part_tokens, lane = part * part_tokens + i % part_tokens;
        uint32_t words[4] = {registers[run].x, registers[run].y, registers[run].z, registers[run].w};
        int g = lane >> 2, c = lane & 3, t = fragment & 1, block = 16 * (fragment >> 1);
        float x[8];
#pragma unroll
        for (int j = 0; j < 8; j++) x[j] = iq_half_float((uint16_t)(words[j >> 1] >> (16 * (j & 1))));
        // Element j = 2 a + e: register a, half e.
#if IQ_NORMALIZED
        if (is_key) {
            bool is_usual = true;
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float4 normal = table[block + 8 * (j >> 2) + 2 * c + (j & 1)];
                x[j] = iq_sum(x[j], -normal.x);
                is_usual = is_usual && iq_is_usual(x[j], normal.y);
            }
            if (is_usual) {
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    float4 normal = table[block + 8 * (j >> 2) + 2 * c + (j & 1)];
                    x[j] = iq_usual_quotient(x[j], normal.y, normal.z);
                }
            } else {
#pragma unroll
                for (int j = 0; j < 8; j++)
                    x[j] = iq_div(x[j], table[block + 8 * (j >> 2) + 2 * c + (j & 1)].y);
            }
        }
#endif
#pragma unroll
        for (int j = 0; j < 8; j++) {
            int a = j >> 1, e = j & 1;
            int token = is_key ? 4 * g + 2 * t + (a & 1) : 4 * (2 * c + e) + 2 * t + (a >> 1);
            int channel = is_key ? block + 8 * (a >> 1) + 2 * c + e : block + 8 * (a & 1) + g;
            groups[group_place<is_key, kind, part_tokens, stride>(token, channel)] = x[j];
        }
    }
}

/// One thread a group: scale and zero point to the tile, codes to `staged`.
template <bool is_key, int kind, int bits, int mode, int levels, int part_tokens>
__device__ __forceinline__ void encode(
    const float *groups, int part, unsigned char *tile, unsigned char *staged
) {
    constexpr bool is_integer = kind == IQ_INNER;
    constexpr bool along_channels = is_key == is_integer;
    constexpr int count = IQ_D * part_tokens / 32;
    uint16_t *scales = (uint16_t *)(tile + 4 * IQ_D * bits), *zeros = scales + IQ_D;
    for (int i = threadIdx.x; i < count; i += threads) {
        float x[32];
#pragma unroll
        for (int j = 0; j < 32; j++) x[j] = groups[i * group_stride + j];
        uint32_t codes[8];
        struct iq_group group = iq_encode_group(x, bits, mode, levels, codes);
        int token = along_channels ? part * part_tokens + i % part_tokens : 0;
        int channel = along_channels ? i / part_tokens * 32 : i;
        int index = is_key ? iq_key_scale(kind, token, channel) : iq_value_scale(kind, IQ_D, token, channel);
        scales[index] = group.scale_bits;
        if (mode != IQ_SYMMETRIC) zeros[index] = group.zero_bits;
        int step = is_integer ? 4 : 1;               // codes of one register lie together
#pragma unroll
        for (int j = 0; j < 32; j += step) {
            int t = along_channels ? token : j, c = along_channels ? channel + j : channel;
            struct iq_fragment_place p =
                is_key ? iq_key_fragment(is_integer, t, c) : iq_value_fragment(is_integer, t, c);
            int at = (p.fragment * part_tokens + (p.lane - part * part_tokens)) * 4 + p.reg;
            if (is_integer) ((uint32_t *)staged)[at] = codes[j / 4];
            else staged[2 * at + p.element] = (unsigned char)(codes[j / 4] >> (8 * (j % 4)));
        }
    }
}

/// Staged codes → words.
template <bool is_integer, int bits, int part_tokens>
__device__ __forceinline__ void pack(const unsigned char *staged, int part, unsigned char *tile) {
    constexpr int count = IQ_D * bits * part_tokens / 32;
    const int run = part_tokens * iq_word_width(is_integer, bits, IQ_D);
    for (int i = threadIdx.x; i < count; i += threads) {
        int word = i / run * (run / part_tokens * 32) + part * run + i % run;
        ((uint32_t *)tile)[word] =
            iq_packed_word(is_integer, bits, IQ_D, word, staged, part * part_tokens, part_tokens);
    }
}

#endif
