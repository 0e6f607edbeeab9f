// Products with half tiles: float16 tiles, and integer codes whose groups lie across the sum.
//
// Queries and weights are sums of two float16 numbers, x = high + low / 2048, in neighbouring columns: lane (g, c) gets
// both products of head c back. Where groups lie across the sum, the scale of each channel (keys) is multiplied into the
// query, that of each token (values) into the weight, tile after tile; codes themselves are exact in float16.
#pragma once
#include "decode_shape.cuh"
#include "expand.cuh"

/// Two numbers as halves: their high parts, or what those leave.
__device__ __forceinline__ uint32_t split_halves(float x, float y, bool low) {
    const uint32_t high = pack_halves(x, y);
    const uint32_t rest = pack_halves((x - half_low(high)) * IQ_LOW_PART, (y - half_high(high)) * IQ_LOW_PART);
    return low ? rest : high;
}
/// One number as (high, low).
__device__ __forceinline__ uint32_t split_halves(float x) {
    const float high = half_low(pack_halves(x, 0));
    return pack_halves(x, (x - high) * IQ_LOW_PART);
}

/// The channels of a query that a lane has of a B operand: 16 s + {2c, 2c + 1, 2c + 8, 2c + 9} of head g / 2.
struct QueryChannels {
    float x[shape::sets][shape::channel_steps][4];

    __device__ __forceinline__ void request(const float *query, int heads, int lane) {
        const int head = lane >> 3, c = lane & 3;
#pragma unroll
        for (int set = 0; set < shape::sets; set++) {
            const bool is_there = 4 * set + head < heads;
            const float *from = query + (4 * set + head) * shape::d + 2 * c;
#pragma unroll
            for (int s = 0; s < shape::channel_steps; s++) {
                const float2 a = is_there ? *(const float2 *)(from + 16 * s) : float2{0, 0};
                const float2 b = is_there ? *(const float2 *)(from + 16 * s + 8) : float2{0, 0};
                x[set][s][0] = a.x;
                x[set][s][1] = a.y;
                x[set][s][2] = b.x;
                x[set][s][3] = b.y;
            }
        }
    }
    __device__ __forceinline__ void multiply(float factor) {
#pragma unroll
        for (int set = 0; set < shape::sets; set++)
#pragma unroll
            for (int s = 0; s < shape::channel_steps; s++)
#pragma unroll
                for (int i = 0; i < 4; i++) x[set][s][i] *= factor;
    }
};

/// B operands of a query that is multiplied with float16 keys.
struct HalfQuery {
    uint32_t b[shape::sets][shape::channel_steps][2];

    __device__ __forceinline__ void prepare(const QueryChannels &q, int lane) {
        const bool low = lane & 4;
#pragma unroll
        for (int set = 0; set < shape::sets; set++)
#pragma unroll
            for (int s = 0; s < shape::channel_steps; s++) {
                b[set][s][0] = split_halves(q.x[set][s][0], q.x[set][s][1], low);
                b[set][s][1] = split_halves(q.x[set][s][2], q.x[set][s][3], low);
            }
    }
};

/// Scores of a tile, of tokens 4g … 4g + 3, head 4 set + c, from B operands.
template <int Bits, int Bias>
__device__ __forceinline__ void half_scores(
    const uint32_t (&b)[shape::sets][shape::channel_steps][2], uint32_t tile, int lane,
    float (&score)[shape::sets][4]) {
    float sum[shape::sets][2][4] = {};
    HalfCodes<Bits, shape::d, Bias> codes;
#pragma unroll
    for (int s = 0; s < shape::channel_steps; s++)
#pragma unroll
        for (int t = 0; t < 2; t++) {
            uint32_t a[4];
            codes.fragment(tile, t + 2 * s, lane, a);
#pragma unroll
            for (int set = 0; set < shape::sets; set++) mma_f16(sum[set][t], a, b[set][s][0], b[set][s][1]);
        }
#pragma unroll
    for (int set = 0; set < shape::sets; set++)
#pragma unroll
        for (int t = 0; t < 2; t++)
#pragma unroll
            for (int h = 0; h < 2; h++)
                score[set][2 * t + h] = sum[set][t][2 * h] + sum[set][t][2 * h + 1] * (1 / IQ_LOW_PART);
}

/// Keys in groups of 32 tokens: the scale of a channel goes into the query, the zero points are summed once.
__device__ __forceinline__ void outer_scores(
    const QueryChannels &q, uint32_t tile, int lane, float (&score)[shape::sets][4]) {
    constexpr int scales = shape::code_bytes(shape::key_bits);
    const bool low = lane & 4;
    const int c = lane & 3;
    uint32_t b[shape::sets][shape::channel_steps][2];
    float zero[shape::sets] = {};
#pragma unroll
    for (int s = 0; s < shape::channel_steps; s++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
            uint32_t scale[1], z[1];
            load_shared<1>(scale, tile + scales + (16 * s + 8 * i + 2 * c) * 2);
            if (IQ_KEY_ZEROS) load_shared<1>(z, tile + scales + 2 * shape::d + (16 * s + 8 * i + 2 * c) * 2);
#pragma unroll
            for (int set = 0; set < shape::sets; set++) {
                const float x = q.x[set][s][2 * i], y = q.x[set][s][2 * i + 1];
                b[set][s][i] = split_halves(x * half_low(scale[0]), y * half_high(scale[0]), low);
                if (IQ_KEY_ZEROS) zero[set] += x * half_low(z[0]) + y * half_high(z[0]);
            }
        }
    half_scores<shape::key_bits, IQ_KEY_BIAS>(b, tile, lane, score);
    if (IQ_KEY_ZEROS) {
#pragma unroll
        for (int set = 0; set < shape::sets; set++) {
            zero[set] += __shfl_xor_sync(0xFFFFFFFFu, zero[set], 1);
            zero[set] += __shfl_xor_sync(0xFFFFFFFFu, zero[set], 2);
            // Lanes 8c have head c.
            const float mine = __shfl_sync(0xFFFFFFFFu, zero[set], 8 * c);
#pragma unroll
            for (int j = 0; j < 4; j++) score[set][j] += mine;
        }
    }
}

/// Scores of `N` tiles to weights relative to the new maximum; what was summed before is rescaled.
template <int N>
__device__ __forceinline__ void scores_to_weights(Partials &state, float (&score)[shape::sets][N][4]) {
#pragma unroll
    for (int set = 0; set < shape::sets; set++) {
        float largest = IQ_LOWEST;
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int j = 0; j < 4; j++) largest = fmaxf(largest, score[set][n][j]);
        largest = fmaxf(column_max(largest), state.m[set]);
        state.rescale(set, exp2_fast(state.m[set] - largest));
        state.m[set] = largest;
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                score[set][n][j] = exp2_fast(score[set][n][j] - largest);
                state.l[set] += score[set][n][j];
            }
    }
}

/// B operands of the weights of a tile: [step t][half h].
__device__ __forceinline__ void weight_operands(const float (&weight)[4], uint32_t (&b)[2][2]) {
#pragma unroll
    for (int j = 0; j < 4; j++) b[j >> 1][j & 1] = transpose8x8(split_halves(weight[j]));
}

/// Adds a tile's values, float16 or codes with groups along channels, times the weights of tokens 4g … 4g + 3.
template <int Bits, int Bias, bool HasScales>
__device__ __forceinline__ void half_values(
    Partials &state, uint32_t tile, int lane, const float (&weight)[shape::sets][4]) {
    constexpr int scales = shape::code_bytes(Bits);
    const int g = lane >> 2;
    uint32_t b[shape::sets][2][2];
    if constexpr (!HasScales) {
#pragma unroll
        for (int set = 0; set < shape::sets; set++) weight_operands(weight[set], b[set]);
    }
    HalfCodes<Bits, shape::d, Bias> codes;
#pragma unroll
    for (int m = 0; m < shape::channel_tiles; m++) {
        if constexpr (HasScales) {
            if (m % 2 == 0) {
                uint32_t s[2], z[2];
                load_shared<2>(s, tile + scales + (m / 2 * 32 + 4 * g) * 2);
                if (shape::value_zeros) load_shared<2>(z, tile + scales + 2 * shape::d + (m / 2 * 32 + 4 * g) * 2);
#pragma unroll
                for (int set = 0; set < shape::sets; set++) {
                    const float scaled[4] = {
                        weight[set][0] * half_low(s[0]), weight[set][1] * half_high(s[0]),
                        weight[set][2] * half_low(s[1]), weight[set][3] * half_high(s[1])};
                    weight_operands(scaled, b[set]);
                    if (shape::value_zeros)
                        state.zeros[set][m / 2] +=
                            weight[set][0] * half_low(z[0]) + weight[set][1] * half_high(z[0])
                            + weight[set][2] * half_low(z[1]) + weight[set][3] * half_high(z[1]);
                }
            }
        }
        float sum[shape::sets][4] = {};
#pragma unroll
        for (int t = 0; t < 2; t++) {
            uint32_t a[4];
            codes.fragment(tile, t + 2 * m, lane, a);
#pragma unroll
            for (int set = 0; set < shape::sets; set++) mma_f16(sum[set], a, b[set][t][0], b[set][t][1]);
        }
#pragma unroll
        for (int set = 0; set < shape::sets; set++)
#pragma unroll
            for (int h = 0; h < 2; h++)
                state.add(set, m, h, sum[set][2 * h] + sum[set][2 * h + 1] * (1 / IQ_LOW_PART));
    }
}
