// Products with lookup tiles: codes that choose from a table of levels, as half tiles (KVQuant, TurboQuant).
//
// "Folded": levels are multiplied as they are, float16, and what lies over them is multiplied where it costs least:
//
//     keys    ranges of channels    into the query, once; zero points are one number a head
//             ranges of tokens      into the score; zero points times the sum of the query
//             norms (rotated)       into the score; the query is rotated, once
//     values  ranges of tokens      into the weight; zero points are one number a head
//             norms (rotated)       into the weight; the sum is rotated back, once
//
// Otherwise levels are made values, float16, piece by piece: range · level + zero; outliers replace what has their places,
// in shared memory; keys that are stored as before RoPE are turned (lookup_turn.cuh).
#pragma once
#include "decode_shape.cuh"
#include "items.cuh"
#include "lookup_sides.cuh"
#include "lookup_tables.cuh"
#include "lookup_turn.cuh"
#include "tile_half.cuh"

/// A unit's registers to and from an expanded tile.
__device__ __forceinline__ void store_unit(uint32_t expanded, int unit, const uint32_t *r, int lane) {
#pragma unroll
    for (int f = 0; f < 4; f++) {
        const uint32_t a[4] = {r[4 * f], r[4 * f + 1], r[4 * f + 2], r[4 * f + 3]};
        store_shared(expanded + ((4 * unit + f) * 32 + lane) * 16, a);
    }
}
__device__ __forceinline__ void load_unit(uint32_t expanded, int unit, uint32_t *r, int lane) {
#pragma unroll
    for (int f = 0; f < 4; f++) {
        uint32_t a[4];
        load_shared<4>(a, expanded + ((4 * unit + f) * 32 + lane) * 16);
#pragma unroll
        for (int i = 0; i < 4; i++) r[4 * f + i] = a[i];
    }
}
/// Fragment t of channel step (or row tile) i of a piece: step `step_of(piece, i)` of all.
__device__ __forceinline__ constexpr int step_of(int piece, int i) {
    return 2 * (piece + i / 2 * shape::pieces) + i % 2;
}

/// Queries of lookup keys.
struct LookupKeys {
    HalfQuery query;
    const KeyLevels &levels;
    /// Queries, where each tile turns them back.
    const BaseTurn &base;
    /// Folded ranges: the part of all scores, or what a token's zero point is multiplied by, of head c of a set.
    float offset[shape::sets];
    uint32_t ranges, turns;
    HeldTurns held;

    /// The queries must not be needed afterwards.
    __device__ __forceinline__ LookupKeys(
        QueryChannels &q, const BaseTurn &base, const KeyLevels &levels, const LookupTables &tables, const LookupRoom &room,
        int kv_head, int lane)
        : levels(levels), base(base) {
        ranges = room.of_warp() + shape::key_ranges_at;
        turns = room.turns();
        if constexpr (shape::holds_turns) held.load(turns, lane);
        if constexpr (!IQ_PRE_ROTARY) {
            fold(q, tables, kv_head, lane);
            query.prepare(q, lane);
        }
    }

    /// Scores of tile n of a chunk: of tokens 4g … 4g + 3, the first at `position`.
    __device__ __forceinline__ void scores(
        const Items &items, const Sides &sides, uint32_t chunk, int n, int position, int lane,
        float (&score)[shape::sets][4]) {
        const uint32_t at = chunk + n * shape::key_bytes;
        // Of tokens 4g … 4g + 3: range and zero.
        uint32_t token[4];
        if constexpr (IQ_KEY_LOOKUP == IQ_TOKEN_RANGES)
            load_shared<4>(token, chunk + shape::load * shape::key_bytes + n * 128 + (lane >> 2) * 16);
        if constexpr (IQ_PRE_ROTARY) base.turn_back(position, query, lane);
        LookupCodes<shape::lookup_key_bits> codes;
        codes.load(at, lane);
        if constexpr (IQ_KEY_OUTLIERS) {
#pragma unroll
            for (int unit = 0; unit < shape::units; unit++) {
                uint32_t r[16];
                codes.expand(levels, unit, r);
                values(r, unit, token, lane);
                store_unit(chunk + shape::expanded_at, unit, r, lane);
            }
            __syncwarp();
            sides.patch<false>(items, n, chunk + shape::expanded_at, lane);
            __syncwarp();
        }
        // Sums of each piece of their own: those that follow one another wait for each other.
        float sum[shape::sets][shape::pieces][2][4] = {};
#pragma unroll
        for (int piece = 0; piece < shape::pieces; piece++) {
            uint32_t r[4 * shape::piece_fragments];
#pragma unroll
            for (int k = 0; k < shape::piece_units; k++) {
                const int unit = piece + k * shape::pieces;
                if constexpr (IQ_KEY_OUTLIERS) {
                    load_unit(chunk + shape::expanded_at, unit, r + 16 * k, lane);
                } else {
                    codes.expand(levels, unit, r + 16 * k);
                    if constexpr (!shape::folds_keys) values(r + 16 * k, unit, token, lane);
                }
            }
            if constexpr (IQ_PRE_ROTARY) {
                if (shape::holds_turns && piece == 0) turn_keys(r, piece, held, lane);
                else turn_keys(r, piece, turns, lane);
            }
#pragma unroll
            for (int f = 0; f < shape::piece_fragments; f++) {
                const int s = step_of(piece, f / 2);
                const uint32_t a[4] = {r[4 * f], r[4 * f + 1], r[4 * f + 2], r[4 * f + 3]};
#pragma unroll
                for (int set = 0; set < shape::sets; set++)
                    mma_f16(sum[set][piece][f % 2], a, query.b[set][s][0], query.b[set][s][1]);
            }
        }
        uint32_t norm[2];
        if constexpr (IQ_KEY_LOOKUP == IQ_ROTATED)
            load_shared<2>(norm, at + shape::code_bytes(shape::lookup_key_bits) + (lane >> 2) * 8);
#pragma unroll
        for (int set = 0; set < shape::sets; set++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                float x = 0;
#pragma unroll
                for (int piece = 0; piece < shape::pieces; piece++) {
                    const float(&both)[4] = sum[set][piece][j / 2];
                    x += both[j % 2 * 2] + both[j % 2 * 2 + 1] * (1 / IQ_LOW_PART);
                }
                if constexpr (IQ_KEY_LOOKUP == IQ_ROTATED)
                    score[set][j] = x * (j % 2 ? half_high(norm[j / 2]) : half_low(norm[j / 2]));
                else if constexpr (shape::folds_keys && IQ_KEY_LOOKUP == IQ_TOKEN_RANGES)
                    score[set][j] = x * half_low(token[j]) + offset[set] * half_high(token[j]);
                else if constexpr (shape::folds_keys)
                    score[set][j] = x + offset[set];
                else
                    score[set][j] = x;
            }
    }

private:
    /// Takes what lies over the levels into the query.
    __device__ __forceinline__ void fold(QueryChannels &q, const LookupTables &tables, int kv_head, int lane) {
        if constexpr (IQ_KEY_LOOKUP == IQ_ROTATED) rotate(q, tables.floats(tables.place.keys.signs), lane);
        if constexpr (shape::folds_keys && IQ_KEY_LOOKUP != IQ_ROTATED) {
            const float *range = tables.floats(tables.place.keys.ranges) + kv_head * shape::d;
            const float *zero = tables.floats(tables.place.keys.zeros) + kv_head * shape::d;
            const int c = lane & 3;
            float sum[shape::sets] = {};
#pragma unroll
            for (int s = 0; s < shape::channel_steps; s++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int channel = 16 * s + 8 * (i / 2) + 2 * c + i % 2;
#pragma unroll
                    for (int set = 0; set < shape::sets; set++) {
                        if constexpr (IQ_KEY_LOOKUP == IQ_CHANNEL_RANGES) {
                            sum[set] += q.x[set][s][i] * zero[channel];
                            q.x[set][s][i] *= range[channel];
                        } else {
                            sum[set] += q.x[set][s][i];
                        }
                    }
                }
#pragma unroll
            for (int set = 0; set < shape::sets; set++) {
                sum[set] += __shfl_xor_sync(0xFFFFFFFFu, sum[set], 1);
                sum[set] += __shfl_xor_sync(0xFFFFFFFFu, sum[set], 2);
                // Lanes 8c have head c.
                offset[set] = __shfl_sync(0xFFFFFFFFu, sum[set], 8 * c);
            }
        }
    }

    /// A unit's levels to values.
    __device__ __forceinline__ void values(uint32_t *r, int unit, const uint32_t (&token)[4], int lane) const {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            uint32_t channel[4];
            if constexpr (IQ_KEY_LOOKUP == IQ_CHANNEL_RANGES)
                load_shared<4>(channel, ranges + (2 * unit + i) * 64 + (lane & 3) * 16);
#pragma unroll
            for (int t = 0; t < 2; t++)
#pragma unroll
                for (int a = 0; a < 4; a++) {
                    uint32_t &x = r[4 * (t + 2 * i) + a];
                    if constexpr (IQ_KEY_LOOKUP == IQ_CHANNEL_RANGES) {
                        x = fma_halves(x, channel[a / 2 * 2], channel[a / 2 * 2 + 1]);
                    } else {
                        const uint32_t both = token[2 * t + a % 2];
                        x = fma_halves(x, permute(both, 0, 0x1010), permute(both, 0, 0x3232));
                    }
                }
        }
    }
};

/// A unit's levels to values. `token`: range and zero of tokens 8c … 8c + 7; register a of step t has tokens 8c + 2t + a / 2
/// and four behind. `ranges`: where those of channels are.
__device__ __forceinline__ void level_values(
    uint32_t *r, int unit, const uint32_t (&token)[2][4], uint32_t ranges, int lane) {
    constexpr bool has_tokens = IQ_VALUE_LOOKUP == IQ_TOKEN_RANGES;
#pragma unroll
    for (int i = 0; i < 2; i++) {
        uint32_t channel[2][1];
        if constexpr (!has_tokens)
#pragma unroll
            for (int h = 0; h < 2; h++)
                load_shared<1>(channel[h], ranges + (16 * (2 * unit + i) + 8 * h + (lane >> 2)) * 4);
#pragma unroll
        for (int t = 0; t < 2; t++)
#pragma unroll
            for (int a = 0; a < 4; a++) {
                uint32_t &x = r[4 * (t + 2 * i) + a];
                const uint32_t low = has_tokens ? token[0][2 * t + a / 2] : channel[a % 2][0];
                const uint32_t high = has_tokens ? token[1][2 * t + a / 2] : channel[a % 2][0];
                x = fma_halves(x, permute(low, high, 0x5410), permute(low, high, 0x7632));
            }
    }
}

/// Adds tile n of a chunk of lookup values times the weights of tokens 4g … 4g + 3.
__device__ __forceinline__ void lookup_values(
    Partials &state, const ValueLevels &levels, const Items &items, const Sides &sides, uint32_t chunk, uint32_t ranges,
    int n, int lane, float (&weight)[shape::sets][4]) {
    constexpr bool has_tokens = IQ_VALUE_LOOKUP == IQ_TOKEN_RANGES;
    const uint32_t at = chunk + n * shape::value_bytes;
    const uint32_t tokens = chunk + shape::load * shape::value_bytes + n * 128;
    const uint32_t expanded = chunk + shape::expanded_at - shape::key_slot;
    if constexpr (shape::folds_values) {
        uint32_t x[has_tokens ? 4 : 2];
        load_shared(x, has_tokens ? tokens + (lane >> 2) * 16
                                  : at + shape::code_bytes(shape::lookup_value_bits) + (lane >> 2) * 8);
#pragma unroll
        for (int set = 0; set < shape::sets; set++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                if constexpr (has_tokens) {
                    state.zeros[set][0] += weight[set][j] * half_high(x[j]);
                    weight[set][j] *= half_low(x[j]);
                } else {
                    weight[set][j] *= j % 2 ? half_high(x[j / 2]) : half_low(x[j / 2]);
                }
            }
    }
    uint32_t b[shape::sets][2][2];
#pragma unroll
    for (int set = 0; set < shape::sets; set++) weight_operands(weight[set], b[set]);
    uint32_t token[2][4];
    if constexpr (has_tokens && !shape::folds_values)
#pragma unroll
        for (int i = 0; i < 2; i++) load_shared<4>(token[i], tokens + (lane & 3) * 32 + 16 * i);
    LookupCodes<shape::lookup_value_bits> codes;
    codes.load(at, lane);
    if constexpr (IQ_VALUE_OUTLIERS) {
#pragma unroll
        for (int unit = 0; unit < shape::units; unit++) {
            uint32_t r[16];
            codes.expand(levels, unit, r);
            level_values(r, unit, token, ranges, lane);
            store_unit(expanded, unit, r, lane);
        }
        __syncwarp();
        sides.patch<true>(items, n, expanded, lane);
        __syncwarp();
    }
#pragma unroll
    for (int unit = 0; unit < shape::units; unit++) {
        uint32_t r[16];
        if constexpr (IQ_VALUE_OUTLIERS) {
            load_unit(expanded, unit, r, lane);
        } else {
            codes.expand(levels, unit, r);
            if constexpr (!shape::folds_values) level_values(r, unit, token, ranges, lane);
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int m = 2 * unit + i;
            float sum[shape::sets][4] = {};
#pragma unroll
            for (int t = 0; t < 2; t++) {
                const int f = t + 2 * i;
                const uint32_t a[4] = {r[4 * f], r[4 * f + 1], r[4 * f + 2], r[4 * f + 3]};
#pragma unroll
                for (int set = 0; set < shape::sets; set++)
                    mma_f16(shape::sums_apart ? state.apart[shape::sums_apart ? m : 0] : sum[set], a, b[set][t][0], b[set][t][1]);
            }
            if constexpr (!shape::sums_apart)
#pragma unroll
                for (int set = 0; set < shape::sets; set++)
#pragma unroll
                    for (int h = 0; h < 2; h++)
                        state.acc[set][m][h] += sum[set][2 * h] + sum[set][2 * h + 1] * (1 / IQ_LOW_PART);
        }
    }
}
