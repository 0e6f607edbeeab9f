// Products with integer tiles: groups along the sum, so that a dot product of 32 codes is exact in int32 and takes one
// scale (InnerQ, section 4).
//
// Queries are 16-bit fixed point, q = (256 high + low) · factor, signed bytes in neighbouring columns. Weights are 16-bit
// fractions of the largest of a chunk, unsigned bytes. A lane gets both products of its head (or group, or tile) back
// and joins them: dot = 256 · high + low, below 2^29.
#pragma once
#include "decode_shape.cuh"
#include "expand.cuh"
#include "integer_query.cuh"

using KeyCodes = IntegerCodes<IQ_KEY_KIND == IQ_INNER ? IQ_KEY_BITS : 8, shape::d>;
using ValueCodes = IntegerCodes<IQ_VALUE_KIND == IQ_INNER ? IQ_VALUE_BITS : 8, shape::d>;

/// Scores of a tile, of tokens 4g … 4g + 3 of head 4 set + c.
__device__ __forceinline__ void integer_scores(
    const IntegerQuery &q, uint32_t tile, int lane, float (&score)[shape::sets][4]) {
    constexpr int scales = shape::code_bytes(shape::key_bits);
    const int g = lane >> 2;
    KeyCodes codes;
    codes.load(tile, lane);
    float sum[shape::sets][4] = {};
#pragma unroll
    for (int group = 0; group < shape::groups; group++) {
        uint32_t s[2];
        load_shared<2>(s, tile + scales + (group * 32 + 4 * g) * 2);
        const float scale[4] = {half_low(s[0]), half_high(s[0]), half_low(s[1]), half_high(s[1])};
#pragma unroll
        for (int t = 0; t < 2; t++) {
            const int f = t + 2 * group;
            uint32_t a[4];
            codes.fragment(f, a);
#pragma unroll
            for (int set = 0; set < shape::sets; set++) {
                int dot[4];
                const int *sums = q.sum[set][group];
                const int low = KeyCodes::factor(f, 0), high = KeyCodes::factor(f, 1);
                mma_u8s8(dot, a, q.b[set][group][0], q.b[set][group][1], sums[0] * low, sums[1] * low, sums[0] * high,
                         sums[1] * high);
#pragma unroll
                for (int h = 0; h < 2; h++)
                    sum[set][2 * t + h] += float((dot[2 * h] << 8) + dot[2 * h + 1])
                        * (scale[2 * t + h] * (1.0f / float(KeyCodes::factor(f, h))));
            }
        }
    }
#pragma unroll
    for (int set = 0; set < shape::sets; set++)
#pragma unroll
        for (int j = 0; j < 4; j++) score[set][j] = sum[set][j] * q.factor[set] + q.offset[set];
}

/// Single: scores of up to four tiles; lane (g, c) ends with tokens 4g … 4g + 3 of tile c.
__device__ __forceinline__ void single_scores(
    const IntegerQuery &q, uint32_t first, int count, int lane, float (&score)[4]) {
    constexpr int scales = shape::code_bytes(shape::key_bits);
    const int g = lane >> 2, c = lane & 3;
    float partial[4][4] = {};
#pragma unroll
    for (int n = 0; n < shape::load; n++) {
        if (n >= count) break;
        const uint32_t tile = first + n * shape::key_bytes;
        KeyCodes codes;
        codes.load(tile, lane);
#pragma unroll
        for (int bank = 0; bank < IntegerQuery::banks; bank++) {
            const int mine = 4 * bank + c;
            const int group = mine < shape::groups ? mine : 0;
            uint32_t s[2];
            load_shared<2>(s, tile + scales + (group * 32 + 4 * g) * 2);
            const float scale[4] = {half_low(s[0]), half_high(s[0]), half_low(s[1]), half_high(s[1])};
#pragma unroll
            for (int t = 0; t < 2; t++) {
                // The factor of this lane's group; all four groups add to the same registers, in other columns.
                int factors[2] = {1, 1};
#pragma unroll
                for (int j = 0; j < 4; j++)
                    if (c == j && 4 * bank + j < shape::groups)
#pragma unroll
                        for (int h = 0; h < 2; h++) factors[h] = KeyCodes::factor(t + 2 * (4 * bank + j), h);
                int dot[4];
                const int *sums = q.sum[0][bank];
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    if (4 * bank + j >= shape::groups) continue;
                    uint32_t a[4];
                    codes.fragment(t + 2 * (4 * bank + j), a);
                    const uint32_t b0 = q.b[0][4 * bank + j][0], b1 = q.b[0][4 * bank + j][1];
                    if (j == 0)
                        mma_u8s8(dot, a, b0, b1, sums[0] * factors[0], sums[1] * factors[0], sums[0] * factors[1],
                                 sums[1] * factors[1]);
                    else
                        mma_u8s8(dot, a, b0, b1);
                }
#pragma unroll
                for (int h = 0; h < 2; h++)
                    partial[n][2 * t + h] += float((dot[2 * h] << 8) + dot[2 * h + 1])
                        * (scale[2 * t + h] * (1.0f / float(factors[h])));
            }
        }
    }
    // Sum over the quad, each lane for one tile.
    const bool upper = c & 2, odd = c & 1;
    float half[2][4];
#pragma unroll
    for (int n = 0; n < 2; n++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const float send = upper ? partial[n][j] : partial[n + 2][j];
            half[n][j] = (upper ? partial[n + 2][j] : partial[n][j]) + __shfl_xor_sync(0xFFFFFFFFu, send, 2);
        }
#pragma unroll
    for (int j = 0; j < 4; j++) {
        const float send = odd ? half[0][j] : half[1][j];
        const float sum = (odd ? half[1][j] : half[0][j]) + __shfl_xor_sync(0xFFFFFFFFu, send, 1);
        score[j] = c < count ? sum * q.factor[0] + q.offset[0] : IQ_ABSENT;
    }
}

/// Weights of four tokens as two words: high and low bytes of round(65535 · weight).
__device__ __forceinline__ void pack_weights(const float (&weight)[4], uint32_t &high, uint32_t &low) {
    uint32_t bits[4];
#pragma unroll
    for (int j = 0; j < 4; j++) bits[j] = __float_as_uint(fmaf(weight[j], 65535.0f, 8388608.0f));
    const uint32_t front = permute(bits[0], bits[1], 0x5410), back = permute(bits[2], bits[3], 0x5410);
    low = permute(front, back, 0x6420);
    high = permute(front, back, 0x7531);
}

/// The B operand of weights: bytes of tokens 4c … 4c + 3 and 16 + 4c … of column pair g / 2.
__device__ __forceinline__ void weight_bytes(uint32_t high, uint32_t low, int lane, uint32_t (&b)[2]) {
    const int from = (lane & 3) * 4 + (lane >> 3);
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const uint32_t h = __shfl_sync(0xFFFFFFFFu, high, from + 16 * i);
        const uint32_t l = __shfl_sync(0xFFFFFFFFu, low, from + 16 * i);
        b[i] = lane & 4 ? l : h;
    }
}

/// Scales and offsets of the channels 16m + 8h + g of a tile: value = scale · code + zero. Symmetric groups: zero is left
/// to the integer sums, and `zero` is not set.
struct ValueScales {
    uint32_t scale[shape::channel_tiles], zero[shape::channel_tiles];

    __device__ __forceinline__ void load(uint32_t tile, int lane) {
        constexpr int at = shape::code_bytes(shape::value_bits);
        read(scale, tile + at + (lane >> 2) * (shape::d / 4));
        if constexpr (shape::value_zeros) {
            read(zero, tile + at + 2 * shape::d + (lane >> 2) * (shape::d / 4));
            if constexpr (IQ_VALUE_MODE == 2) {
#pragma unroll
                for (int m = 0; m < shape::channel_tiles; m++) {
                    // Sign bit of the scale: asymmetric. Otherwise the sign of the zero point is the scale's.
                    uint32_t asymmetric;
                    asm("prmt.b32 %0, %1, %1, 0xBB99;" : "=r"(asymmetric) : "r"(scale[m]));
                    scale[m] = (scale[m] & 0x7FFF7FFFu) | (zero[m] & 0x80008000u & ~asymmetric);
                    const uint32_t lowest = fma_halves(scale[m], half_bits(-IQ_VALUE_BIAS) * 0x00010001u, 0x80008000u);
                    zero[m] = (zero[m] & asymmetric) | (lowest & ~asymmetric);
                }
            }
        }
    }
    __device__ __forceinline__ static void read(uint32_t (&to)[shape::channel_tiles], uint32_t from) {
        constexpr int width = shape::channel_tiles % 4 == 0 ? 4 : 2;
#pragma unroll
        for (int v = 0; v < shape::channel_tiles / width; v++) {
            uint32_t x[width];
            load_shared<width>(x, from + v * width * 4);
#pragma unroll
            for (int i = 0; i < width; i++) to[v * width + i] = x[i];
        }
    }
};

/// Adds `count` tiles' values times weights; scores are of tokens 4g … 4g + 3 of each tile, absent ones −∞.
__device__ __forceinline__ void integer_values(
    Partials &state, uint32_t first, int count, int lane, float (&score)[shape::sets][shape::step][4]) {
    uint32_t high[shape::sets][shape::step], low[shape::sets][shape::step];
    float share[shape::sets];
    float sum[shape::sets][shape::channel_tiles][2] = {};
#pragma unroll
    for (int set = 0; set < shape::sets; set++) {
        // Weights are fractions of the chunk's own largest; with the running one the small ones of a long context vanish.
        float largest = IQ_LOWEST;
#pragma unroll
        for (int n = 0; n < shape::step; n++)
#pragma unroll
            for (int j = 0; j < 4; j++) largest = fmaxf(largest, score[set][n][j]);
        largest = column_max(largest);
        const float maximum = fmaxf(state.m[set], largest);
        state.rescale(set, exp2_fast(state.m[set] - maximum));
        state.m[set] = maximum;
        share[set] = exp2_fast(largest - maximum);
        float total = 0;
#pragma unroll
        for (int n = 0; n < shape::step; n++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                score[set][n][j] = exp2_fast(score[set][n][j] - largest);
                total += score[set][n][j];
            }
            pack_weights(score[set][n], high[set][n], low[set][n]);
        }
        state.l[set] += share[set] * total;
    }
#pragma unroll
    for (int n = 0; n < shape::step; n++) {
        if (n >= count) break;
        const uint32_t tile = first + n * shape::value_bytes;
        ValueCodes codes;
        codes.load(tile, lane);
        ValueScales scales;
        scales.load(tile, lane);
        uint32_t b[shape::sets][2];
        int base[shape::sets][4] = {};
#pragma unroll
        for (int set = 0; set < shape::sets; set++) {
            weight_bytes(high[set][n], low[set][n], lane, b[set]);
            sum_u8(base[set], shape::value_zeros ? 1 : -IQ_VALUE_BIAS, b[set][0], b[set][1]);
        }
#pragma unroll
        for (int m = 0; m < shape::channel_tiles; m++) {
            uint32_t a[4];
            codes.fragment(m, a);
#pragma unroll
            for (int set = 0; set < shape::sets; set++) {
                int dot[4];
                const int low = shape::value_zeros ? 0 : ValueCodes::factor(m, 0);
                const int high = shape::value_zeros ? 0 : ValueCodes::factor(m, 1);
                mma_u8u8(dot, a, b[set][0], b[set][1], base[set][0] * low, base[set][1] * low, base[set][0] * high,
                         base[set][1] * high);
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    const float scale = h ? half_high(scales.scale[m]) : half_low(scales.scale[m]);
                    sum[set][m][h] += float((dot[2 * h] << 8) + dot[2 * h + 1])
                        * (scale * (1.0f / float(ValueCodes::factor(m, h))));
                    if (shape::value_zeros) {
                        const float zero = h ? half_high(scales.zero[m]) : half_low(scales.zero[m]);
                        sum[set][m][h] += float((base[set][0] << 8) + base[set][1]) * zero;
                    }
                }
            }
        }
    }
#pragma unroll
    for (int set = 0; set < shape::sets; set++) {
        const float unit = share[set] * (1 / 65535.0f);
#pragma unroll
        for (int m = 0; m < shape::channel_tiles; m++)
#pragma unroll
            for (int h = 0; h < 2; h++) state.acc[set][m][h] += sum[set][m][h] * unit;
    }
}

/// Single: column pair c holds tile c, so that four tiles share accumulators; each lane keeps a partial of its tiles.
__device__ __forceinline__ void single_values(
    Partials &state, uint32_t first, int count, int lane, float (&score)[4]) {
    const int c = lane & 3, pair = lane >> 3;
    const float largest = fmaxf(
        column_max(fmaxf(fmaxf(score[0], score[1]), fmaxf(score[2], score[3]))), IQ_LOWEST);
    const float maximum = fmaxf(state.m[0], largest);
    state.rescale(0, exp2_fast(state.m[0] - maximum));
    state.m[0] = maximum;
    const float share = exp2_fast(largest - maximum);
    float total = 0;
#pragma unroll
    for (int j = 0; j < 4; j++) {
        score[j] = exp2_fast(score[j] - largest);
        total += score[j];
    }
    state.l[0] += share * total;
    uint32_t high, low, all[2];
    pack_weights(score, high, low);
    weight_bytes(high, low, lane, all);
    int base[4] = {};
    sum_u8(base, shape::value_zeros ? 1 : -IQ_VALUE_BIAS, all[0], all[1]);
    int dot[shape::channel_tiles][4];
#pragma unroll
    for (int n = 0; n < shape::load; n++) {
        if (n >= count) break;
        ValueCodes codes;
        codes.load(first + n * shape::value_bytes, lane);
        const uint32_t b0 = pair == n ? all[0] : 0, b1 = pair == n ? all[1] : 0;
#pragma unroll
        for (int m = 0; m < shape::channel_tiles; m++) {
            uint32_t a[4];
            codes.fragment(m, a);
            const int low = shape::value_zeros ? 0 : ValueCodes::factor(m, 0);
            const int high = shape::value_zeros ? 0 : ValueCodes::factor(m, 1);
            if (n == 0)
                mma_u8u8(dot[m], a, b0, b1, base[0] * low, base[1] * low, base[0] * high, base[1] * high);
            else
                mma_u8u8(dot[m], a, b0, b1);
        }
    }
    // Tiles that are absent have products of 0; their scales are read from one that is there.
    ValueScales scales;
    scales.load(first + min(c, count - 1) * shape::value_bytes, lane);
    const float unit = share * (1 / 65535.0f);
    const float weights = float((base[0] << 8) + base[1]) * unit;
#pragma unroll
    for (int m = 0; m < shape::channel_tiles; m++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const float scale = h ? half_high(scales.scale[m]) : half_low(scales.scale[m]);
            state.acc[0][m][h] += float((dot[m][2 * h] << 8) + dot[m][2 * h + 1])
                * (scale * (unit * (1.0f / float(ValueCodes::factor(m, h)))));
            if (shape::value_zeros) {
                const float zero = h ? half_high(scales.zero[m]) : half_low(scales.zero[m]);
                state.acc[0][m][h] += weights * zero;
            }
        }
}
