// What a kernel that is compiled for two formats knows of the body's tiles.
//
// Macros: IQ_HEAD_SIZE; IQ_KEY_KIND, IQ_KEY_BITS, IQ_KEY_MODE and the same of IQ_VALUE: enum iq_tile_kind, bits of a code, enum
// iq_mode or, of lookup formats, enum iq_lookup.
#ifndef BODY_TILES_H
#define BODY_TILES_H

#include "iq_device_append.h"
#include "iq_device_tables.h"

#define IQ_D IQ_HEAD_SIZE

constexpr int half_bytes = 64 * IQ_D;

constexpr int body_tile_bytes(int kind, int bits, int mode) {
    return kind == IQ_HALF     ? half_bytes
           : kind == IQ_LOOKUP ? 4 * IQ_D * bits + (mode == IQ_ROTATED ? 64 : 0)
                               : 4 * IQ_D * bits + (mode == 0 ? 2 : 4) * IQ_D;
}

constexpr int key_bytes = body_tile_bytes(IQ_KEY_KIND, IQ_KEY_BITS, IQ_KEY_MODE);
constexpr int value_bytes = body_tile_bytes(IQ_VALUE_KIND, IQ_VALUE_BITS, IQ_VALUE_MODE);
constexpr int key_lookup = IQ_KEY_KIND == IQ_LOOKUP ? IQ_KEY_MODE : IQ_NO_LOOKUP;
constexpr int value_lookup = IQ_VALUE_KIND == IQ_LOOKUP ? IQ_VALUE_MODE : IQ_NO_LOOKUP;

/// Where one tile of one layer lies in the body, all KV heads.
struct body_place {
    unsigned char *page;
    int tile;                                        // in its page
    long long values;                                // of the first V tile, from the start of the page

    __device__ body_place(uint64_t body, uint64_t page_stride, int number, int kv_heads)
        : page((unsigned char *)body + number / IQ_PAGE_TILES * page_stride),
          tile(number % IQ_PAGE_TILES),
          values((long long)kv_heads * IQ_PAGE_TILES * key_bytes) {}

    __device__ unsigned char *keys_of(int head) const {
        return page + (long long)(head * IQ_PAGE_TILES + tile) * key_bytes;
    }
    __device__ unsigned char *values_of(int head) const {
        return page + values + (long long)(head * IQ_PAGE_TILES + tile) * value_bytes;
    }
    /// The tile's sides: that of K, then that of V.
    __device__ unsigned char *sides(int kv_heads, int bytes) const {
        return page + values + (long long)kv_heads * IQ_PAGE_TILES * value_bytes + tile * bytes;
    }
};

/// Where one recent tile lies in the ring, all KV heads.
__device__ __forceinline__ const unsigned char *ring_tile(
    const struct iq_seal &work, const struct iq_seal_sequence &sequence, int step
) {
    int slot = sequence.recent_first + step;
    if (slot >= work.ring_tiles) slot -= work.ring_tiles;
    return (const unsigned char *)sequence.recent + slot * work.raw_stride;
}

#endif
