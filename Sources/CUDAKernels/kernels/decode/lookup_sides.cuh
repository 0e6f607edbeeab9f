// Outliers of lookup tiles: fetched ahead from the pages' sides (iq_device_tables.h), and put in the places of an expanded
// tile.
//
// Two reads that follow one another, where a head's outliers begin and the outliers, would keep a warp waiting; so it takes
// its next item early, asks for the first with the chunk before, and reads the second in the middle of the tile before.
#pragma once
#include "decode_shape.cuh"
#include "items.cuh"

struct Sides {
    static constexpr bool keys = IQ_KEY_OUTLIERS, values = IQ_VALUE_OUTLIERS;
    static constexpr int rounds = shape::outlier_room / 32;

    int kv_head, starts_bytes;
    /// Where the sides of this chunk's first tile begin, and of the next chunk's.
    uint64_t side, next_side;
    /// Lane 4n + 2 tensor has where the outliers of tile n begin and, in the upper half, end; until they are wanted, lane
    /// 4n + 2 tensor + 1 has the end of the next chunk's.
    uint32_t bounds, next_bounds;
    /// Outliers of a tile: 32i + lane. How many there are, also of those that have no room.
    struct List {
        uint32_t outlier[2][rounds];
        int count[2];
    };
    List list;

    __device__ __forceinline__ void prepare(int kv_heads, int head) {
        kv_head = head;
        starts_bytes = (2 * (kv_heads + 1) + 3) / 4 * 4;
        side = next_side = 0;
        bounds = next_bounds = 0;
    }

    /// Where the starts of a tensor's side lie in it.
    __host__ __device__ static constexpr int starts(bool is_value) {
        return shape::range_bytes(is_value ? IQ_VALUE_LOOKUP : IQ_KEY_LOOKUP);
    }

    /// Asks where the outliers of an item are.
    __device__ __forceinline__ void request(const Items &items, int item, int lane) {
        next_bounds = 0;
        if (item < items.raw_count || item >= items.count) return;
        const int first = items.first_tile(item), n = lane >> 2;
        const bool is_value = lane & 2;
        next_side = items.side(first);
        if (n < items.tiles(item, first) && (is_value ? values : keys)) {
            const uint64_t at = next_side + n * items.side_bytes + (is_value ? items.key_side_bytes + starts(true) : starts(false))
                + 2 * (kv_head + (lane & 1));
            uint16_t x;
            asm volatile("ld.global.u16 %0, [%1];" : "=h"(x) : "l"(at));
            next_bounds = x;
        }
    }

    /// The next chunk, whose outliers have been asked for, becomes this one.
    __device__ __forceinline__ void advance() {
        bounds = next_bounds | __shfl_down_sync(0xFFFFFFFFu, next_bounds, 1) << 16;
        side = next_side;
    }

    /// Begins to read the outliers of tile n of this chunk.
    __device__ __forceinline__ void fetch(const Items &items, int n, int lane, List &to) const {
        fetch(items, bounds, side + n * items.side_bytes, n, lane, to);
    }
    /// Of the first tile of the next chunk, whose outliers have been asked for.
    __device__ __forceinline__ void fetch_next(const Items &items, int lane, List &to) const {
        fetch(items, next_bounds | __shfl_down_sync(0xFFFFFFFFu, next_bounds, 1) << 16, next_side, 0, lane, to);
    }

    /// Puts the outliers of tile n of this chunk in their places of an expanded tile.
    template <bool IsValue>
    __device__ __forceinline__ void patch(const Items &items, int n, uint32_t expanded, int lane) const {
#pragma unroll
        for (int i = 0; i < rounds; i++) {
            const uint32_t outlier = list.outlier[IsValue][i];
            const uint32_t at = place<IsValue>(outlier);
            if (32 * i + lane < list.count[IsValue]) put(expanded + at, outlier);
        }
        if (list.count[IsValue] > shape::outlier_room) {
            const uint64_t of = side + n * items.side_bytes + (IsValue ? items.key_side_bytes : 0);
            const int begin = __shfl_sync(0xFFFFFFFFu, bounds, 4 * n + 2 * IsValue) & 0xFFFF;
#pragma unroll 1
            for (int i = shape::outlier_room + lane; i < list.count[IsValue]; i += 32) {
                uint32_t outlier;
                asm volatile("ld.global.u32 %0, [%1];" : "=r"(outlier) : "l"(address<IsValue>(of, begin + i)));
                put(expanded + place<IsValue>(outlier), outlier);
            }
        }
    }

private:
    /// Byte of an outlier in an expanded tile: bits of its index in another order.
    template <bool IsValue>
    __device__ __forceinline__ static uint32_t place(uint32_t outlier) {
        const uint32_t index = outlier & 0x1FFF;
        if constexpr (IsValue) return 2 * iq_half_index(iq_value_fragment(0, index / shape::d, index % shape::d));
        // iq_half_index(iq_key_fragment(0, index & 31, index >> 5))
        return (index & 0x1E00) << 1 | (index & 2) << 8 | (index & 0x1C) << 4 | (index & 0xC0) >> 2
            | (index & 0x100) >> 5 | (index & 1) << 2 | (index & 0x20) >> 4;
    }

    __device__ __forceinline__ static void put(uint32_t at, uint32_t outlier) {
        asm volatile("st.shared.u16 [%0], %1;" ::"r"(at), "h"(uint16_t(outlier >> 16)) : "memory");
    }
    template <bool IsValue>
    __device__ __forceinline__ uint64_t address(uint64_t of, int outlier) const {
        return of + uint32_t(starts(IsValue) + starts_bytes + 4 * outlier);
    }
    __device__ __forceinline__ void fetch(
        const Items &items, uint32_t bounds, uint64_t of, int n, int lane, List &to) const {
        if (keys) fetch<false>(bounds, of, n, lane, to);
        if (values) fetch<true>(bounds, of + items.key_side_bytes, n, lane, to);
    }
    template <bool IsValue>
    __device__ __forceinline__ void fetch(uint32_t bounds, uint64_t of, int n, int lane, List &to) const {
        const uint32_t both = __shfl_sync(0xFFFFFFFFu, bounds, 4 * n + 2 * IsValue);
        const int begin = both & 0xFFFF, count = int(both >> 16) - begin;
        const uint64_t from = address<IsValue>(of, begin + lane);
        to.count[IsValue] = count;
#pragma unroll
        for (int i = 0; i < rounds; i++) {
            to.outlier[IsValue][i] = 0;
            if (32 * i + lane < count)
                asm volatile("ld.global.u32 %0, [%1];" : "=r"(to.outlier[IsValue][i]) : "l"(from + 128 * i));
        }
    }
};
