// Sealing eight tokens of keys with error feedback (KeyFeedback). See seal.cu.
#ifndef SEAL_FEEDBACK_H
#define SEAL_FEEDBACK_H

#include "seal_tile.cuh"

constexpr int part_tokens = 8;
constexpr int part_stride = 36;                      // as group_stride, and a multiple of 16 bytes
constexpr int stage_rows = 16, stages = 4;
constexpr int bias = (1 << (IQ_KEY_BITS - 1)) - (IQ_KEY_LEVELS == IQ_OFFICIAL ? 1 : 0);

/// What rounding needs to know of a group.
struct step {
    float scale, high, low, unused;
};

__device__ __forceinline__ void copy_word(float *target, const float *source) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;"
                 :: "r"((uint32_t)__cvta_generic_to_shared(target)), "l"(source) : "memory");
}

/// Begins to copy factors of channels 16 · superblock on, 16 rows, to their stage of the ring.
__device__ __forceinline__ void fetch(const float *factors, float *ring, int superblock) {
    if (superblock >= 0) {
        int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
        float *stage = ring + superblock % stages * (stage_rows * IQ_D) + warp * IQ_D + lane;
        // To the end of the superblock, which is in the factors also where it is past the row's end.
        int length = 16 * superblock + 16 - lane;
#pragma unroll
        for (int i = 0; i < stage_rows; i += threads / 32) {
            int channel = 16 * superblock + warp + i;
            const float *source = factors + channel * (channel + 1) / 2 + lane;
#pragma unroll
            for (int j = 0; j < IQ_D; j += 32)
                if (j < length) copy_word(stage + i * IQ_D + j, source + j);
        }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Rounds the channels of the highest 64 left, of one token.
///
/// Half a warp takes a token; its lane p holds the targets of channels 64 q + 4 p ... + 3 in own[4 q ... + 3].
///
/// Rounding is a chain through all channels: target → level → error → next target. Eight channels at a time are taken by
/// all lanes alike, so that the chain stays in the registers of a lane; targets of lower channels are shared out among
/// lanes. A target receives the errors of higher channels in their order, as on the CPU. `blocks` blocks of 64 channels
/// are left.
template <int blocks>
__device__ __forceinline__ void feed_back(
    float (&own)[4 * ((IQ_D + 63) / 64)], int token, int half, const float *groups, const struct step *steps,
    const float *factors, float *ring, unsigned char *staged
) {
    constexpr int current = 4 * (blocks - 1);
    constexpr int first = (64 * blocks < IQ_D ? 64 * blocks : IQ_D) / 16 - 1;
    constexpr float lowest = -bias, highest = (1 << (IQ_KEY_BITS - 1)) - 1;
    int p = threadIdx.x & 15;
#pragma unroll 1
    for (int superblock = first; superblock >= current; superblock--) {
        asm volatile("cp.async.wait_group %0;" :: "n"(stages - 2) : "memory");
        __syncthreads();                             // of this stage; and the stage before this one was read
        fetch(factors, ring, superblock - (stages - 1));
        const float *stage = ring + superblock % stages * (stage_rows * IQ_D);
        int group = (superblock >> 1) * part_tokens + token;
        struct step step = steps[group];
        struct iq_divisor divisor = {step.high, step.low};
        float low = step.scale == 0 ? 0 : lowest, high = step.scale == 0 ? 0 : highest;
#pragma unroll 1
        for (int upper = 1; upper >= 0; upper--) {
            int channel = 16 * superblock + 8 * upper;
            const float4 *values = (const float4 *)(groups + group * part_stride + (channel & 31));
            const float *inner = stage + 8 * upper * IQ_D + channel;
            const float *outer = stage + 8 * upper * IQ_D + 4 * p;
            float target[8], value[8];
            uint32_t codes[2] = {0, 0};
            *(float4 *)value = values[0];
            *(float4 *)(value + 4) = values[1];
            int source = 16 * half + (channel >> 2 & 15);
#pragma unroll
            for (int i = 0; i < 8; i++)
                target[i] = __shfl_sync(0xFFFFFFFFu, own[current + i % 4], source + i / 4);
#pragma unroll
            for (int i = 7; i >= 0; i--) {
                float error;
                float level = iq_feedback_level(
                    value[i], target[i], step.scale, divisor, low, high, &error);
                codes[i / 4] |= iq_level_code(level, bias) << (8 * (i % 4));
                float row[8];
                if (i > 0) *(float4 *)row = *(const float4 *)(inner + i * IQ_D);
                if (i > 4) *(float4 *)(row + 4) = *(const float4 *)(inner + i * IQ_D + 4);
#pragma unroll
                for (int j = i - 1; j >= 0; j--) target[j] = iq_sum(target[j], iq_mul(row[j], error));
                // Targets of channels that are done are spoilt, and never read.
#pragma unroll
                for (int q = blocks - 1; q >= 0; q--) {
                    float4 factor = *(const float4 *)(outer + i * IQ_D + 64 * q);
                    own[4 * q] = iq_sum(own[4 * q], iq_mul(factor.x, error));
                    own[4 * q + 1] = iq_sum(own[4 * q + 1], iq_mul(factor.y, error));
                    own[4 * q + 2] = iq_sum(own[4 * q + 2], iq_mul(factor.z, error));
                    own[4 * q + 3] = iq_sum(own[4 * q + 3], iq_mul(factor.w, error));
                }
            }
            if (p < 2) {
                struct iq_fragment_place place = iq_key_fragment(1, token, channel + 4 * p);
                ((uint32_t *)staged)[(place.fragment * part_tokens + place.lane) * 4 + place.reg] =
                    p ? codes[1] : codes[0];
            }
        }
    }
}

template <int blocks>
__device__ __forceinline__ void feed_back_all(
    float (&own)[4 * ((IQ_D + 63) / 64)], int token, int half, const float *groups, const struct step *steps,
    const float *factors, float *ring, unsigned char *staged
) {
    feed_back<blocks>(own, token, half, groups, steps, factors, ring, staged);
    if constexpr (blocks > 1)
        feed_back_all<blocks - 1>(own, token, half, groups, steps, factors, ring, staged);
}

__device__ __forceinline__ void seal_feedback(
    const unsigned char *source, int part, const float *scales, const float *means, const float *factors,
    unsigned char *tile, unsigned char *shared
) {
    constexpr int group_count = IQ_D / 32 * part_tokens, blocks = (IQ_D + 63) / 64;
    float *groups = (float *)shared;
    unsigned char *staged = shared + group_count * part_stride * 4;
    struct step *steps = (struct step *)(staged + 8 * IQ_D);
    float *ring = (float *)(steps + group_count);
    // The normalizer's numbers take the stage that is still free.
    load<true, IQ_INNER, part_tokens, part_stride>(
        (const uint4 *)source, part, scales, means, groups, (float4 *)(ring + IQ_D / 16 % stages * stage_rows * IQ_D),
        [=] {
#pragma unroll 1
            for (int i = 1; i < stages; i++) fetch(factors, ring, IQ_D / 16 - i);
        });
    __syncthreads();
    for (int i = threadIdx.x; i < group_count; i += threads) {
        float x[32];
#pragma unroll
        for (int j = 0; j < 8; j++) *(float4 *)(x + 4 * j) = *(const float4 *)(groups + i * part_stride + 4 * j);
        float scale = iq_symmetric_scale(x, IQ_KEY_BITS, IQ_KEY_LEVELS);
        struct iq_divisor divisor = iq_divisor_of(scale);
        steps[i] = {scale, divisor.high, divisor.low, 0};
        ((uint16_t *)(tile + 4 * IQ_D * IQ_KEY_BITS))[i / part_tokens * 32 + part * part_tokens + i % part_tokens] =
            scale == 0 ? 0 : iq_half_bits(scale);
    }
    int half = threadIdx.x >> 4 & 1, p = threadIdx.x & 15, token = 2 * (threadIdx.x >> 5) + half;
    float own[4 * blocks];
#pragma unroll
    for (int q = 0; q < blocks; q++) {
        int channel = 64 * q + 4 * p;
        if (channel >= IQ_D) channel = 0;            // of head size 96, where nobody reads it
        *(float4 *)(own + 4 * q) =
            *(const float4 *)(groups + ((channel >> 5) * part_tokens + token) * part_stride + (channel & 31));
    }
    feed_back_all<blocks>(own, token, half, groups, steps, factors, ring, staged);
    __syncthreads();
    pack<true, IQ_KEY_BITS, part_tokens>(staged, part, tile);
}

#endif
