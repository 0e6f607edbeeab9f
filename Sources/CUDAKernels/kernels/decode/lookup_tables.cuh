// What all warps of a block have for lookup tiles, in shared memory: tables of pairs of levels, cosines and sines; and each
// warp the ranges of its head's channels.
#pragma once
#include "decode_shape.cuh"
#include "lookup_codes.cuh"
#include "lookup_turn.cuh"

namespace shape {
/// Some number of bits where there are no codes, so that what is not used compiles.
constexpr int lookup_key_bits = lookup_keys ? key_bits : 2;
constexpr int lookup_value_bits = lookup_values ? value_bits : 2;
constexpr int piece_fragments = 4 * piece_units;
/// Whether values of keys are made from ranges of channels.
constexpr bool has_key_ranges = IQ_KEY_LOOKUP == IQ_CHANNEL_RANGES && !folds_keys;
}  // namespace shape
using KeyLevels = LookupLevels<shape::lookup_key_bits>;
using ValueLevels = LookupLevels<shape::lookup_value_bits>;

/// Where a block has what lookup tiles need, and a warp its share.
struct LookupRoom {
    uint32_t block, warp;

    __device__ __forceinline__ uint32_t key_table() const { return block + shape::lookup_begin; }
    __device__ __forceinline__ uint32_t value_table() const { return block + shape::value_table_begin; }
    __device__ __forceinline__ uint32_t turns() const { return block + shape::turns_begin; }
    __device__ __forceinline__ uint32_t of_warp() const {
        return block + shape::warps_begin + warp * shape::warp_bytes;
    }
};

/// A layer's tables.
struct LookupTables {
    const char *at;
    iq_tables place;

    __device__ __forceinline__ LookupTables(const iq_decode &p, const iq_sequence &s)
        : at((const char *)s.normalizer),
          place(iq_tables_of(p.tables_start, p.kv_heads, shape::d, IQ_KEY_LOOKUP, IQ_VALUE_LOOKUP, IQ_PRE_ROTARY)) {}

    __device__ __forceinline__ const float *floats(int place) const { return (const float *)(at + place); }
    __device__ __forceinline__ const double *frequencies() const { return (const double *)(at + place.frequencies); }

    /// Writes what all warps of a block share, and the channel ranges of this warp's head, before the block meets. All is
    /// asked for before anything is stored: one after the other it would take microseconds.
    __device__ __forceinline__ void build(
        const LookupRoom &room, KeyLevels &key_levels, ValueLevels &value_levels, int kv_head, int lane) const {
        KeyLevels::Share key_share;
        ValueLevels::Share value_share;
        TurnShare turn_share;
        float key_range[shape::groups][2], value_range[shape::groups][2];
        if constexpr (shape::lookup_keys) key_share.request(floats(place.keys.decoded));
        if constexpr (shape::lookup_values) value_share.request(floats(place.values.decoded));
        if constexpr (shape::has_key_ranges) request_ranges(key_range, place.keys, kv_head, lane);
        if constexpr (IQ_VALUE_LOOKUP == IQ_CHANNEL_RANGES) request_ranges(value_range, place.values, kv_head, lane);
        if constexpr (IQ_PRE_ROTARY) turn_share.request(floats(place.places), 0);
        if constexpr (shape::lookup_keys) {
            key_levels.prepare(floats(place.keys.decoded), room.key_table(), lane);
            key_share.store(room.key_table());
        }
        if constexpr (shape::lookup_values) {
            value_levels.prepare(floats(place.values.decoded), room.value_table(), lane);
            value_share.store(room.value_table());
        }
        if constexpr (shape::has_key_ranges)
#pragma unroll
            for (int i = 0; i < shape::groups; i++) {
                // Channel 16s + 8h + 2c + i: [s][c][h]{ ranges of i = 0 and 1, zeros of both }.
                const int channel = 32 * i + lane;
                const uint32_t both = pack_halves(key_range[i][0], key_range[i][1]);
                const uint32_t to = room.of_warp() + shape::key_ranges_at
                    + (channel >> 4) * 64 + (channel >> 1 & 3) * 16 + (channel >> 3 & 1) * 8 + (channel & 1) * 2;
                asm volatile("st.shared.u16 [%0], %1;" ::"r"(to), "h"(uint16_t(both)) : "memory");
                asm volatile("st.shared.u16 [%0], %1;" ::"r"(to + 4), "h"(uint16_t(both >> 16)) : "memory");
            }
        if constexpr (IQ_VALUE_LOOKUP == IQ_CHANNEL_RANGES)
#pragma unroll
            for (int i = 0; i < shape::groups; i++)
                store_shared(room.of_warp() + shape::value_ranges_at + 4 * (32 * i + lane),
                             pack_halves(value_range[i][0], value_range[i][1]));
        if constexpr (IQ_PRE_ROTARY) {
            turn_share.store(room.turns(), 0);
#pragma unroll
            for (int at = TurnShare::batch; at < TurnShare::each; at += TurnShare::batch) {
                turn_share.request(floats(place.places), at);
                turn_share.store(room.turns(), at);
            }
        }
    }

private:
    /// Ranges and zeros of channels 32i + lane.
    __device__ __forceinline__ void request_ranges(
        float (&x)[shape::groups][2], const iq_lookup_tables &of, int kv_head, int lane) const {
#pragma unroll
        for (int i = 0; i < shape::groups; i++) {
            const int at = kv_head * shape::d + 32 * i + lane;
            x[i][0] = floats(of.ranges)[at];
            x[i][1] = floats(of.zeros)[at];
        }
    }
};
