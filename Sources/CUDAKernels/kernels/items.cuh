// What the warps of a block take in turn, and how they fetch it.
#pragma once
#include "decode_shape.cuh"
#include "ring.cuh"

/// The work of a block on a problem, as numbered items: raw tiles, then chunks of `load` body tiles, as many as make whole
/// rounds of all warps, then smaller chunks for one more round. Warps take the next item when they have room for it, so
/// that all end together. Splits begin where pages do, so that no chunk lies in two.
struct Items {
    TileSource source;
    int raw_first, raw_count, body_first, body_end;
    /// Items before the small ones, first tile and binary logarithm of the tiles of those; number of all.
    int large, small_first, small_log2, count;
    uint64_t key_plane, value_plane;
    uint32_t raw_keys_at;

    __device__ __forceinline__ void divide(int warps_log2) {
        constexpr int load_log2 = shape::load == 4 ? 2 : shape::load == 2 ? 1 : 0;
        const int tiles = body_end - body_first, round = load_log2 + warps_log2;
        // A raw tile takes as long as a large chunk.
        const int chunks = max((((tiles + (raw_count << load_log2)) >> round) << warps_log2) - raw_count, 0);
        large = raw_count + chunks;
        small_first = body_first + (chunks << load_log2);
        const int rest = body_end - small_first;
        small_log2 = load_log2;
        while (small_log2 > 0 && rest <= 1 << (small_log2 - 1 + warps_log2)) small_log2--;
        count = large + ((rest + (1 << small_log2) - 1) >> small_log2);
    }
    __device__ __forceinline__ int first_tile(int item) const {
        return item < large ? body_first + (item - raw_count) * shape::load : small_first + ((item - large) << small_log2);
    }
    __device__ __forceinline__ int tiles(int item, int first) const {
        return item < large ? shape::load : min(1 << small_log2, body_end - first);
    }

    template <int TileBytes>
    __device__ __forceinline__ void fetch(int item, uint32_t raw_at, uint64_t plane, const Slot &slot, int lane) const {
        if (item < count && (lane == 0 || !IQ_BULK_COPIES)) {
            uint64_t from;
            uint32_t bytes;
            if (item < raw_count) {
                from = source.raw(raw_first + item) + raw_at;
                bytes = shape::raw_bytes;
            } else {
                const uint32_t tile = first_tile(item);
                from = plane + uint64_t(tile / IQ_PAGE_TILES) * source.page_stride + tile % IQ_PAGE_TILES * TileBytes;
                bytes = tiles(item, tile) * TileBytes;
            }
            slot.copy(from, bytes, lane);
        }
        slot.commit();
    }
    __device__ __forceinline__ void fetch_keys(int item, const Slot &slot, int lane) const {
        fetch<shape::key_bytes>(item, raw_keys_at, key_plane, slot, lane);
    }
    __device__ __forceinline__ void fetch_values(int item, const Slot &slot, int lane) const {
        fetch<shape::value_bytes>(item, raw_keys_at + shape::raw_bytes, value_plane, slot, lane);
    }

    /// Fetches the keys of the next item that no warp has taken, and returns it.
    __device__ __forceinline__ int next_keys(uint32_t counter, const Slot &slot, int lane) const {
        int item = 0;
        if (lane == 0)
            asm volatile("atom.shared.add.u32 %0, [%1], 1;" : "=r"(item) : "r"(counter) : "memory");
        item = __shfl_sync(0xFFFFFFFFu, item, 0);
        fetch_keys(item, slot, lane);
        return item;
    }
};
