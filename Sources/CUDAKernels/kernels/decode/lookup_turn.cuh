// Turns: RoPE of keys that are stored as they were before it, and the rotation of TurboQuant.
//
// A key of position base + j is turned by j, its place in the tile, as float16; the query is turned back by base, the
// position of the tile's first token, as float32: the product is that of both at their positions. Angles are fractions of a
// turn in 64 bits, so that a position times a frequency wraps by itself.
//
// The rotation is Π = H · D / √d: signs, then Walsh–Hadamard butterflies. Its channels' bits are bits of a lane and of a
// register's place, so that each butterfly is an addition in a lane or an exchange between lanes.
#pragma once
#include "decode_shape.cuh"
#include "tile_half.cuh"

/// Channels of a pair: p and p + d/2, or 2p and 2p + 1.
constexpr bool turns_halves = IQ_PRE_ROTARY == IQ_HALF_SPLIT;

/// A frequency in radians as a fraction of a turn, 2^64 of which are one.
__device__ __forceinline__ uint64_t turn_of(double frequency) {
    const double turns = frequency * 0.15915494309189533577;
    return uint64_t((turns - floor(turns)) * 18446744073709551616.0);
}
/// Cosine and sine of a fraction of a turn.
__device__ __forceinline__ float2 cosine_sine(uint64_t turn) {
    const float angle = float(int32_t(turn >> 32)) * (6.28318530717958647692f / 4294967296.0f);
    return {__cosf(angle), __sinf(angle)};
}

/// Some of a thread's share of the cosines and sines of 0 … 31 positions: those of lane as position. They are stored as float16,
/// in the order of the registers that they are multiplied with:
///     halves   as two half tiles of d/2 channels, one a pair: cosines, then sines
///     else     as a half tile in which the elements of a pair are its cosine and its sine
struct TurnShare {
    static constexpr int pairs = shape::d / 2, each = pairs / IQ_WARPS;
    /// As many as are asked for together.
    static constexpr int batch = each <= 8 ? each : each % 8 == 0 ? 8 : 6;
    float cosine[batch], sine[batch];

    /// `places` is float32 [pair][2][32].
    __device__ __forceinline__ void request(const float *places, int at) {
#pragma unroll
        for (int i = 0; i < batch; i++) {
            const float *from = places + pair(at + i) * 64 + (threadIdx.x & 31);
            cosine[i] = from[0];
            sine[i] = from[32];
        }
    }
    __device__ __forceinline__ void store(uint32_t turns, int at) const {
        const int token = threadIdx.x & 31;
#pragma unroll
        for (int i = 0; i < batch; i++) {
            const uint32_t both = pack_halves(cosine[i], sine[i]);
            if (turns_halves) {
                const uint32_t to = turns + 2 * iq_half_index(iq_key_fragment(0, token, pair(at + i)));
                asm volatile("st.shared.u16 [%0], %1;" ::"r"(to), "h"(uint16_t(both)) : "memory");
                asm volatile("st.shared.u16 [%0], %1;" ::"r"(to + 32 * shape::d), "h"(uint16_t(both >> 16)) : "memory");
            } else {
                store_shared(turns + 2 * iq_half_index(iq_key_fragment(0, token, 2 * pair(at + i))), both);
            }
        }
    }

private:
    __device__ __forceinline__ static int pair(int i) { return i * IQ_WARPS + (threadIdx.x >> 5); }
};

/// Cosines and sines of the first piece, where a warp keeps them: of step i / 2 of its first half, fragment i % 2.
struct HeldTurns {
    uint32_t cosine[shape::holds_turns ? 4 : 1][4], sine[shape::holds_turns ? 4 : 1][4];

    __device__ __forceinline__ void load(uint32_t turns, int lane) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            load_shared<4>(cosine[shape::holds_turns ? i : 0], turns + (i * 32 + lane) * 16);
            load_shared<4>(sine[shape::holds_turns ? i : 0], turns + 32 * shape::d + (i * 32 + lane) * 16);
        }
    }
};
__device__ __forceinline__ void turn_keys(uint32_t (&r)[16 * shape::piece_units], int, const HeldTurns &held, int) {
    if constexpr (shape::holds_turns)
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int t = 0; t < 2; t++)
#pragma unroll
                for (int a = 0; a < 4; a++) {
                    const uint32_t cosine = held.cosine[2 * i + t][a], sine = held.sine[2 * i + t][a];
                    uint32_t &x = r[4 * (t + 2 * i) + a], &y = r[4 * (t + 2 * (i + 2)) + a];
                    const uint32_t first = fma_halves(y, negate_halves(sine), multiply_halves(x, cosine));
                    y = fma_halves(x, sine, multiply_halves(y, cosine));
                    x = first;
                }
}

/// Turns a piece of a tile of keys. `r`: registers of fragments t + 2i, i the piece's channel steps.
__device__ __forceinline__ void turn_keys(uint32_t (&r)[16 * shape::piece_units], int piece, uint32_t turns, int lane) {
    constexpr int steps = 2 * shape::piece_units;
    if constexpr (turns_halves) {
#pragma unroll
        for (int i = 0; i < steps / 2; i++)
#pragma unroll
            for (int t = 0; t < 2; t++) {
                // The first half of a piece's units are its first channels: step i of them is this step of all.
                const int step = 2 * (piece + i / 2 * shape::pieces) + i % 2;
                uint32_t cosine[4], sine[4];
                load_shared<4>(cosine, turns + ((t + 2 * step) * 32 + lane) * 16);
                load_shared<4>(sine, turns + 32 * shape::d + ((t + 2 * step) * 32 + lane) * 16);
#pragma unroll
                for (int a = 0; a < 4; a++) {
                    uint32_t &x = r[4 * (t + 2 * i) + a], &y = r[4 * (t + 2 * (i + steps / 2)) + a];
                    const uint32_t first = fma_halves(y, negate_halves(sine[a]), multiply_halves(x, cosine[a]));
                    y = fma_halves(x, sine[a], multiply_halves(y, cosine[a]));
                    x = first;
                }
            }
    } else {
#pragma unroll
        for (int f = 0; f < 2 * steps; f++) {
            const int fragment = 4 * (piece + f / 4 * shape::pieces) + f % 4;
            uint32_t both[4];
            load_shared<4>(both, turns + (fragment * 32 + lane) * 16);
#pragma unroll
            for (int a = 0; a < 4; a++) {
                uint32_t &x = r[4 * f + a];
                const uint32_t other = permute(x, 0, 0x1032) ^ 0x00008000u;      // (−y, x)
                x = fma_halves(other, permute(both[a], 0, 0x3232), multiply_halves(x, permute(both[a], 0, 0x1010)));
            }
        }
    }
}

/// Turns queries back by the position of a tile's first token. Lanes share the work: a lane has pairs 64i + 2 lane and the
/// next of all heads, and writes their channels as B operands, where all read them:
///
///     row 2 · head + part (high, low)      [channel step / 2 ^ part][c][step % 2][half of k] of two halves
struct BaseTurn {
    static constexpr int pairs = shape::d / 2;
    static constexpr int held = (pairs + 63) / 64;
    /// Turns a position.
    uint64_t turn[held][2];
    /// Channels of a lane's pairs. Of large heads they are read again for each tile.
    struct Pairs {
        float x[2], y[2];

        __device__ __forceinline__ void multiply(float factor) {
#pragma unroll
            for (int k = 0; k < 2; k++) {
                x[k] *= factor;
                y[k] *= factor;
            }
        }
    };
    static constexpr bool keeps = shape::d <= 128;
    Pairs kept[keeps ? IQ_HEADS : 1][held];
    double2 frequency[held];
    const float *query;
    int heads;
    float scale;
    /// Where the lane writes the words of its first pairs, and where it reads.
    uint32_t to[2], from;

    /// Byte of channel 2c in a row.
    __device__ __forceinline__ static uint32_t place(int channel) {
        return (channel >> 5) * 64 + (channel >> 1 & 3) * 16 + (channel >> 4 & 1) * 8 + (channel >> 3 & 1) * 4;
    }
    __device__ __forceinline__ static bool has(int i, int lane) {
        return pairs % 64 == 0 || 64 * i + 2 * lane < pairs;
    }

    __device__ __forceinline__ Pairs read(int h, int i, int lane) const {
        const int pair = 64 * i + 2 * lane;
        float2 a{0, 0}, b{0, 0};
        if (has(i, lane) && h < heads) {
            const float *of = query + h * shape::d + (turns_halves ? pair : 2 * pair);
            a = *(const float2 *)of;
            b = *(const float2 *)(of + (turns_halves ? pairs : 2));
        }
        return {{a.x, turns_halves ? a.y : b.x}, {turns_halves ? b.x : a.y, b.y}};
    }

    /// Reads frequencies and queries.
    __device__ __forceinline__ void request(
        const double *frequencies, const float *query, int heads, float scale, int lane) {
        this->query = query;
        this->heads = heads;
        this->scale = scale;
#pragma unroll
        for (int i = 0; i < held; i++) {
            frequency[i] = has(i, lane) ? *(const double2 *)(frequencies + 64 * i + 2 * lane) : double2{0, 0};
            if constexpr (keeps)
#pragma unroll
                for (int h = 0; h < IQ_HEADS; h++) kept[h][i] = read(h, i, lane);
        }
    }
    __device__ __forceinline__ void prepare(uint32_t room, int lane) {
#pragma unroll
        for (int i = 0; i < held; i++) {
            turn[i][0] = turn_of(frequency[i].x);
            turn[i][1] = turn_of(frequency[i].y);
            if constexpr (keeps)
#pragma unroll
                for (int h = 0; h < IQ_HEADS; h++) kept[h][i].multiply(scale);
        }
        to[0] = room + place(turns_halves ? 2 * lane : 4 * lane);
        to[1] = room + place(turns_halves ? 2 * lane + pairs : 4 * lane + 2);
        from = room + (lane & 3) * 16;
    }

    /// B operands of the queries, turned back.
    __device__ __forceinline__ void turn_back(int position, HalfQuery &operands, int lane) const {
        constexpr int step = turns_halves ? 128 : 256;
#pragma unroll
        for (int i = 0; i < held; i++) {
            const float2 p = cosine_sine(turn[i][0] * uint32_t(position)), r = cosine_sine(turn[i][1] * uint32_t(position));
            if (has(i, lane))
#pragma unroll
                for (int h = 0; h < IQ_HEADS; h++) {
                    Pairs q = keeps ? kept[keeps ? h : 0][i] : read(h, i, lane);
                    if constexpr (!keeps) q.multiply(scale);
                    const float x0 = q.x[0] * p.x + q.y[0] * p.y, y0 = q.y[0] * p.x - q.x[0] * p.y;
                    const float x1 = q.x[1] * r.x + q.y[1] * r.y, y1 = q.y[1] * r.x - q.x[1] * r.y;
                    const float both[2][2] = {{x0, turns_halves ? x1 : y0}, {turns_halves ? y0 : x1, y1}};
#pragma unroll
                    for (int k = 0; k < 2; k++) {
                        const uint32_t high = pack_halves(both[k][0], both[k][1]);
                        const uint32_t low = pack_halves(
                            (both[k][0] - half_low(high)) * IQ_LOW_PART, (both[k][1] - half_high(high)) * IQ_LOW_PART);
                        store_shared(to[k] + i * step + 2 * h * shape::query_row, high);
                        store_shared((to[k] ^ 64) + i * step + (2 * h + 1) * shape::query_row, low);
                    }
                }
        }
        __syncwarp();
#pragma unroll
        for (int set = 0; set < shape::sets; set++) {
            const int last = min(IQ_HEADS - 4 * set, 4) - 1;
            const uint32_t row = from + (8 * set + 2 * min(lane >> 3, last) + (lane >> 2 & 1)) * shape::query_row;
#pragma unroll
            for (int s = 0; s < shape::channel_steps; s += 2) {
                uint32_t w[4];
                load_shared<4>(w, row + (32 * s ^ (lane & 4) * 16));
                operands.b[set][s][0] = w[0];
                operands.b[set][s][1] = w[1];
                operands.b[set][s + 1][0] = w[2];
                operands.b[set][s + 1][1] = w[3];
            }
        }
        // What is next written there is not what these read.
        __syncwarp();
    }
};

/// One butterfly between this lane and that of another value of bit `mask`.
__device__ __forceinline__ float exchange_butterfly(float x, int mask, int lane) {
    const float other = __shfl_xor_sync(0xFFFFFFFFu, x, mask);
    return lane & mask ? other - x : other + x;
}

/// Turns queries: y = Π q. Channel 16s + 8h + 2c + i is x[s][2h + i].
__device__ __forceinline__ void rotate(QueryChannels &q, const float *signs, int lane) {
    constexpr int count = 4 * shape::channel_steps;
    const int c = lane & 3;
#pragma unroll
    for (int k = 0; k < count; k++) {
        const float sign = signs[16 * (k / 4) + 8 * (k / 2 % 2) + 2 * c + k % 2] * rsqrtf(float(shape::d));
#pragma unroll
        for (int set = 0; set < shape::sets; set++) q.x[set][k / 4][k % 4] *= sign;
    }
#pragma unroll
    for (int set = 0; set < shape::sets; set++) {
#pragma unroll
        for (int k = 0; k < count; k++) q.x[set][k / 4][k % 4] = exchange_butterfly(q.x[set][k / 4][k % 4], 1, lane);
#pragma unroll
        for (int k = 0; k < count; k++) q.x[set][k / 4][k % 4] = exchange_butterfly(q.x[set][k / 4][k % 4], 2, lane);
#pragma unroll
        for (int step = 1; step < count; step *= 2)
#pragma unroll
            for (int k = 0; k < count; k++)
                if (!(k & step)) {
                    float &a = q.x[set][k / 4][k % 4], &b = q.x[set][(k | step) / 4][k % 4 | step % 4];
                    const float sum = a + b;
                    b = a - b;
                    a = sum;
                }
    }
}

/// Turns weighted values, to the turned channels (y = Π x) or back. Channel 16m + 8h + g is acc[m][h].
template <bool IsBack>
__device__ __forceinline__ void rotate(Partials &state, const float *signs, int lane) {
    constexpr int count = 2 * shape::channel_tiles;
    const int g = lane >> 2;
    float sign[count];
#pragma unroll
    for (int k = 0; k < count; k++) sign[k] = signs[8 * k + g] * rsqrtf(float(shape::d));
#pragma unroll
    for (int set = 0; set < shape::sets; set++) {
        float x[count];
#pragma unroll
        for (int k = 0; k < count; k++) x[k] = state.acc[set][k / 2][k % 2] * (IsBack ? 1 : sign[k]);
#pragma unroll
        for (int step = 1; step < count; step *= 2)
#pragma unroll
            for (int k = 0; k < count; k++)
                if (!(k & step)) {
                    const float sum = x[k] + x[k | step];
                    x[k | step] = x[k] - x[k | step];
                    x[k] = sum;
                }
#pragma unroll
        for (int mask = 4; mask < 32; mask *= 2)
#pragma unroll
            for (int k = 0; k < count; k++) x[k] = exchange_butterfly(x[k], mask, lane);
#pragma unroll
        for (int k = 0; k < count; k++) state.acc[set][k / 2][k % 2] = x[k] * (IsBack ? sign[k] : 1);
    }
}
