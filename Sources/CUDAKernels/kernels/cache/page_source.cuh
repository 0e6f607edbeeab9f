// Reads a raw tile of all KV heads as lookup formats want it: keys as they were before RoPE, where they are stored so.
#ifndef PAGE_SOURCE_H
#define PAGE_SOURCE_H

#include "body_tiles.cuh"
#include "iq_lookup_seal.h"
#include "iq_pack.h"

constexpr int pairs = IQ_D / 2;
constexpr int angle_stride = 33;                     // turns from a pair to the next, so that banks differ

/// Turns of the 32 tokens of a tile, [pair][angle_stride]. `first`: position of its first token; `firsts`: room for a turn
/// of each pair. Two barriers.
template <int threads>
__device__ __forceinline__ void make_turns(
    const double *frequencies, const float *places, int first, iq_turn *firsts, iq_turn *turns
) {
    for (int pair = threadIdx.x; pair < pairs; pair += threads) firsts[pair] = iq_turn_of((double)first * frequencies[pair]);
    __syncthreads();
    for (int i = threadIdx.x; i < 32 * pairs; i += threads) {
        int pair = i >> 5, token = i & 31;
        struct iq_turn place = {places[64 * pair + token], places[64 * pair + 32 + token]};
        turns[pair * angle_stride + token] = iq_turn_sum(firsts[pair], place);
    }
    __syncthreads();
}

/// A unit is what a lane holds of a set of sixteen registers: element (k, a, e) is half e of register a of fragment
/// 4 · set + k. Its words are the lane's of that set.
template <bool is_key>
struct unit_place {
    int head, set, lane;
    __device__ unit_place(int unit) : head(unit / IQ_D), set(unit % IQ_D >> 5), lane(unit & 31) {}
    /// Tokens of the unit are 4 g + slot of K, slot 0 … 3, and 8 c + slot of V, slot 0 … 7.
    __device__ static constexpr int slot(int k, int a, int e) {
        return is_key ? 2 * (k & 1) + (a & 1) : 4 * e + 2 * (k & 1) + (a >> 1);
    }
    __device__ int token(int k, int a, int e) const {
        return (is_key ? 4 * (lane >> 2) : 8 * (lane & 3)) + slot(k, a, e);
    }
    __device__ int channel(int k, int a, int e) const {
        int block = 32 * set + 16 * (k >> 1);
        return is_key ? block + 8 * (a >> 1) + 2 * (lane & 3) + e : block + 8 * (a & 1) + (lane >> 2);
    }
};

/// K or V of a raw tile. rotary: enum iq_pre_rotary.
template <bool is_key, int rotary>
struct page_source {
    const unsigned char *raw;                        // of KV head 0
    const iq_turn *turns;                            // shared

    __device__ const unsigned char *tile(int head) const { return raw + (long long)head * 2 * half_bytes; }

    __device__ static float half_of(const uint4 &v, int a, int e) {
        uint32_t word = a == 0 ? v.x : a == 1 ? v.y : a == 2 ? v.z : v.w;
        return iq_half_float((uint16_t)(word >> (16 * e)));
    }

    /// The elements of a unit, element (k, a, e) at 8 k + 2 a + e.
    __device__ void load(const unit_place<is_key> &unit, float *x) const {
        const uint4 *fragments = (const uint4 *)tile(unit.head);
        constexpr int partner = IQ_D / 16;               // fragments from a channel's to its other's
        uint4 own[4], other[4];
#pragma unroll
        for (int k = 0; k < 4; k++) {
            int f = 4 * unit.set + k;
            own[k] = fragments[f * 32 + unit.lane];
            if (rotary == IQ_HALF_SPLIT) other[k] = fragments[(f + partner) % (2 * partner) * 32 + unit.lane];
        }
#pragma unroll
        for (int k = 0; k < 4; k++) {
#pragma unroll
            for (int a = 0; a < 4; a++) {
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    float value = half_of(own[k], a, e);
                    if (rotary != IQ_POST_ROTARY) {
                        int channel = unit.channel(k, a, e);
                        int is_second = rotary == IQ_HALF_SPLIT ? channel >= pairs : e;
                        int pair = rotary == IQ_HALF_SPLIT ? channel - (is_second ? pairs : 0) : channel >> 1;
                        float partner = rotary == IQ_HALF_SPLIT ? half_of(other[k], a, e) : half_of(own[k], a, 1 - e);
                        struct iq_turn turn = turns[pair * angle_stride + unit.token(k, a, e)];
                        value = iq_turned_back(
                            is_second, is_second ? partner : value, is_second ? value : partner, turn);
                    }
                    x[8 * k + 2 * a + e] = value;
                }
            }
        }
    }

    __device__ float stored(int head, int token, int channel) const {
        struct iq_fragment_place p =
            is_key ? iq_key_fragment(0, token, channel) : iq_value_fragment(0, token, channel);
        return iq_half_float(((const uint16_t *)tile(head))[iq_half_index(p)]);
    }

    /// One element.
    __device__ float value(int head, int token, int channel) const {
        float own = stored(head, token, channel);
        if (rotary == IQ_POST_ROTARY) return own;
        bool is_split = rotary == IQ_HALF_SPLIT;
        int is_second = is_split ? channel >= pairs : channel & 1;
        int pair = is_split ? channel - (is_second ? pairs : 0) : channel >> 1;
        float other = stored(head, token, is_split ? (is_second ? pair : pair + pairs) : channel ^ 1);
        return iq_turned_back(
            is_second, is_second ? other : own, is_second ? own : other, turns[pair * angle_stride + token]);
    }
};

#endif
