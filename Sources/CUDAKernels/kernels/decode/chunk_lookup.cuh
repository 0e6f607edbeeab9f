// A chunk of sealed tiles where keys or values are lookup tiles: one or two tiles at a time.
#pragma once
#include "tile_integer.cuh"
#include "tile_lookup.cuh"

/// What a warp has for its lookup tiles.
struct Lookup {
    LookupTables tables;
    LookupRoom room;
    KeyLevels key_levels;
    ValueLevels value_levels;
    Sides sides;
    /// The item whose outliers were asked for first.
    int asked;

    __device__ __forceinline__ Lookup(const iq_decode &p, const iq_sequence &s, const LookupRoom &room, int kv_head)
        : tables(p, s), room(room) {
        if constexpr (shape::has_outliers) sides.prepare(p.kv_heads, kv_head);
    }

    /// Reads what queries are turned back by, and those.
    __device__ __forceinline__ void request(BaseTurn &base, const float *query, int heads, float scale, int lane) const {
        base.request(tables.frequencies(), query, heads, scale, lane);
    }
    /// Writes what warps share, before they meet, and begins to read the outliers of the warp's first item.
    __device__ __forceinline__ void build(const Items &items, int item, int kv_head, int lane) {
        asked = item;
        if constexpr (shape::has_outliers) sides.request(items, item, lane);
        if constexpr (shape::has_lookup) tables.build(room, key_levels, value_levels, kv_head, lane);
        if constexpr (shape::has_outliers) begin_sides(items, lane);
    }

    /// Between raw and sealed tiles. The sum of values is rotated from here to the end, where values are.
    __device__ __forceinline__ void begin(Partials &state, const Items &items, int item, int lane) {
        if constexpr (shape::lookup_values) {
            if (IQ_VALUE_LOOKUP == IQ_ROTATED && items.count > items.raw_count) {
                state.join();
                rotate<false>(state, tables.floats(tables.place.values.signs), lane);
                state.split();
            }
        }
        if constexpr (shape::has_outliers)
            if (item != asked) {
                sides.request(items, item, lane);
                begin_sides(items, lane);
            }
    }
    __device__ __forceinline__ void end(Partials &state, const Items &items, int lane) const {
        state.join();
        if constexpr (IQ_VALUE_LOOKUP == IQ_ROTATED)
            if (items.count > items.raw_count) rotate<true>(state, tables.floats(tables.place.values.signs), lane);
    }

private:
    __device__ __forceinline__ void begin_sides(const Items &items, int lane) {
        sides.advance();
        sides.fetch(items, 0, lane, sides.list);
    }
};

/// Returns the next item.
template <class Query>
__device__ __forceinline__ int lookup_chunk(
    Partials &state, Query &q, Lookup &lookup, const Items &items, Slot &keys, Slot &values, uint32_t counter, int item,
    int lane, int offset, int visible) {
    const int first = items.first_tile(item), count = items.tiles(item, first);
    int next = item;
    keys.wait();
    if constexpr (shape::has_outliers) {
        next = items.next(counter, lane);
        lookup.sides.request(items, next, lane);
    }
#pragma unroll 1
    for (int at = 0; at < count; at += shape::step) {
        float score[shape::sets][shape::step][4];
#pragma unroll
        for (int n = 0; n < shape::step; n++) {
            // Where there is no second tile the first is taken again, and not counted.
            const int tile = min(at + n, count - 1), position = offset + 32 * (first + tile);
            float sums[shape::sets][4];
            if constexpr (shape::lookup_keys)
                q.scores(items, lookup.sides, keys.data, tile, position, lane, sums);
            else
                q.scores(keys.data + tile * shape::key_bytes, lane, sums);
#pragma unroll
            for (int set = 0; set < shape::sets; set++) {
#pragma unroll
                for (int j = 0; j < 4; j++) score[set][n][j] = at + n < count ? sums[set][j] : IQ_ABSENT;
                if (position < visible) mask_tile(score[set][n], position, visible, 0x7FFFFFFF, lane);
            }
        }
        Sides::List coming;
        if constexpr (shape::has_outliers) {
            // The next tile's, of this chunk or the next; this one's are still needed.
            if (at + 1 < count) lookup.sides.fetch(items, at + 1, lane, coming);
            else lookup.sides.fetch_next(items, lane, coming);
        }
        if (at + shape::step >= count) {
            __syncwarp();
            if constexpr (shape::has_outliers) items.fetch_keys(next, keys, lane);
            else next = items.next_keys(counter, keys, lane);
        } else if (at == 0) {
            // Waiting for values counts on one younger chunk.
            keys.commit();
        }
        if constexpr (shape::integer_values) {
            if (at == 0) values.wait();
            integer_values(state, values.data + at * shape::value_bytes, count - at, lane, score);
        } else {
            scores_to_weights<shape::step>(state, score);
            if (at == 0) values.wait();
#pragma unroll
            for (int n = 0; n < shape::step; n++) {
                const int tile = min(at + n, count - 1);
                float weight[shape::sets][4];
#pragma unroll
                for (int set = 0; set < shape::sets; set++)
#pragma unroll
                    for (int j = 0; j < 4; j++) weight[set][j] = score[set][n][j];
                if constexpr (shape::lookup_values)
                    lookup_values(
                        state, lookup.value_levels, items, lookup.sides, values.data,
                        lookup.room.of_warp() + shape::value_ranges_at, tile, lane, weight);
                else
                    half_values<shape::value_bits, IQ_VALUE_MODE == 0 ? IQ_VALUE_BIAS : 0, IQ_VALUE_KIND == IQ_OUTER>(
                        state, values.data + tile * shape::value_bytes, lane, weight);
            }
        }
        if constexpr (shape::has_outliers) lookup.sides.list = coming;
    }
    __syncwarp();
    items.fetch_values(next, values, lane);
    if constexpr (shape::has_outliers) lookup.sides.advance();
    return next;
}
