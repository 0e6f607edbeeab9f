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
    /// What lookup tiles have beside them: where a page's sides begin, bytes of both sides of a tile and of the first.
    uint64_t side_plane;
    uint32_t side_bytes, key_side_bytes;

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

    /// Ranges: bytes of a tile's ranges of tokens, which go behind a chunk's tiles; 0 if the format has none.
    template <int TileBytes, int Ranges>
    __device__ __forceinline__ void fetch(
        int item, uint32_t raw_at, uint64_t plane, const Slot &slot, int lane, uint32_t raw_to, uint32_t side_at) const {
        if (item < count && (lane == 0 || !IQ_BULK_COPIES)) {
            uint64_t from;
            uint32_t bytes, to = 0;
            if (item < raw_count) {
                to = raw_to;
                from = source.raw(raw_first + item) + raw_at;
                bytes = shape::raw_bytes;
            } else {
                const uint32_t tile = first_tile(item);
                from = plane + uint64_t(tile / IQ_PAGE_TILES) * source.page_stride + tile % IQ_PAGE_TILES * TileBytes;
                bytes = tiles(item, tile) * TileBytes;
                if constexpr (Ranges > 0) {
                    const int of = tiles(item, tile);
                    slot.expect(bytes + of * Ranges);
                    const uint64_t sides = side(tile) + side_at;
#pragma unroll 1
                    for (int n = 0; n < of; n++)
                        slot.copy(shape::load * TileBytes + n * Ranges, sides + n * side_bytes, Ranges, lane);
                }
            }
            if (Ranges == 0 || item < raw_count) slot.expect(bytes);
            slot.copy(to, from, bytes, lane);
        }
        slot.commit();
    }
    __device__ __forceinline__ void fetch_keys(int item, const Slot &slot, int lane) const {
        fetch<shape::key_bytes, shape::range_bytes(IQ_KEY_LOOKUP)>(item, raw_keys_at, key_plane, slot, lane, 0, 0);
    }
    __device__ __forceinline__ void fetch_values(int item, const Slot &slot, int lane) const {
        fetch<shape::value_bytes, shape::range_bytes(IQ_VALUE_LOOKUP)>(
            item, raw_keys_at + shape::raw_bytes, value_plane, slot, lane, shape::raw_values_at, key_side_bytes);
    }

    /// Where the side of a body tile's keys lies; that of its values follows.
    __device__ __forceinline__ uint64_t side(int tile) const {
        return side_plane + uint64_t(tile / IQ_PAGE_TILES) * source.page_stride + tile % IQ_PAGE_TILES * side_bytes;
    }

    /// Takes the next item that no warp has taken.
    __device__ __forceinline__ int next(uint32_t counter, int lane) const {
        int item = 0;
        if (lane == 0)
            asm volatile("atom.shared.add.u32 %0, [%1], 1;" : "=r"(item) : "r"(counter) : "memory");
        return __shfl_sync(0xFFFFFFFFu, item, 0);
    }
    /// The same, and fetches its keys.
    __device__ __forceinline__ int next_keys(uint32_t counter, const Slot &slot, int lane) const {
        const int item = next(counter, lane);
        fetch_keys(item, slot, lane);
        return item;
    }
};
