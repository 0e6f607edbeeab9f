// Queries for integer tiles: 16-bit fixed point in signed bytes.
#pragma once
#include "decode_shape.cuh"
#include "ptx.cuh"

/// A query as B operands. Lane (g, c): channels 32G + 16i + 4c … + 3 of head g / 2; single: of group g / 2 only.
struct IntegerQuery {
    static constexpr int banks = shape::single ? (shape::groups + 3) / 4 : 1;
    static constexpr int held = shape::single ? banks : shape::groups;
    float x[shape::sets][held][8];
    float scales[held][8], means[held][8];
    uint32_t b[shape::sets][shape::groups][2];
    /// −bias · Σ q of columns 2c and 2c + 1.
    int sum[shape::sets][shape::single ? banks : shape::groups][2];
    /// Score of head c = dot · scale · factor + offset.
    float factor[shape::sets], offset[shape::sets];

    __device__ __forceinline__ static void load8(float (&to)[8], const float *from, bool is_there) {
        const float4 none{0, 0, 0, 0};
        const float4 a = is_there ? *(const float4 *)from : none;
        const float4 b = is_there ? *(const float4 *)(from + 16) : none;
        to[0] = a.x; to[1] = a.y; to[2] = a.z; to[3] = a.w;
        to[4] = b.x; to[5] = b.y; to[6] = b.z; to[7] = b.w;
    }

    /// Asks for the query and the key normalizer.
    __device__ __forceinline__ void request(
        const float *query, int heads, const float *scale, int mean_offset, int lane) {
        const int pair = lane >> 3, c = lane & 3;
#pragma unroll
        for (int i = 0; i < held; i++) {
            const int group = shape::single ? 4 * i + pair : i;
            const bool is_there = group < shape::groups;
            const int channel = 32 * group + 4 * c;
#pragma unroll
            for (int set = 0; set < shape::sets; set++) {
                const int head = shape::single ? 0 : 4 * set + pair;
                load8(x[set][i], query + head * shape::d + channel, is_there && head < heads);
            }
            if (IQ_NORMALIZED) {
                load8(scales[i], scale + channel, is_there);
                load8(means[i], scale + mean_offset + channel, is_there);
            }
        }
    }

    __device__ __forceinline__ void prepare(float scale, int lane) {
        const bool low = lane & 4;
        const int pair = lane >> 3;
#pragma unroll
        for (int set = 0; set < shape::sets; set++) {
            float largest = 0, mean = 0;
#pragma unroll
            for (int i = 0; i < held; i++)
#pragma unroll
                for (int k = 0; k < 8; k++) {
                    if (IQ_NORMALIZED) {
                        mean += x[set][i][k] * means[i][k];
                        x[set][i][k] *= scales[i][k];
                    }
                    largest = fmaxf(largest, fabsf(x[set][i][k]));
                }
            // The lanes of a head: c, and in a single query the groups.
#pragma unroll
            for (int mask = 1; mask < 32; mask *= 2) {
                if (mask == 4 || (mask > 4 && !shape::single)) continue;
                largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, mask));
                if (IQ_NORMALIZED) mean += __shfl_xor_sync(0xFFFFFFFFu, mean, mask);
            }
            const float up = largest > 0 ? 32512.0f / largest : 0;
            float down = largest * (1 / 32512.0f) * scale, shift = mean * scale;
            // Column pair c, which this lane's products come from, was prepared by lanes 8c.
            if (!shape::single) {
                down = __shfl_sync(0xFFFFFFFFu, down, 8 * (lane & 3));
                shift = __shfl_sync(0xFFFFFFFFu, shift, 8 * (lane & 3));
            }
            factor[set] = down;
            offset[set] = shift;
            // Adding 1.5 · 2^23 rounds to an integer in the low bits. Its lowest byte is `low`; the next one, 128 added, `high`.
            const float magic = low ? 12582912.0f : 12582912.0f + 128.0f;
            const uint32_t bytes = low ? 0x0040 : 0x0051;
#pragma unroll
            for (int i = 0; i < held; i++)
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    uint32_t q[4];
#pragma unroll
                    for (int k = 0; k < 4; k++) q[k] = __float_as_uint(fmaf(x[set][i][4 * half + k], up, magic));
                    const uint32_t word = permute(permute(q[0], q[1], bytes), permute(q[2], q[3], bytes), 0x5410);
                    if constexpr (shape::single) {
#pragma unroll
                        for (int j = 0; j < 4; j++)
                            if (4 * i + j < shape::groups) b[set][4 * i + j][half] = pair == j ? word : 0;
                    } else {
                        b[set][i][half] = word;
                    }
                }
#pragma unroll
            for (int i = 0; i < (shape::single ? banks : shape::groups); i++) {
                int c[4] = {};
                if constexpr (shape::single) {
#pragma unroll
                    for (int j = 0; j < 4; j++)
                        if (4 * i + j < shape::groups) sum_s8(c, -IQ_KEY_BIAS, b[set][4 * i + j][0], b[set][4 * i + j][1]);
                } else {
                    sum_s8(c, -IQ_KEY_BIAS, b[set][i][0], b[set][i][1]);
                }
                sum[set][i][0] = c[0];
                sum[set][i][1] = c[1];
            }
        }
    }
};
